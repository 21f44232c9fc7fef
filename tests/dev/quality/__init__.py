"""Tests of `dev/quality`."""
