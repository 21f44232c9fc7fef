"""The commands demo and up: a failed backup instance heals on the local stack. Imports from dev: rooms below `demo`."""
