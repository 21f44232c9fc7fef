"""Which version of the app this is."""

VERSION = "0.1.0"
"""Semantic: API, events, settings and stored rows are what it promises about."""
