"""How hosts share what is due: a queue that wakes them for a shard, and leases of shards as blobs have them."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from azure.core.exceptions import AzureError

from shared.storage.queues import ShardJob
from tests.simulation.scheduler import Scheduler

_LEASE_SECONDS = 30.0
"""So long a lease outlives its host (`storage.shard_leases`)."""


class Holder(Protocol):
    """A process that holds leases, and renews them as long as it lives."""

    died_at: float | None


@dataclass
class SharedShards:
    """Parts that all hosts share."""

    scheduler: Scheduler
    wake: Callable[[str], None]
    """Has some host run `poll_shard` with this message."""
    taken: int = 0
    refused: int = 0
    leases: dict[str, "HostLease"] = field(default_factory=dict)

    def is_held(self, shard: str) -> bool:
        """Whether somebody has the lease."""
        lease = self.leases.get(shard)
        if lease is None:
            return False
        renewed_until = lease.holder.died_at if lease.given_up_at is None else lease.given_up_at
        return renewed_until is None or self.scheduler.time < renewed_until + _LEASE_SECONDS


@dataclass(eq=False)
class HostLease:
    """A lease that one host holds."""

    shared: SharedShards
    shard: str
    holder: Holder
    turn: Callable[[], None]
    given_up_at: float | None = None
    """Since when it is not renewed any more, though its host lives."""

    def release(self) -> None:
        self.given_up_at = self.shared.scheduler.time
        with suppress(AzureError):  # it ends by itself
            self.turn()
            if self.shared.leases.get(self.shard) is self:
                del self.shared.leases[self.shard]


@dataclass
class HostShards:
    """Queue and leases as one host reaches them."""

    shared: SharedShards
    holder: Holder
    turn: Callable[[], None]

    def send(self, job: ShardJob) -> None:
        self.turn()
        self.shared.wake(job.to_message())
        self.turn()

    def take(self, shard: str) -> HostLease | None:
        self.turn()
        if self.shared.is_held(shard):
            self.shared.refused += 1
            return None
        self.shared.taken += 1
        lease = self.shared.leases[shard] = HostLease(self.shared, shard, self.holder, self.turn)
        try:
            self.turn()
        except AzureError:
            lease.given_up_at = self.shared.scheduler.time
            raise
        return lease
