"""Tests of `dev/stack`."""
