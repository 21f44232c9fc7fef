"""Tests of `dev/bench`."""
