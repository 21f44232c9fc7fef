"""Tests of `dev/azure_simulator`."""
