"""The page's numbers, from remediations in short. Pure; days are days in UTC."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median

from shared.domain.remediation import Status
from shared.domain.summary import Summary

DAYS = 14
"""So many days, today included, are charted and counted."""
OUTCOMES = (
    Status.HEALED,
    Status.UNHEALTHY,
    Status.FAILED,
    Status.REJECTED,
    Status.TIMED_OUT,
    Status.CANCELLED,
)
"""Every way to end, in the order in which they are stacked."""
UNHEALED = frozenset({Status.UNHEALTHY, Status.FAILED, Status.REJECTED, Status.TIMED_OUT})
"""The ends after which the instance waits for a person. A cancelled one has had its person."""
_BOUNDS = (
    (timedelta(minutes=1), "< 1 min"),
    (timedelta(minutes=5), "1\N{EN DASH}5 min"),
    (timedelta(minutes=15), "5\N{EN DASH}15 min"),
    (timedelta(hours=1), "15\N{EN DASH}60 min"),
    (timedelta(hours=6), "1\N{EN DASH}6 h"),
    (timedelta(hours=24), "6\N{EN DASH}24 h"),
    (timedelta.max, "> 24 h"),
)


@dataclass(frozen=True, slots=True)
class Day:
    """How remediations ended on one day."""

    day: date
    ended: Mapping[Status, int]
    """By outcome; one that did not occur may be missing."""


@dataclass(frozen=True, slots=True)
class TimeToHeal:
    """How many heals took so long."""

    label: str
    heals: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """The tiles and the charts."""

    active: int
    waiting_to_retry: int
    """Of the active ones."""
    healed_today: int
    ended_today: int
    healed: int
    """In the last `DAYS` days."""
    judged: int
    """How many of those days succeeded or failed: all that ended but the cancelled ones."""
    median_time_to_heal: timedelta | None
    """From the signal to the proof, over the same days; None where nothing healed."""
    needing_a_person: int
    days: tuple[Day, ...]
    """`DAYS` of them, the oldest first."""
    times_to_heal: tuple[TimeToHeal, ...]

    @property
    def success_rate(self) -> float | None:
        """0 to 1; None where nothing can be told yet."""
        return self.healed / self.judged if self.judged else None


def count_statistics(summaries: Sequence[Summary], now: datetime) -> Statistics:
    """Count what these remediations, newest first, tell."""
    today = now.date()
    first = today - timedelta(days=DAYS - 1)
    active: Counter[Status] = Counter()
    ended: dict[date, Counter[Status]] = {first + timedelta(days=number): Counter() for number in range(DAYS)}
    took: list[timedelta] = []
    for summary in summaries:
        if summary.ended_at is None:
            active[summary.status] += 1
        elif (of_day := ended.get(summary.ended_at.date())) is not None:
            of_day[summary.status] += 1
            if summary.status is Status.HEALED:
                took.append(summary.ended_at - summary.opened_at)
    total = sum(ended.values(), Counter())
    return Statistics(
        active=active.total(),
        waiting_to_retry=active[Status.WAITING_TO_RETRY],
        healed_today=ended[today][Status.HEALED],
        ended_today=ended[today].total(),
        healed=total[Status.HEALED],
        judged=total.total() - total[Status.CANCELLED],
        median_time_to_heal=timedelta(seconds=median(time.total_seconds() for time in took)) if took else None,
        needing_a_person=len(needs_attention(summaries)),
        days=tuple(Day(day, of_day) for day, of_day in ended.items()),
        times_to_heal=_distribution(took),
    )


def needs_attention(summaries: Iterable[Summary]) -> list[Summary]:
    """The latest remediation of each instance that ended without a heal, newest first as given.

    What failed and was healed or taken up again since needs nobody.
    """
    seen: set[str] = set()
    unhealed = []
    for summary in summaries:
        instance = summary.instance.lower()
        if instance not in seen and summary.status in UNHEALED:
            unhealed.append(summary)
        seen.add(instance)
    return unhealed


def _distribution(took: Iterable[timedelta]) -> tuple[TimeToHeal, ...]:
    counts = Counter(next(label for bound, label in _BOUNDS if time < bound) for time in took)
    return tuple(TimeToHeal(label, counts[label]) for _, label in _BOUNDS)
