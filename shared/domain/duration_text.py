"""Durations in words, for sentences that a person reads. Pure."""

from datetime import timedelta

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
"""In seconds."""


def duration_text(length: timedelta) -> str:
    """`5 minutes`, `3 minutes 29 seconds`, `1 day 2 hours`: two adjacent units at most, rounded to the smaller."""
    seconds = length.total_seconds()
    # Each is rounded to its smaller unit before the larger counts: 59.9 s are a minute, 23 h 40 min are no day.
    if round(seconds) < _HOUR:
        counts = _split(round(seconds), 60, "minute", "second")
    elif round(seconds / _MINUTE) < _DAY // _MINUTE:
        counts = _split(round(seconds / _MINUTE), 60, "hour", "minute")
    else:
        counts = _split(round(seconds / _HOUR), 24, "day", "hour")
    return counts or "less than a second"


def _split(count: int, size: int, larger: str, smaller: str) -> str:
    """So many of the smaller unit, `size` of which are the larger; an empty text for none."""
    counts = zip(divmod(max(count, 0), size), (larger, smaller), strict=True)
    return " ".join(f"{number} {unit}{'' if number == 1 else 's'}" for number, unit in counts if number)
