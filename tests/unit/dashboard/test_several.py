"""Syncs and acknowledges several remediations of the list at once, and tells what became of each."""

from dataclasses import replace
from datetime import timedelta
from unittest.mock import Mock

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.dashboard.several import MAX_SEVERAL
from shared.domain.remediation import Status
from shared.domain.summary import summarize
from shared.settings import Settings
from tests.support import remediations as episodes
from tests.support.api_parts import FailingStore
from tests.support.dashboard_parts import MANY, MARKUP, Page, newest_first, summary
from tests.support.remediations import LATER

SYNC = {"do": "sync several"}
ACKNOWLEDGE = {"do": "acknowledge several", "days": "7"}


def page_of(*names: str, settings: Settings | None = None) -> Page:
    """With failed remediations of these instances."""
    return Page(newest_first([summary(Status.FAILED, name) for name in names]), settings=settings or Settings())


def ids(page: Page, *names: str) -> list[str]:
    return [row.id for row in page.summaries if row.instance.rpartition("/")[2] in names]


def synced(page: Page) -> set[str]:
    return {each.instance.name for each in page.store.remediations()}


def test_each_selected_instance_is_synced_and_told() -> None:
    page = page_of("a", "b", "c")
    response = page.post({**SYNC, "id": ids(page, "a", "b"), "reason": "repaired"})
    assert (response.status, synced(page), len(page.jobs)) == (200, {"a", "b"}, 2)
    assert ("2 of 2 done" in response.text, response.text.count("The sync is queued.")) == (True, 2)
    assert {each.reason for each in page.store.remediations()} == {"repaired"}


def test_all_that_match_are_synced_whatever_their_page() -> None:
    page = Page(MANY)
    response = page.post({**SYNC, "all": "true", "text": "bi5"})
    assert (response.status, len(page.jobs)) == (200, 11), "bi5 and bi50 to bi59"


def test_no_more_than_a_hundred_are_synced_at_once() -> None:
    page = page_of(*(f"bi{number}" for number in range(MAX_SEVERAL + 5)))
    page.post({**SYNC, "all": "true"})
    assert len(page.jobs) == MAX_SEVERAL


def test_an_instance_that_stands_twice_is_synced_once() -> None:
    page = Page(newest_first([summary(Status.FAILED), summary(opened_at=LATER - timedelta(days=1))]))
    page.post({**SYNC, "all": "true"})
    assert len(page.jobs) == 1


def test_an_instance_that_is_not_synced_says_why_and_the_others_are() -> None:
    page = page_of("a", "b", settings=Settings(exclude=("*/backupinstances/a",)))
    response = page.post({**SYNC, "all": "true"})
    assert ("1 of 2 done" in response.text, synced(page)) == (True, {"b"})
    assert "leave this instance out" in response.text


def test_a_ticked_sync_of_several_begins_within_the_cooldown() -> None:
    page = replace(page_of("testbi"), settings=Settings(cooldown=timedelta(hours=1)), now=LATER)
    page.keep(episodes.healed())
    assert "0 of 1 done" in page.post({**SYNC, "all": "true"}).text
    assert "1 of 1 done" in page.post({**SYNC, "all": "true", "force": "true"}).text


def test_the_form_sent_twice_syncs_each_once() -> None:
    page = page_of("a", "b")
    page.post({**SYNC, "all": "true"})
    again = page.post({**SYNC, "all": "true"})
    assert (len(page.jobs), again.text.count("It is already being healed.")) == (2, 2)


def test_where_storage_fails_on_the_way_what_is_opened_is_queued_and_the_rest_is_told() -> None:
    page = replace(page_of("a", "b", "c"), store=FailingStore(openings=1))
    response = page.post({**SYNC, "all": "true"})
    assert (response.status, len(page.jobs)) == (200, 1)
    assert ("1 of 3 done" in response.text, "Not tried." in response.text) == (True, True)


def test_each_instance_that_needs_a_person_is_acknowledged_and_told() -> None:
    page = Page(now=LATER)
    rejected, healthy = page.keep(episodes.rejected()), page.keep(episodes.queued(episodes.instance_named("well")))
    page.summaries = newest_first([summarize(rejected), summarize(healthy)])
    response = page.post({**ACKNOWLEDGE, "id": [rejected.id, healthy.id], "reason": "known"})
    assert ("1 of 2 done" in response.text, "It needs nobody" in response.text) == (True, True)
    [attention] = [each.attention for each in page.store.remediations() if each.attention]
    assert attention.acknowledgement
    assert attention.acknowledgement.until == LATER + timedelta(days=7)


@pytest.mark.parametrize(
    "fields", [SYNC, {**SYNC, "id": "nothing"}, {**SYNC, "all": "true", "text": "nowhere"}, {**ACKNOWLEDGE, "all": ""}]
)
def test_a_form_that_selects_nothing_does_nothing_and_says_so(fields: dict[str, str | list[str]]) -> None:
    page = page_of("a")
    response = page.post(fields)
    assert (response.status, "Select one remediation or more" in response.text, page.jobs) == (409, True, [])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**SYNC, "all": "true", "reason": "x" * 501}, "Reason: it has 501"),
        ({**SYNC, "all": "true", "force": "maybe"}, "Force: expected"),
        ({**SYNC, "all": "true", "status": "Broken"}, "there is no status"),
        ({**ACKNOWLEDGE, "all": "true", "days": "8"}, "is none of the choices"),
    ],
)
def test_a_form_that_cannot_be_used_does_nothing_and_says_why(fields: dict[str, str | list[str]], message: str) -> None:
    page = page_of("a")
    response = page.post(fields)
    assert (response.status, message in response.text, page.jobs) == (400, True, [])


def test_the_list_that_cannot_be_read_is_an_error() -> None:
    page = page_of("a")
    page.storage = Mock(side_effect=ServiceRequestError("no connection"))
    assert page.post({**SYNC, "all": "true"}).status == 503


def test_the_way_back_leads_to_the_same_list() -> None:
    page = page_of("a")
    queries = page.post({**SYNC, "all": "true", "status": "Failed", "sort": "Oldest"}).own_queries
    assert any((query.get("status"), query.get("sort")) == ("Failed", "Oldest") for query in queries)


def test_markup_in_a_name_stays_text() -> None:
    hostile = replace(summary(Status.FAILED), instance=f"{summary().instance}{MARKUP.replace('/', '')}")
    response = Page([hostile], settings=Settings(exclude=("*",))).post({**SYNC, "all": "true"})
    assert "img" not in response.tags
