"""The command bench: the app's numbers beside the official SDK's poller. Imports from dev: the rooms below `demo`."""
