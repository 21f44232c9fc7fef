"""Pacing: so many calls per subscription as Resource Manager allows, across all hosts.

Resource Manager keeps a token bucket for each subscription (Azure Resource Manager, "Request limits and
throttling": 200 writes and 10 more each second, and another for 250 reads and 25 more). The app keeps the same
buckets, each as one row in storage, and takes slots from them in blocks, so that hosts share them exactly and
none of them fights for a slot that another has.

A bucket is written as one moment, its *horizon*: all slots up to it are taken. A bucket that was left alone
for long has its horizon in the past, by as much as its burst; a bucket with a queue has it in the future.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

Reserve = Callable[[str, Callable[[datetime | None], datetime]], datetime | None]
"""Moves the horizon of a named bucket by compare-and-swap; returns what it was before."""

_SMALLEST_BLOCK = 16
_STALE = timedelta(seconds=30)
"""Slots of a block that nobody used for so long are given up: storage knows the bucket better by then."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A token bucket: `burst` calls at once, and `per_second` more each second."""

    burst: int
    per_second: float

    @property
    def block(self) -> int:
        """Slots taken from storage at once, those of two seconds: one row read and written for so many calls."""
        return max(_SMALLEST_BLOCK, round(self.per_second * 2))

    def begin(self, horizon: datetime | None, floor: datetime | None, now: datetime) -> datetime:
        """Where the next free slot is: behind all that is taken, no earlier than a full bucket allows.

        Args:
            floor: what Resource Manager itself said of the bucket, when it is emptier than we thought.
        """
        full = now - timedelta(seconds=self.burst / self.per_second)
        return max(moment for moment in (horizon, floor, full) if moment is not None)

    def after(self, begin: datetime, slots: int) -> datetime:
        """The horizon once so many slots are taken from there."""
        return begin + timedelta(seconds=slots / self.per_second)

    def floor(self, remaining: int, now: datetime) -> datetime:
        """The horizon of a bucket with so many calls left."""
        return now - timedelta(seconds=remaining / self.per_second)


@dataclass(slots=True)
class _Bucket:
    """What this host knows of one subscription's bucket."""

    lock: Lock = field(default_factory=Lock)
    last: datetime | None = None
    """The slot that was given out last, or the beginning of a block that was just taken."""
    left: int = 0
    """Slots of the block that are still to be given out."""
    taken_at: datetime | None = None
    floor: datetime | None = None


class Pacer:
    """Gives out slots for one kind of call."""

    def __init__(self, kind: str, budget: Budget, reserve: Reserve, now: Callable[[], datetime]) -> None:
        """Share the budget for this kind, `writes` or `reads`, with every host that uses the same storage."""
        self._kind = kind
        self._budget = budget
        self._reserve = reserve
        self._now = now
        self._buckets: dict[str, _Bucket] = {}

    def slot(self, subscription_id: str) -> datetime:
        """The moment from which one call may be made; in the past when it may be made at once.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        bucket = self._bucket(subscription_id)
        with bucket.lock:
            now = self._now()
            if not bucket.left or bucket.last is None or self._is_stale(bucket, now):
                bucket.last, bucket.left = self._take(subscription_id, bucket.floor, now), self._budget.block
                bucket.taken_at = now
            bucket.last, bucket.left = self._budget.after(bucket.last, 1), bucket.left - 1
            return bucket.last

    def learn(self, subscription_id: str, remaining: int | None, retry_after: float | None) -> None:
        """What an answer of Resource Manager says of the bucket: calls remaining, or seconds to stay away."""
        bucket, now = self._bucket(subscription_id), self._now()
        with bucket.lock:
            if retry_after is not None:
                # No bucket takes longer than to fill up: what asks for more is about one resource, not about all.
                full = self._budget.burst / self._budget.per_second
                bucket.floor = now + timedelta(seconds=min(retry_after, full))
                # Slots taken before are of a bucket that Resource Manager says is empty.
                bucket.left = 0
            elif remaining is not None and (bucket.floor is None or bucket.floor <= now):
                bucket.floor = self._budget.floor(remaining, now)

    def _bucket(self, subscription_id: str) -> _Bucket:
        return self._buckets.setdefault(subscription_id.lower(), _Bucket())

    def _is_stale(self, bucket: _Bucket, now: datetime) -> bool:
        was_taken_long_ago = bucket.taken_at is not None and now - bucket.taken_at > _STALE
        return was_taken_long_ago and bucket.last is not None and bucket.last < now

    def _take(self, subscription_id: str, floor: datetime | None, now: datetime) -> datetime:
        """Take a block; returns where it begins."""

        def move(horizon: datetime | None) -> datetime:
            return self._budget.after(self._budget.begin(horizon, floor, now), self._budget.block)

        before = self._reserve(f"{self._kind}:{subscription_id.lower()}", move)
        return self._budget.begin(before, floor, now)
