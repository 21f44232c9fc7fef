"""Tests of `dev/setup`."""
