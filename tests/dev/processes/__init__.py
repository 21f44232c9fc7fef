"""Tests of `dev/processes`."""
