"""Contracts with what the app runs on and talks to."""
