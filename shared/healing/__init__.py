"""The use cases of healing: what happens to a signal, a sync job, a due entry. May import `storage` and below."""
