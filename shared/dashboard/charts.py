"""Bar charts: the coordinates and texts of an inline SVG. Pure.

Horizontal coordinates are percentages, so that a chart is as wide as its container while its text keeps its size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.dashboard.formatting import format_count, format_day, format_short_count, status_label
from shared.dashboard.statistics import OUTCOMES, Day, TimeToHeal

HEIGHT = 176
"""Pixels; the bars stand between `_TOP` and `BASE`, two lines of text below them."""
BASE = 140
_TOP = 18
_GAP = 2
"""Pixels between two segments of a bar, so that they can be told apart without their colours."""
_MIN_SEGMENT_HEIGHT = 1.5

_Column = tuple[tuple[str, str], list[tuple[str, int, str]]]
"""A bar's label and, from bottom to top, the series, count and tooltip of each segment."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One coloured part of a bar; pixels."""

    series: str
    """CSS class: the status that is counted."""
    y: float
    height: float
    tooltip: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One column of a chart. `x`, `width` and `middle` in percent, the rest in pixels."""

    label: tuple[str, str]
    """Two lines; the second may be empty."""
    x: float
    width: float
    middle: float
    segments: tuple[Segment, ...]
    total: str
    """The number above the bar; empty for an empty bar."""
    total_y: float


def outcome_bars(days: Sequence[Day]) -> list[Bar]:
    """One bar per day, with one segment per outcome."""
    columns: list[_Column] = []
    for day in days:
        month = f"{day.day:%b}" if not columns or day.day.day == 1 else ""
        segments = [
            (status.value, count, f"{format_day(day.day)}: {format_count(count)} {status_label(status).lower()}")
            for status in OUTCOMES
            if (count := day.ended.get(status, 0))
        ]
        columns.append(((str(day.day.day), month), segments))
    return _bars(columns)


def heal_bars(times: Sequence[TimeToHeal]) -> list[Bar]:
    """One bar per range of the time to heal."""
    columns: list[_Column] = []
    for time in times:
        span, _, unit = time.label.rpartition(" ")
        tooltip = f"{time.label}: {format_count(time.heals)} healed"
        columns.append(((span, unit), [("Healed", time.heals, tooltip)] if time.heals else []))
    return _bars(columns)


def _bars(columns: Sequence[_Column]) -> list[Bar]:
    tallest = max((sum(count for _, count, _ in segments) for _, segments in columns), default=0)
    return [_bar(column, number, len(columns), tallest) for number, column in enumerate(columns)]


def _bar(column: _Column, number: int, columns: int, tallest: int) -> Bar:
    label, counts = column
    slot = 100 / columns
    top = float(BASE)
    segments = []
    for series, count, tooltip in counts:
        # However small its share, a segment stays visible.
        height = max(count / tallest * (BASE - _TOP), _MIN_SEGMENT_HEIGHT)
        visible = max(height - _GAP, _MIN_SEGMENT_HEIGHT)
        segments.append(Segment(series, round(top - visible, 2), round(visible, 2), tooltip))
        top -= height
    return Bar(
        label=label,
        x=round(slot * number + slot * 0.16, 3),
        width=round(slot * 0.68, 3),
        middle=round(slot * (number + 0.5), 3),
        segments=tuple(segments),
        total=format_short_count(sum(count for _, count, _ in counts)) if counts else "",
        total_y=round(top - 5, 2),
    )
