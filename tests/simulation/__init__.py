"""The use cases of healing on a virtual clock, with faults drawn from a seed: the same seed, the same schedule."""
