"""The sweep's quota of sync calls: a quarter of the write limit, so that failures that happen now are not held up.

Thousands of sync calls that are ready at once would take the slots of minutes, and an event's call would get one
behind them all. So a sweep draws its slots from a bucket of its own, and each of its jobs becomes visible in the
queue at its sweep slot only; then it asks for a slot of the rate limit like any other. First attempts of a sweep thus
need a quarter, the retries that follow them at the same pace a second one, and half is always left to events.

A sweep that finds more than it has slots for leaves the rest to the next one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor

from shared.rate_limits.rate_limiter import Buckets, Gcra

_DIVISOR = 4
"""The quota is the write limit divided by this."""
MAX_AHEAD = timedelta(minutes=30)
"""How far ahead slots are given: at the default of 10 writes a second, to 4,550 instances of a subscription."""


@dataclass(frozen=True, slots=True)
class SweepQuota:
    """The sweep's share of each subscription's write limit, the same for all hosts."""

    write_limit: Gcra
    """The whole of it."""
    buckets: Buckets
    now: Callable[[], datetime]

    def take(self, subscription_id: str, wanted: int) -> list[datetime]:
        """Take sweep slots, no more than are wanted and lie near enough.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
            BucketBusy: other hosts kept taking slots first.
        """
        now = self.now()

        def move(tat: datetime | None) -> datetime:
            slots = self._free(tat, now, wanted)
            return slots[-1] if slots else tat or now

        return self._free(self.buckets.advance(_bucket(subscription_id), move), now, wanted)

    def peek(self, subscription_id: str, wanted: int) -> list[datetime]:
        """The slots that `take` would take now; nothing is taken.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        return self._free(self.buckets.tat(_bucket(subscription_id)), self.now(), wanted)

    def _free(self, tat: datetime | None, now: datetime, wanted: int) -> list[datetime]:
        quota = Gcra(max(1, self.write_limit.burst // _DIVISOR), self.write_limit.rate / _DIVISOR)
        begin = quota.next(tat, now)
        near = floor((now + MAX_AHEAD - begin).total_seconds() * quota.rate)
        return [quota.after(begin, number) for number in range(1, min(wanted, near) + 1)]


def _bucket(subscription_id: str) -> str:
    return f"sweep:{subscription_id.lower()}"
