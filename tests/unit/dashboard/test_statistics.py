"""The page's numbers, its list and its charts, from remediations in short."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dashboard.charts import BASE, heal_bars, outcome_bars
from shared.dashboard.list_filter import PAGE, InvalidSelection, ListFilter, read_filter, select
from shared.dashboard.statistics import DAYS, UNHEALED, Day, TimeToHeal, count_statistics, needs_attention
from shared.domain.remediation import Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.summary import Summary
from tests.support.dashboard_parts import summary
from tests.support.episodes import INSTANCE, NOW

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def healed(minutes: float, opened_at: datetime = NOW - DAY) -> Summary:
    return summary(opened_at=opened_at, took=minutes * MINUTE)


def days_of(remediation: Summary) -> list[date]:
    return [day.day for day in count_statistics([remediation], NOW).days if day.ended]


def newest_first(*summaries: Summary) -> list[Summary]:
    return sorted(summaries, key=lambda each: each.id)


def test_nothing_at_all_has_no_rate_and_no_median() -> None:
    told = count_statistics([], NOW)
    assert (told.active, told.success_rate, told.median_time_to_heal) == (0, None, None)


def test_active_ones_are_counted_and_those_that_wait_among_them() -> None:
    told = count_statistics([summary(Status.RUNNING), summary(Status.WAITING_TO_RETRY), summary(Status.HEALED)], NOW)
    assert (told.active, told.waiting_to_retry) == (2, 1)


def test_today_begins_at_midnight_in_utc() -> None:
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    before, after = healed(1, midnight - 2 * MINUTE), healed(1, midnight - MINUTE)
    assert count_statistics([after, before], NOW).healed_today == 1


def test_a_remediation_counts_on_the_day_it_ended() -> None:
    assert days_of(summary(opened_at=NOW - 2 * DAY, took=DAY)) == [(NOW - DAY).date()]


def test_what_ended_before_the_first_day_is_not_charted() -> None:
    assert days_of(summary(opened_at=NOW - DAYS * DAY)) == []


def test_what_ended_on_the_first_day_is_charted() -> None:
    assert days_of(summary(opened_at=NOW - (DAYS - 1) * DAY)) == [(NOW - (DAYS - 1) * DAY).date()]


def test_the_success_rate_leaves_out_what_a_person_cancelled() -> None:
    told = count_statistics([summary(Status.HEALED), summary(Status.FAILED), summary(Status.CANCELLED)], NOW)
    assert told.success_rate == 0.5


def test_the_median_is_of_heals_only() -> None:
    told = count_statistics([healed(1), healed(3), healed(50), summary(Status.FAILED, took=9 * DAY)], NOW)
    assert told.median_time_to_heal == 3 * MINUTE


@pytest.mark.parametrize(
    ("minutes", "label"),
    [
        (0.5, "< 1 min"),
        (1, "1\N{EN DASH}5 min"),
        (59.9, "15\N{EN DASH}60 min"),
        (60, "1\N{EN DASH}6 h"),
        (1440, "> 24 h"),
    ],
)
def test_each_heal_falls_into_one_span_of_time(minutes: float, label: str) -> None:
    told = count_statistics([healed(minutes, NOW - 2 * DAY)], NOW).times_to_heal
    assert [span.label for span in told if span.heals] == [label]


@pytest.mark.parametrize("status", sorted(UNHEALED))
def test_an_instance_that_was_not_healed_needs_a_person(status: Status) -> None:
    assert needs_attention([summary(status)])


@pytest.mark.parametrize("status", sorted(set(Status) - UNHEALED))
def test_an_instance_that_failed_and_was_taken_up_since_needs_nobody(status: Status) -> None:
    failed = summary(Status.FAILED, "TESTBI", NOW - 2 * DAY)
    assert needs_attention([summary(status, "testbi"), failed]) == []


def test_an_instance_that_failed_twice_is_one_case() -> None:
    assert len(needs_attention([summary(Status.FAILED), summary(Status.FAILED, opened_at=NOW - DAY)])) == 1


def test_the_tile_and_the_list_behind_it_agree() -> None:
    known = [summary(Status.FAILED, f"bi{number}") for number in range(3)]
    assert select(known, ListFilter(status="NeedsAPerson")).matching == count_statistics(known, NOW).needing_a_person


def test_active_is_a_group_of_statuses() -> None:
    known = [summary(status) for status in Status]
    chosen = select(known, ListFilter(status="Active")).rows
    assert {row.status for row in chosen} == {status for status in Status if not status.is_terminal}


OTHER = BackupInstanceId("11111111-2222-4333-8444-555555555555", "Payments", "VaultNorth", "Ledger")


@pytest.mark.parametrize("text", ["ledger", "LEDG", "vaultnorth", "paym", "11111111-2222", str(OTHER), "north/backup"])
def test_any_name_in_the_id_is_found_in_any_casing(text: str) -> None:
    known = [summary(), summary(instance=OTHER)]
    assert [row.instance for row in select(known, ListFilter(text=text)).rows] == [str(OTHER)]


@pytest.mark.parametrize("text", ["backup", "subscriptions", "microsoft"])
def test_the_fixed_words_of_an_id_are_not_looked_in(text: str) -> None:
    assert not select([summary()], ListFilter(text=text)).rows


def test_since_a_day_is_since_its_midnight() -> None:
    known = [summary(opened_at=datetime.fromisoformat(f"2026-01-0{day}T00:00Z")) for day in (2, 1)]
    assert len(select(known, ListFilter(since="2026-01-02")).rows) == 1


def test_pages_follow_each_other_without_gap_or_repeat() -> None:
    known = newest_first(*(summary(name=f"bi{number}", opened_at=NOW - number * MINUTE) for number in range(120)))
    seen: list[Summary] = []
    page = select(known, ListFilter())
    while page.rows:
        seen += page.rows
        page = select(known, ListFilter(after=page.older)) if page.older else select([], ListFilter())
    assert seen == known


def test_the_last_page_has_none_after_it() -> None:
    known = newest_first(*(summary(name=f"bi{number}") for number in range(PAGE)))
    assert select(known, ListFilter()).older == ""


def test_a_page_holds_its_place_when_newer_ones_come() -> None:
    known = newest_first(*(summary(name=f"bi{number}", opened_at=NOW - number * MINUTE) for number in range(60)))
    older = select(known, ListFilter()).older
    newer = summary(name="new", opened_at=NOW)
    assert select([newer, *known], ListFilter(after=older)).rows == known[PAGE:]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "Broken"}, "status"),
        ({"since": "yesterday"}, "since"),
        ({"since": "0001-01-01T00:00+23:00"}, "since"),
        ({"after": "x"}, "after"),
        ({"text": "x" * 201}, "text"),
    ],
)
def test_a_filter_that_cannot_be_understood_is_named(query: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidSelection, match=f"^{field}: "):
        read_filter(query)


@given(st.dictionaries(st.sampled_from(["status", "since", "after", "text"]), st.text()))
def test_any_query_selects_or_is_refused(query: dict[str, str]) -> None:
    try:
        select([summary()], read_filter(query))
    except InvalidSelection:
        return


@given(st.lists(st.dictionaries(st.sampled_from(sorted(UNHEALED)), st.integers(0, 10**6)), min_size=1, max_size=14))
def test_every_outcome_that_occurred_can_be_seen_and_none_leaves_the_chart(
    outcomes: list[dict[Status, int]],
) -> None:
    days = [Day(NOW.date(), ended) for ended in outcomes]
    for day, bar in zip(days, outcome_bars(days), strict=True):
        assert {segment.series for segment in bar.segments} == {status for status, count in day.ended.items() if count}
        assert all(segment.height > 1 and 0 < segment.y < BASE for segment in bar.segments)
        floors = [BASE, *(segment.y for segment in bar.segments[:-1])]
        feet = [segment.y + segment.height for segment in bar.segments]
        assert all(foot <= floor + 0.02 for foot, floor in zip(feet, floors, strict=False)), "one covers another"


def test_a_bar_says_what_it_stands_for() -> None:
    [bar] = outcome_bars([Day(date(2026, 1, 5), {Status.HEALED: 1200})])
    assert (bar.segments[0].says, bar.total) == ("Mon 5 Jan: 1,200 healed", "1.2k")


def test_the_longest_bar_is_the_span_with_the_most_heals() -> None:
    few, many = heal_bars([TimeToHeal("< 1 min", 1), TimeToHeal("> 24 h", 5)])
    assert few.segments[0].height < many.segments[0].height


def test_a_name_in_two_casings_is_one_instance() -> None:
    upper = BackupInstanceId(INSTANCE.subscription_id, INSTANCE.resource_group.upper(), INSTANCE.vault, INSTANCE.name)
    known = [summary(Status.HEALED), summary(Status.FAILED, opened_at=NOW - DAY, instance=upper)]
    assert needs_attention(known) == []
