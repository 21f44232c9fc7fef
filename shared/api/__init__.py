"""The HTTP API: JSON in, use case, JSON out. May import `healing` and everything below it."""
