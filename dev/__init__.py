"""Development: the commands of `python3 -m dev` and all that they need. Never deployed; imports nothing of the app."""
