"""The page that follows what happens: it is loaded anew by itself, and says nothing that is over."""

from dataclasses import replace
from datetime import timedelta

import pytest
from azure.core.exceptions import ServiceRequestError
from msgspec import structs

from shared.domain.attention import Acknowledgement
from shared.domain.remediation import Remediation
from tests.support import remediations as episodes
from tests.support.dashboard_parts import (
    MANY,
    REMEDIATION_ID,
    SYNC,
    Page,
    ParsedPage,
    detail_page,
    failed,
    summary,
    with_queued_remediation,
)
from tests.support.remediations import LATER

OPENED = "The sync is queued."


def unread() -> Page:
    def no_storage() -> None:
        raise ServiceRequestError("no connection")

    return Page(storage=no_storage)


def refresh_of(page: ParsedPage) -> str | None:
    """Seconds after which a browser without scripts loads the page anew."""
    _, found, after = page.html.partition('<noscript><meta http-equiv="refresh" content="')
    return after.partition('"')[0] if found else None


def test_the_overview_and_what_goes_on_are_loaded_anew_by_themselves() -> None:
    assert refresh_of(Page([summary()]).open()) == "30"
    assert refresh_of(Page().open()) == "30"
    assert refresh_of(detail_page(episodes.running())) == "10"
    assert refresh_of(unread().open()) == "30"


def test_what_has_ended_and_a_form_that_was_sent_stay_as_they_are() -> None:
    assert refresh_of(detail_page(episodes.healed())) is None
    assert refresh_of(Page().post({"do": "sync", "backupInstanceId": "nothing"})) is None
    assert refresh_of(Page([summary()]).post({"do": "sync several", "all": "true"})) is None
    assert refresh_of(Page().open(id="nothing")) is None


@pytest.mark.parametrize("query", [{}, {"id": REMEDIATION_ID}])
def test_it_can_be_switched_off_and_on(query: dict[str, str]) -> None:
    page = replace(with_queued_remediation(), summaries=MANY)
    on, off = page.open(**query), page.open(**query, live="off")
    assert (refresh_of(on) is None, refresh_of(off)) == (False, None)
    assert {**query, "live": "off"}.items() <= next(each for each in on.own_queries if "live" in each).items()
    assert any({*each} == {*query, "code"} for each in off.own_queries)


def test_once_off_it_stays_off_on_every_way_from_there() -> None:
    page = Page(MANY).open(live="off")
    ways = [each for each in page.own_queries if "id" in each or "after" in each or "format" in each]
    assert ways
    assert {each.get("live") for each in ways} == {"off"}
    assert "off" in page.values


def test_the_switch_has_two_positions() -> None:
    response = Page().open(live="maybe")
    assert (response.status, "live: there is no live" in response.text) == (400, True)


def acknowledged() -> Remediation:
    needing = failed({"code": "UserErrorManagedDiskNotFound", "message": "gone"})
    assert needing.attention
    known = Acknowledgement(by="Ada", reason="known", at=LATER, until=LATER + timedelta(days=1))
    return structs.replace(needing, attention=structs.replace(needing.attention, acknowledgement=known))


@pytest.mark.parametrize(
    ("note", "text", "while_true", "moved_on"),
    [
        ("opened", OPENED, episodes.queued(), episodes.running()),
        ("joined", "your request was added", episodes.running(), episodes.healed()),
        ("acknowledged", "Acknowledged. The instance", acknowledged(), episodes.healed()),
        ("unneeded", "needs nobody now", episodes.healed(), acknowledged()),
        ("ended", "already ended", episodes.healed(), episodes.running()),
        ("cancelled", "Cancelled. An operation", episodes.running(), episodes.running()),
    ],
)
def test_a_note_goes_when_the_state_has_moved_on(
    note: str, text: str, while_true: Remediation, moved_on: Remediation
) -> None:
    assert text not in detail_page(moved_on, note=note).text
    if note != "cancelled":
        assert text in detail_page(while_true, note=note).text


def test_a_cancel_is_noted() -> None:
    page = with_queued_remediation()
    page.post({"do": "cancel", "id": REMEDIATION_ID})
    assert "Cancelled. An operation" in page.open(id=REMEDIATION_ID, note="cancelled").text


def test_a_check_that_is_due_is_made_now_and_not_in_the_past() -> None:
    due = structs.replace(episodes.running(), due_at=LATER)
    assert "Next checknow" in detail_page(due).text.replace("\n", "")


def test_a_check_to_come_says_when() -> None:
    due = structs.replace(episodes.running(), due_at=LATER + timedelta(minutes=12))
    assert "Next checkin 7 minutes" in detail_page(due).text.replace("\n", "")


def test_a_form_sent_where_it_is_off_leads_to_where_it_is_off() -> None:
    page = Page()
    assert page.answer("POST", {"live": "off"}, b"do=sync&backupInstanceId=x", {"Content-Type": "text/plain"})
    redirect = ParsedPage(
        page.answer(
            "POST",
            {"code": "k", "live": "off"},
            f"do=sync&backupInstanceId={SYNC['backupInstanceId']}".encode(),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
    ).redirect
    assert redirect["live"] == "off"
