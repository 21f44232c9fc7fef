"""Leases of shards in memory."""


class MemoryLeases:
    """Held until they are released; for hosts that share it."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.taken: list[str] = []

    def take(self, shard: str) -> "_Lease | None":
        if shard in self.held:
            return None
        self.held.add(shard)
        self.taken.append(shard)
        return _Lease(self.held, shard)


class _Lease:
    def __init__(self, held: set[str], shard: str) -> None:
        self._held = held
        self._shard = shard

    def release(self) -> None:
        self._held.discard(self._shard)
