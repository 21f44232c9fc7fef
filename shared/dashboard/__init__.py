"""The page at `GET /api/dashboard`: what was healed, what is being healed, what needs a person."""
