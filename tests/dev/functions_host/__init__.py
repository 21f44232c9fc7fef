"""Tests of `dev/functions_host`."""
