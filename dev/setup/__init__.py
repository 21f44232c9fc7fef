"""Installation of all that the commands need, into `.venv` and `.dev`. Stdlib only; imports from dev: `processes`."""
