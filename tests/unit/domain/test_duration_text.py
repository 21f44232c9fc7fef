"""Durations in words."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis.strategies import timedeltas

from shared.domain.duration_text import duration_text, short_duration_text

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
COUNTED = r"([1-9]\d*) (second|minute|hour|day)s?"


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(minutes=5), "5 minutes"),
        (timedelta(minutes=3, seconds=28.702309), "3 minutes 29 seconds"),
        (timedelta(seconds=59.9), "1 minute"),
        (timedelta(minutes=59, seconds=59.9), "1 hour"),
        (timedelta(hours=2, minutes=5, seconds=10), "2 hours 5 minutes"),
        (timedelta(hours=23, minutes=40), "23 hours 40 minutes"),
        (timedelta(hours=26), "1 day 2 hours"),
        (timedelta(days=3), "3 days"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=0.3), "less than a second"),
        (timedelta(seconds=-5), "less than a second"),
    ],
)
def test_a_duration_is_said_as_people_say_it(length: timedelta, text: str) -> None:
    assert duration_text(length) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(minutes=4, seconds=12), "4 min 12 s"),
        (timedelta(hours=26), "1 d 2 h"),
        (timedelta(seconds=59.9), "1 min"),
        (timedelta(seconds=0.3), "< 1 s"),
    ],
)
def test_a_table_says_the_same_shorter(length: timedelta, text: str) -> None:
    assert short_duration_text(length) == text


@given(timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=3650)))
def test_any_duration_is_one_or_two_counts_that_say_it_to_the_smaller_unit(length: timedelta) -> None:
    text = duration_text(length)
    assert re.fullmatch(rf"{COUNTED}( {COUNTED})?", text)
    said = sum(int(number) * SECONDS[unit] for number, unit in re.findall(COUNTED, text))
    largest = next(size for size in (86400, 3600, 60, 1) if said >= size)
    grain = {86400: 3600, 3600: 60, 60: 1, 1: 1}[largest]
    assert abs(said - length.total_seconds()) <= grain / 2
