"""The command test: lint, types and tests. Imports from dev: `processes`."""
