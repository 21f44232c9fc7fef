"""Bar charts as shapes: where each bar of an inline SVG stands, and what it says. Pure.

Horizontal places are percentages, so that a chart is as wide as its room while its letters keep their size.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.dashboard.formatting import count_words, day_words, short_count, status_words
from shared.dashboard.statistics import OUTCOMES, Day, TimeToHeal

HEIGHT = 176
"""Pixels, of which the bars have those between `_TOP` and `BASE`; two lines of letters stand below."""
BASE = 140
_TOP = 18
_GAP = 2
"""Between two segments of a bar, so that they are told apart without their colours."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One coloured part of a bar."""

    series: str
    """The status it stands for: its CSS class."""
    y: float
    height: float
    says: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One column of a chart. `x`, `width` and `middle` in percent, the rest in pixels."""

    label: tuple[str, str]
    """Two lines, the second perhaps empty."""
    x: float
    width: float
    middle: float
    segments: tuple[Segment, ...]
    total: str
    """What stands above the bar; empty for an empty one."""
    total_y: float


def outcome_bars(days: Sequence[Day]) -> list[Bar]:
    """A bar for each day, in which each outcome is a segment."""
    tallest = max((sum(day.ended.values()) for day in days), default=0)
    bars = []
    for number, day in enumerate(days):
        parts = [(status, day.ended.get(status, 0)) for status in OUTCOMES]
        said = [
            (status.value, count, f"{day_words(day.day)}: {count_words(count)} {status_words(status).lower()}")
            for status, count in parts
        ]
        month = f"{day.day:%b}" if number == 0 or day.day.day == 1 else ""
        bars.append(_bar((str(day.day.day), month), number, len(days), said, tallest))
    return bars


def heal_bars(times: Sequence[TimeToHeal]) -> list[Bar]:
    """A bar for each span of time."""
    tallest = max((time.heals for time in times), default=0)
    bars = []
    for number, time in enumerate(times):
        span, _, unit = time.label.rpartition(" ")
        said = [("Healed", time.heals, f"{time.label}: {count_words(time.heals)} healed")]
        bars.append(_bar((span, unit), number, len(times), said, tallest))
    return bars


def _bar(label: tuple[str, str], number: int, of: int, parts: Iterable[tuple[str, int, str]], tallest: int) -> Bar:
    slot = 100 / of
    segments = []
    total, floor = 0, float(BASE)
    for series, count, says in parts:
        if not count:
            continue
        total += count
        # What occurred is seen, however little it is beside the rest.
        height = max(count / tallest * (BASE - _TOP), 1.5)
        shown = max(height - _GAP, 1.5)
        segments.append(Segment(series, round(floor - shown, 2), round(shown, 2), says))
        floor -= height
    return Bar(
        label=label,
        x=round(slot * number + slot * 0.16, 3),
        width=round(slot * 0.68, 3),
        middle=round(slot * (number + 0.5), 3),
        segments=tuple(segments),
        total=short_count(total) if total else "",
        total_y=round(floor - 5, 2),
    )
