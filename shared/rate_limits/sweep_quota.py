"""Turns: when the heals that a sweep opens may begin, so that failures that happen now do not wait behind them.

Thousands of sync calls that are ready at once would take the slots of minutes (see `pacing`), and an event's
call would get one behind them all. So a sweep draws from a bucket of its own that holds a quarter of the write
budget, and each of its jobs becomes visible in the queue at its turn only; then it takes a slot like any other.
First attempts of a sweep thus need a quarter, the retries that follow them at the same pace a second one, and
half is always left to events.

A sweep that finds more than it has turns for leaves the rest to the next one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor

from shared.rate_limits.rate_limiter import Budget, Reserve

_SHARE = 4
"""One part of so many of the budget."""
AHEAD = timedelta(minutes=30)
"""How far ahead turns are given: at the default of 10 writes a second, to 4,550 instances of a subscription."""


@dataclass(frozen=True, slots=True)
class Turns:
    """The sweep's share of each subscription's write budget, the same for all hosts."""

    budget: Budget
    """The whole of it."""
    reserve: Reserve
    horizon: Callable[[str], datetime | None]
    """Where a bucket's horizon is; None for a bucket that was never used."""
    now: Callable[[], datetime]

    def take(self, subscription_id: str, wanted: int) -> list[datetime]:
        """Take turns, no more than are wanted and lie near enough.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
            LostRace: other hosts kept taking turns first.
        """
        now = self.now()

        def move(horizon: datetime | None) -> datetime:
            turns = self._free(horizon, now, wanted)
            return turns[-1] if turns else horizon or now

        return self._free(self.reserve(_bucket(subscription_id), move), now, wanted)

    def peek(self, subscription_id: str, wanted: int) -> list[datetime]:
        """The turns that `take` would take now; nothing is taken.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        return self._free(self.horizon(_bucket(subscription_id)), self.now(), wanted)

    def _free(self, horizon: datetime | None, now: datetime, most: int) -> list[datetime]:
        share = Budget(max(1, self.budget.burst // _SHARE), self.budget.per_second / _SHARE)
        begin = share.begin(horizon, None, now)
        fitting = floor((now + AHEAD - begin).total_seconds() * share.per_second)
        return [share.after(begin, number) for number in range(1, min(most, fitting) + 1)]


def _bucket(subscription_id: str) -> str:
    return f"sweep:{subscription_id.lower()}"
