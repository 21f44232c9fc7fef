"""Durations of ISO 8601 as backup policies write them."""

import re
from datetime import timedelta

_DURATION = re.compile(
    r"P(?:(?P<years>\d{1,3})Y)?(?:(?P<months>\d{1,3})M)?(?:(?P<weeks>\d{1,3})W)?(?:(?P<days>\d{1,4})D)?"
    r"(?:T(?:(?P<hours>\d{1,5})H)?(?:(?P<minutes>\d{1,6})M)?(?:(?P<seconds>\d{1,8})(?:\.\d{1,9})?S)?)?",
    re.ASCII | re.IGNORECASE,
)
_DAYS = {"years": 365, "months": 31, "weeks": 7, "days": 1}


def read_duration(text: str) -> timedelta | None:
    """The duration, a month counted as its longest; None for zero and for what is no duration."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        return None
    parts = {name: int(value) for name, value in found.groupdict().items() if value}
    days = sum(_DAYS[name] * parts.pop(name) for name in _DAYS if name in parts)
    return timedelta(days=days, **parts) or None


def interval_of(repeating: str) -> timedelta | None:
    """The interval of a repeating one, `R/2024-01-01T02:00:00+00:00/P1D`; None where there is none."""
    return read_duration(repeating.rpartition("/")[2]) if repeating.upper().startswith("R") else None
