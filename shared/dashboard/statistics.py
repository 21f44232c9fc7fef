"""The page's tiles and charts in numbers, counted from summaries. Pure; days are days in UTC."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median

from shared.domain.remediation import Resolution, Status
from shared.domain.summary import Summary, latest_of_each, needs_attention

DAYS = 14
"""Length of the charts and of most statistics, today included."""
OUTCOMES = tuple(status for status in Status if status.is_terminal and not status.ends_recovery)
"""Of heals, in the order in which they are stacked."""
_TIME_RANGES = (
    (timedelta(minutes=1), "< 1 min"),
    (timedelta(minutes=5), "1\N{EN DASH}5 min"),
    (timedelta(minutes=15), "5\N{EN DASH}15 min"),
    (timedelta(hours=1), "15\N{EN DASH}60 min"),
    (timedelta(hours=6), "1\N{EN DASH}6 h"),
    (timedelta(hours=24), "6\N{EN DASH}24 h"),
    (timedelta.max, "> 24 h"),
)
"""Exclusive upper bound and label of each bar of the time to heal."""


@dataclass(frozen=True, slots=True)
class Day:
    """The remediations that ended on one day."""

    day: date
    ended: Mapping[Status, int]
    """Count by terminal status; one that did not occur may be missing."""


@dataclass(frozen=True, slots=True)
class TimeToHeal:
    """How many remediations took a time in this range to heal."""

    label: str
    heals: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """The numbers of the overview; without another word in the name, they cover the last `DAYS` days."""

    active: int
    """Now."""
    waiting_to_retry: int
    """Now; part of `active`."""
    healed_today: int
    ended_today: int
    healed: int
    healed_instances: int
    instances: int
    """Those whose latest end, cancelled and observed ones aside, was a heal or needs a person."""
    would_heal: int
    """Those that were only observed."""
    median_time_to_heal: timedelta | None
    """From the signal to the proof, without what was well already; None where nothing healed."""
    needing_attention: int
    """Instances, whenever they failed."""
    days: tuple[Day, ...]
    """`DAYS` of them, the oldest first."""
    times_to_heal: tuple[TimeToHeal, ...]

    @property
    def success_rate(self) -> float | None:
        """0 to 1; None where nothing healed or failed."""
        return self.healed_instances / self.instances if self.instances else None


def count_statistics(
    summaries: Sequence[Summary], now: datetime, in_scope: Callable[[str], bool] = lambda _: True
) -> Statistics:
    """Count these remediations, which come newest first; `in_scope` says whether an instance may need attention."""
    today = now.date()
    active: Counter[Status] = Counter()
    ended: dict[date, Counter[Status]] = {today - timedelta(days=age): Counter() for age in reversed(range(DAYS))}
    heal_times: list[timedelta] = []
    for summary in summaries:
        if not summary.status.is_terminal:
            active[summary.status] += 1
        if summary.ended_at and (day := summary.ended_at.date()) in ended:
            ended[day][Status.HEALED if summary.status.is_healed else summary.status] += 1
            if summary.status.is_healed and summary.resolution is not Resolution.NOTHING_TO_REPAIR:
                heal_times.append(summary.ended_at - summary.opened_at)
    total = sum(ended.values(), Counter())
    results = _latest_results(summaries, ended)
    return Statistics(
        active=active.total(),
        waiting_to_retry=active[Status.WAITING_TO_RETRY],
        healed_today=ended[today][Status.HEALED],
        ended_today=ended[today].total(),
        healed=total[Status.HEALED],
        healed_instances=sum(each.status.is_healed for each in results),
        instances=len(results),
        would_heal=total[Status.WOULD_HEAL],
        median_time_to_heal=timedelta(seconds=median(t.total_seconds() for t in heal_times)) if heal_times else None,
        needing_attention=len(needs_attention(summaries, now, in_scope)),
        days=tuple(Day(day, outcomes) for day, outcomes in ended.items()),
        times_to_heal=_times_to_heal(heal_times),
    )


def _latest_results(summaries: Iterable[Summary], days: Collection[date]) -> list[Summary]:
    """How each instance stood at its latest end of these days; what ended unhealed and needs nobody is no result."""
    ended = (each for each in summaries if each.ended_at and each.ended_at.date() in days and each.status.is_result)
    return [each for each in latest_of_each(ended) if each.status.is_healed or each.attention_from is not None]


def _times_to_heal(heal_times: Iterable[timedelta]) -> tuple[TimeToHeal, ...]:
    counts = Counter(next(label for bound, label in _TIME_RANGES if time < bound) for time in heal_times)
    return tuple(TimeToHeal(label, counts[label]) for _, label in _TIME_RANGES)
