"""Bars and their segments."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from shared.dashboard.charts import BASE, heal_bars, outcome_bars
from shared.dashboard.statistics import OUTCOMES, Day, TimeToHeal
from shared.domain.remediation import Status

MONDAY = date(2026, 1, 5)


@given(st.lists(st.dictionaries(st.sampled_from(sorted(OUTCOMES)), st.integers(0, 10**6)), min_size=1, max_size=14))
def test_every_outcome_that_occurred_is_visible_and_none_leaves_the_chart(outcomes: list[dict[Status, int]]) -> None:
    for ended, bar in zip(outcomes, outcome_bars([Day(MONDAY, ended) for ended in outcomes]), strict=True):
        assert {segment.series for segment in bar.segments} == {status for status, count in ended.items() if count}
        assert all(segment.height > 1 and 0 < segment.y < BASE for segment in bar.segments)
        tops = [BASE, *(segment.y for segment in bar.segments)]
        bottoms = [segment.y + segment.height for segment in bar.segments]
        assert all(bottom <= top + 0.02 for bottom, top in zip(bottoms, tops, strict=False)), "one covers another"


def test_a_bar_has_its_numbers_as_text() -> None:
    [bar] = outcome_bars([Day(MONDAY, {Status.HEALED: 1200})])
    assert (bar.segments[0].tooltip, bar.total) == ("Mon 5 Jan: 1,200 healed", "1.2k")


def test_the_longest_bar_is_the_time_range_with_the_most_heals() -> None:
    few, many = heal_bars([TimeToHeal("< 1 min", 1), TimeToHeal("> 24 h", 5)])
    assert few.segments[0].height < many.segments[0].height
