"""The version of the app."""

VERSION = "0.1.0"
"""Semantic versioning; its promises are about the API, the events, the settings and the stored rows."""
