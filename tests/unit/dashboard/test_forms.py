"""The forms of the page: sync and cancel, and what they refuse."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.remediation import Status
from shared.settings import Settings
from tests.support import remediations as episodes
from tests.support.dashboard_parts import REMEDIATION_ID, SYNC, Page, with_queued_remediation
from tests.support.remediations import LATER


def test_the_sync_form_opens_a_remediation_and_queues_its_job() -> None:
    page = Page()
    response = page.post(SYNC)
    assert (response.status, len(page.jobs), len(page.store.remediations())) == (303, 1, 1)


def test_the_sync_form_gives_sync_type_and_reason() -> None:
    page = Page()
    page.post({**SYNC, "syncType": "ForceResync", "reason": " moved to another vault "})
    [opened] = page.store.remediations()
    assert (opened.attempt.sync_type, opened.reason) == ("ForceResync", "moved to another vault")


def test_a_sync_of_an_instance_that_is_being_healed_joins_its_remediation() -> None:
    page = with_queued_remediation()
    redirect = page.post(SYNC).redirect
    assert (redirect["note"], redirect["id"]) == ("joined", REMEDIATION_ID)
    assert not page.jobs


@pytest.mark.parametrize(
    ("settings", "status", "message"),
    [
        (Settings(exclude=("*",)), 403, "INCLUDE and EXCLUDE leave this instance out"),
        (Settings(cooldown=timedelta(hours=1)), 409, "its cooldown (COOLDOWN) has not passed yet"),
    ],
)
def test_a_sync_that_the_policy_drops_is_explained(settings: Settings, status: int, message: str) -> None:
    page = Page(settings=settings, now=LATER)
    page.keep(episodes.healed())
    response = page.post({**SYNC, "reason": "please"})
    assert (response.status, message in response.text) == (status, True)
    assert "please" in response.values, "what was typed is still there"


def test_a_ticked_sync_begins_within_the_cooldown_and_says_who_wanted_it() -> None:
    page = Page(settings=Settings(cooldown=timedelta(hours=1)), now=LATER)
    page.keep(episodes.healed())
    assert page.post({**SYNC, "reason": "repaired", "force": "true"}).redirect["note"] == "opened"
    assert "repaired (at once)" in {each.reason for each in page.store.remediations()}


def test_an_instance_that_needs_attention_can_be_acknowledged() -> None:
    page = Page(now=LATER)
    kept = page.keep(episodes.rejected())
    redirect = page.post({"do": "acknowledge", "id": kept.id, "days": "7", "reason": "known"}).redirect
    assert (redirect["note"], redirect["id"]) == ("acknowledged", kept.id)
    assert "Acknowledged by an operator" in page.open(id=kept.id).text


def test_a_scope_is_paused_and_resumed_on_the_page() -> None:
    page = Page(now=LATER)
    page.post({"do": "pause", "scope": "*/vault-1/*", "days": "1", "reason": "<b>move</b>"})
    shown = page.open().text
    assert "*/vault-1/*, by an operator until" in shown
    assert "<b>move</b>" in shown
    page.post({"do": "resume", "scope": "*/vault-1/*"})
    assert "by an operator until" not in page.open().text


def test_there_is_nothing_to_acknowledge_of_a_healed_instance() -> None:
    page = Page(now=LATER)
    kept = page.keep(episodes.healed())
    assert page.post({"do": "acknowledge", "id": kept.id, "days": "7"}).redirect["note"] == "unneeded"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"do": "sync"}, "Backup instance: enter"),
        ({"do": "sync", "backupInstanceId": "/subscriptions/x"}, "Backup instance: "),
        ({**SYNC, "syncType": "Maybe"}, "Sync type: "),
        ({**SYNC, "reason": "x" * 501}, "Reason: it has 501"),
        ({"do": "cancel", "id": REMEDIATION_ID, "reason": "x" * 501}, "Reason: it has 501"),
        ({"do": "acknowledge", "id": REMEDIATION_ID, "days": "8"}, "is none of the choices"),
        ({"do": "pause", "scope": " ", "days": "1"}, "Instances: enter a glob"),
        ({"do": "dance"}, "unknown form"),
        ({}, "unknown form"),
        (b"do=%FF", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"a=b&" * 121, "cannot be read"),
    ],
)
def test_an_invalid_form_is_refused_with_the_reason(fields: dict[str, str] | bytes, message: str) -> None:
    response = with_queued_remediation().post(fields)
    assert (response.status, message in response.text) == (400, True)


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", ""])
def test_another_content_type_is_refused_with_the_expected_one(content_type: str) -> None:
    response = Page().post(b"do=sync", content_type)
    assert (response.status, "expected a form (application/x-www-form-urlencoded)" in response.text) == (415, True)


def test_a_form_that_is_too_large_is_refused_with_the_limit() -> None:
    response = Page().post({**SYNC, "reason": "x" * 20_000})
    assert (response.status, "at most 16384 are allowed" in response.text) == (413, True)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_change_nothing(body: bytes) -> None:
    page = Page()
    assert page.post(body).status == 400
    assert not page.store.remediations()


def test_cancelling_ends_the_remediation_with_the_reason() -> None:
    page = with_queued_remediation()
    response = page.post({"do": "cancel", "id": REMEDIATION_ID, "reason": "planned work"})
    [now] = page.store.remediations()
    assert (response.status, now.status, now.history[-1].reason) == (303, Status.CANCELLED, "planned work")


def test_cancelling_an_ended_remediation_says_that_it_had_ended() -> None:
    page = Page()
    page.keep(episodes.healed())
    assert page.post({"do": "cancel", "id": REMEDIATION_ID}).redirect["note"] == "ended"


def test_cancelling_an_unknown_remediation_is_not_found() -> None:
    assert Page().post({"do": "cancel", "id": "nothing"}).status == 404


def test_opening_the_page_changes_nothing() -> None:
    page = Page()
    page.open(**SYNC)
    assert (page.jobs, page.store.remediations()) == ([], [])
