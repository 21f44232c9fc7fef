"""Which remediations the list shows, and its pages."""

from contextlib import suppress
from dataclasses import fields
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.errors import ApiError
from shared.dashboard.list_filter import MAX_CHOICES, PAGE_SIZE, ListFilter, choices, read_filter, select
from shared.domain.remediation import Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.summary import Summary
from tests.support.dashboard_parts import newest_first, summary
from tests.support.remediations import NOW

OTHER = BackupInstanceId("11111111-2222-4333-8444-555555555555", "Payments", "VaultNorth", "Ledger")


def summaries(count: int) -> list[Summary]:
    """One a minute, the newest a minute old."""
    opened = ((number, NOW - number * timedelta(minutes=1)) for number in range(1, count + 1))
    return newest_first([summary(name=f"bi{number}", opened_at=opened_at) for number, opened_at in opened])


def test_active_is_a_group_of_statuses() -> None:
    rows = select([summary(status) for status in Status], ListFilter(status="Active"), NOW).rows
    assert {row.status for row in rows} == {status for status in Status if not status.is_terminal}


@pytest.mark.parametrize("text", ["ledger", "LEDG", "vaultnorth", "paym", "11111111-2222", str(OTHER), "north/backup"])
def test_a_text_in_any_name_of_the_id_is_found_in_any_casing(text: str) -> None:
    rows = select([summary(), summary(instance=OTHER)], ListFilter(text=text), NOW).rows
    assert [row.instance for row in rows] == [str(OTHER)]


@pytest.mark.parametrize("text", ["backup", "subscriptions", "microsoft"])
def test_the_fixed_words_of_an_id_are_not_searched(text: str) -> None:
    assert not select([summary()], ListFilter(text=text), NOW).rows


def test_since_a_day_is_since_its_midnight() -> None:
    opened = [summary(opened_at=datetime.fromisoformat(f"2026-01-0{day}T00:00Z")) for day in (2, 1)]
    assert len(select(opened, ListFilter(since="2026-01-02"), NOW).rows) == 1


def test_pages_follow_each_other_without_gap_or_repeat() -> None:
    known = summaries(120)
    page = select(known, ListFilter(), NOW)
    seen = [*page.rows]
    while page.next_after:
        page = select(known, ListFilter(after=page.next_after), NOW)
        seen += page.rows
    assert seen == known


def test_a_full_last_page_has_none_after_it() -> None:
    assert select(summaries(PAGE_SIZE), ListFilter(), NOW).next_after == ""


def test_a_page_keeps_its_place_when_newer_remediations_come() -> None:
    known = summaries(60)
    after = select(known, ListFilter(), NOW).next_after
    assert select([summary(name="new", opened_at=NOW), *known], ListFilter(after=after), NOW).rows == known[PAGE_SIZE:]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "Broken"),
        ("since", "yesterday"),
        ("since", "0001-01-01T00:00+23:00"),
        ("after", "x"),
        ("text", "x" * 201),
        ("vault", "x" * 501),
        ("sort", "Best"),
        ("group", "Source"),
        ("incident", "1"),
    ],
)
def test_an_invalid_parameter_is_named(name: str, value: str) -> None:
    with pytest.raises(ApiError) as refused:
        read_filter({name: value})
    assert (refused.value.status, refused.value.message.partition(": ")[0]) == (400, name)


def test_groups_come_instead_of_rows_and_lead_to_their_rows() -> None:
    rows = newest_first([summary(Status.FAILED, error_code="A"), summary(name="b"), summary(instance=OTHER)])
    by_vault = read_filter({"group": "Vault", "sort": "Oldest"})
    page = select(rows, by_vault, NOW)
    assert ([each.count for each in page.groups], page.group_count, page.rows) == ([2, 1], 2, [])
    within = read_filter(by_vault.within(page.groups[1].value))
    assert [row.instance for row in select(rows, within, NOW).rows] == [str(OTHER)]


def test_a_filter_offers_what_there_is_and_what_is_chosen() -> None:
    rows = [summary(name=f"b{number}", error_code=f"Code{number:03}") for number in range(MAX_CHOICES + 5)]
    offered = [each.value for each in choices(rows, ListFilter(error="code104"))["error"]]
    assert (len(offered), offered[-1]) == (MAX_CHOICES + 1, "Code104")


@given(st.dictionaries(st.sampled_from([field.name for field in fields(ListFilter)]), st.text()))
def test_any_query_selects_or_is_refused(query: dict[str, str]) -> None:
    with suppress(ApiError):
        select([summary()], read_filter(query), NOW)
