"""Tests of `dev/demo`, the commands run as a user runs them."""
