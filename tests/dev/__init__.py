"""Tests of `dev`."""
