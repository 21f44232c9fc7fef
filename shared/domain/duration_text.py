"""Durations as text: in words for sentences, short for tables and tiles; both say the same number. Pure."""

from collections.abc import Sequence
from datetime import timedelta

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
"""In seconds."""
_SHORT = {"day": "d", "hour": "h", "minute": "min", "second": "s"}


def duration_text(length: timedelta) -> str:
    """`5 minutes`, `3 minutes 29 seconds`, `1 day 2 hours`: two adjacent units at most, rounded to the smaller."""
    counts = [f"{number} {unit}{'' if number == 1 else 's'}" for number, unit in _counts(length)]
    return " ".join(counts) or "less than a second"


def short_duration_text(length: timedelta) -> str:
    """The same as `5 min`, `3 min 29 s`, `1 d 2 h`."""
    return " ".join(f"{number} {_SHORT[unit]}" for number, unit in _counts(length)) or "< 1 s"


def _counts(length: timedelta) -> Sequence[tuple[int, str]]:
    """How many of each unit; none for less than half a second."""
    seconds = length.total_seconds()
    # Each is rounded to its smaller unit before the larger counts: 59.9 s are a minute, 23 h 40 min are no day.
    if round(seconds) < _HOUR:
        return _split(round(seconds), 60, "minute", "second")
    if round(seconds / _MINUTE) < _DAY // _MINUTE:
        return _split(round(seconds / _MINUTE), 60, "hour", "minute")
    return _split(round(seconds / _HOUR), 24, "day", "hour")


def _split(count: int, size: int, larger: str, smaller: str) -> Sequence[tuple[int, str]]:
    """So many of the smaller unit, `size` of which are the larger."""
    numbers = divmod(max(count, 0), size)
    return [(number, unit) for number, unit in zip(numbers, (larger, smaller), strict=True) if number]
