"""Rate limits of Resource Manager, kept for each subscription across all hosts.

Resource Manager has a token bucket for each subscription (Azure Resource Manager, "Request limits and throttling":
200 writes and 10 more each second, and another for 250 reads and 25 more). The app counts the same buckets by the
generic cell rate algorithm, each as one time in storage, and takes slots from them in blocks, so that hosts share
them exactly and none fights for a slot that another has.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol

_MIN_BLOCK = 16
_BLOCK_TIMEOUT = timedelta(seconds=30)
"""Slots of a block that nobody used for so long are given up: storage knows the bucket better by then."""


class Buckets(Protocol):
    """Where the buckets are kept, shared by all hosts (`storage.bucket_store`)."""

    def tat(self, bucket: str) -> datetime | None:
        """The bucket's TAT; None for a bucket that was never used."""

    def advance(self, bucket: str, move: Callable[[datetime | None], datetime]) -> datetime | None:
        """Move the bucket's TAT by compare-and-swap; returns what it was before."""


@dataclass(frozen=True, slots=True)
class Gcra:
    """The generic cell rate algorithm (GCRA): a token bucket as one time, its TAT (theoretical arrival time).

    Every TAT here has the burst tolerance, `burst / rate`, subtracted: it is the time of the last slot that was
    taken, which a caller can wait for. A bucket that was left alone has it in the past, one with a queue in the
    future.
    """

    burst: int
    """Calls at once from a full bucket."""
    rate: float
    """Calls a second."""

    @property
    def block(self) -> int:
        """Slots taken from storage at once, those of two seconds: one row read and written for so many calls."""
        return max(_MIN_BLOCK, round(self.rate * 2))

    def next(self, tat: datetime | None, now: datetime) -> datetime:
        """Where free slots begin: at the TAT, but no earlier than a full bucket allows."""
        full = now - self.fill_time
        return full if tat is None else max(tat, full)

    def after(self, tat: datetime, slots: int) -> datetime:
        """The TAT once so many slots are taken from there."""
        return tat + timedelta(seconds=slots / self.rate)

    def with_remaining(self, calls: int, now: datetime) -> datetime:
        """The TAT of a bucket that has so many calls left."""
        return now - timedelta(seconds=calls / self.rate)

    @property
    def fill_time(self) -> timedelta:
        """How long an empty bucket takes to fill up: the burst tolerance."""
        return timedelta(seconds=self.burst / self.rate)


@dataclass(slots=True)
class _Block:
    """The slots of one subscription that this host holds, and what Resource Manager said of its bucket."""

    lock: Lock = field(default_factory=Lock)
    last: datetime | None = None
    """The slot that was given out last, or the TAT from which a fresh block was taken."""
    left: int = 0
    """Slots that are still to be given out."""
    taken_at: datetime | None = None
    observed_tat: datetime | None = None
    """The TAT by Resource Manager's own count."""


class RateLimiter:
    """Gives out slots for one kind of call."""

    def __init__(self, kind: str, gcra: Gcra, buckets: Buckets, now: Callable[[], datetime]) -> None:
        """Share the rate limit of this kind, `writes` or `reads`, with every host that uses the same buckets."""
        self._kind = kind
        self._gcra = gcra
        self._buckets = buckets
        self._now = now
        self._blocks: dict[str, _Block] = {}

    def slot(self, subscription_id: str) -> datetime:
        """The time from which one call may be made; in the past when it may be made at once.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        block = self._block(subscription_id)
        with block.lock:
            now = self._now()
            if not block.left or block.last is None or self._is_stale(block, now):
                block.last, block.left = self._take_block(subscription_id, block.observed_tat, now), self._gcra.block
                block.taken_at = now
            block.last, block.left = self._gcra.after(block.last, 1), block.left - 1
            return block.last

    def learn(self, subscription_id: str, remaining: int | None, retry_after: float | None) -> None:
        """Take over what a response of Resource Manager says of the bucket.

        Args:
            remaining: calls left; None if it did not say.
            retry_after: seconds to stay away, of a 429; None for any other response.
        """
        block, now = self._block(subscription_id), self._now()
        with block.lock:
            if retry_after is not None:
                # No bucket takes longer than to fill up: what asks for more is about one resource, not about all.
                block.observed_tat = now + min(timedelta(seconds=retry_after), self._gcra.fill_time)
                # Slots taken before are of a bucket that Resource Manager says is empty.
                block.left = 0
            elif remaining is not None and (block.observed_tat is None or block.observed_tat <= now):
                block.observed_tat = self._gcra.with_remaining(remaining, now)

    def _block(self, subscription_id: str) -> _Block:
        return self._blocks.setdefault(subscription_id.lower(), _Block())

    def _is_stale(self, block: _Block, now: datetime) -> bool:
        was_taken_long_ago = block.taken_at is not None and now - block.taken_at > _BLOCK_TIMEOUT
        return was_taken_long_ago and block.last is not None and block.last < now

    def _take_block(self, subscription_id: str, observed_tat: datetime | None, now: datetime) -> datetime:
        """Take a block of slots; returns the TAT from which it begins."""

        def begin(tat: datetime | None) -> datetime:
            begins = self._gcra.next(tat, now)
            return begins if observed_tat is None else max(begins, observed_tat)

        bucket = f"{self._kind}:{subscription_id.lower()}"
        return begin(self._buckets.advance(bucket, lambda tat: self._gcra.after(begin(tat), self._gcra.block)))
