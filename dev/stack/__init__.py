"""The local stack: Azurite, the simulated Azure and a Functions host as processes. Imports from dev: `processes`."""
