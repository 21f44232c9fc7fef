"""Seals each day's outcomes once it is over: the state of their hash chain is written down, and logged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from azure.core.exceptions import AzureError

from shared import logs
from shared.domain.outcome_chain import seal
from shared.domain.report import Outcome, Period
from shared.storage.seal_store import SealStore

_MARGIN = timedelta(hours=3)
"""After midnight: an outcome is stored within minutes of its end, by whatever clock."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sealing:
    """Runs once a day, before anything is removed. Two hosts seal the same; the first seal of a day stays."""

    outcomes: Callable[[Period], Sequence[Outcome]]
    """Those of a period, by the time of their end."""
    seals: SealStore
    now: Callable[[], datetime]

    def run(self) -> None:
        """Seal each day that is over and has no seal; the first time only the newest.

        What fails for want of storage is logged, and left to the next run.
        """
        try:
            newest = (self.now() - _MARGIN).astimezone(UTC).date() - _DAY
            last = self.seals.last_before(newest + _DAY)
            day = last.day + _DAY if last else newest
            while day <= newest:
                start = datetime.combine(day, time(), UTC)
                last = self.seals.add(seal(day, last, self.outcomes(Period(start, start + _DAY))))
                # Whoever can change the table cannot change the log.
                logs.info("outcomes.sealed", day=day.isoformat(), count=last.count, hash=last.hash)
                day += _DAY
        except AzureError as failure:
            logs.error("outcomes.not_sealed", reason=logs.describe_exception(failure))
