"""The bodies of webhooks, as their receivers read them; texts of Azure stay texts in each."""

import json
from typing import Any

import pytest
from azure.core.messaging import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.notice import Message, Notice, NoticeKind, message_of
from shared.domain.notice_format import request_of
from shared.domain.notify_settings import NoticeFormat
from tests.support.remediations import NOW

PAGE = "https://autoheal.example/api/dashboard"
HOSTILE = "[click](https://evil.example) <!channel> <https://evil.example|x> **bold** {{x}} \N{BELL}"


def notice(text: str, number: int = 0, kind: NoticeKind = NoticeKind.ATTENTION_NEEDED) -> Notice:
    return Notice(
        id=f"id-{number}", kind=kind, at=NOW, title=text, text=text, next_step=text, subject="/subscriptions/x"
    )


def body_of(message: Message, notice_format: NoticeFormat, page: str | None = PAGE) -> Any:
    return json.loads(request_of(message, notice_format, page).body)


def elements(value: Any) -> list[dict[str, Any]]:
    """All JSON objects in a value."""
    if isinstance(value, list):
        return [found for each in value for found in elements(each)]
    if isinstance(value, dict):
        return [value, *(found for each in value.values() for found in elements(each))]
    return []


def test_teams_gets_an_adaptive_card_as_its_workflows_take_it() -> None:
    body = body_of(message_of([notice("bi")]), NoticeFormat.TEAMS)
    (attachment,) = body["attachments"]
    assert body["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"]["type"] == "AdaptiveCard"
    assert attachment["content"]["actions"] == [{"type": "Action.OpenUrl", "title": "Open the page", "url": PAGE}]


def test_in_teams_foreign_text_stands_where_no_markdown_is_read() -> None:
    card = body_of(message_of([notice(HOSTILE)]), NoticeFormat.TEAMS)
    holders = {each.get("type") for each in elements(card) if HOSTILE in str(each.get("text", ""))}
    assert holders == {"TextRun"}


@pytest.mark.parametrize("notice_format", [NoticeFormat.TEAMS, NoticeFormat.SLACK])
@given(text=st.text(min_size=1, max_size=300), count=st.integers(1, 40))
def test_a_body_stays_below_what_teams_takes(notice_format: NoticeFormat, text: str, count: int) -> None:
    long = text * (300 // len(text))
    message = message_of(notice(long, number, kind) for kind in NoticeKind for number in range(count))
    assert len(request_of(message, notice_format, PAGE).body) < 28_000


@pytest.mark.parametrize("notice_format", [NoticeFormat.TEAMS, NoticeFormat.SLACK])
@pytest.mark.parametrize(("text", "shown"), [("bi", 20), ("\N{BELL}" * 300, 5)])
def test_people_see_as_many_notices_as_fit_and_a_count_of_the_others(
    notice_format: NoticeFormat, text: str, shown: int
) -> None:
    body = json.dumps(body_of(message_of(notice(text, number) for number in range(50)), notice_format))
    assert f'"and {50 - shown} more"' in body


def test_the_plain_text_shows_the_first_notices_and_counts_the_others() -> None:
    body = body_of(message_of(notice("bi", number) for number in range(50)), NoticeFormat.GENERIC)
    assert body["text"].endswith("\n\nand 30 more")


@pytest.mark.parametrize("notice_format", [NoticeFormat.CLOUD_EVENTS, NoticeFormat.GENERIC])
def test_a_program_gets_every_notice(notice_format: NoticeFormat) -> None:
    body = body_of(message_of(notice("\N{BELL}" * 300, number) for number in range(50)), notice_format)
    got = body if notice_format is NoticeFormat.CLOUD_EVENTS else body["notices"]
    assert [each["id"] for each in got] == [f"id-{number}" for number in range(50)]


def test_in_slack_foreign_text_stands_where_no_markup_is_read() -> None:
    body = body_of(message_of([notice(HOSTILE)]), NoticeFormat.SLACK)
    holders = {each["type"] for each in elements(body) if isinstance(text := each.get("text"), str) and HOSTILE in text}
    assert holders == {"plain_text"}
    assert body["text"] == "1 backup instance needs attention"


@pytest.mark.parametrize("count", [1, 20, 500])
def test_slack_gets_no_more_blocks_than_it_takes(count: int) -> None:
    notices = [notice("x" * 300, number, kind) for kind in NoticeKind for number in range(count)]
    body = body_of(message_of(notices), NoticeFormat.SLACK)
    assert len(body["blocks"]) <= 50
    assert json.dumps(body).count(" more") == (0 if count == 1 else len(NoticeKind))


def test_the_receiver_of_cloud_events_gets_a_batch_that_the_sdk_reads() -> None:
    request = request_of(message_of([notice("a", 1), notice("b", 2)]), NoticeFormat.CLOUD_EVENTS, PAGE)
    events: list[CloudEvent[Any]] = [CloudEvent.from_dict(each) for each in json.loads(request.body)]
    assert request.content_type == "application/cloudevents-batch+json"
    assert [(event.id, event.type, event.subject) for event in events] == [
        ("id-1", "BackupAutoheal.Notice.AttentionNeeded", "/subscriptions/x"),
        ("id-2", "BackupAutoheal.Notice.AttentionNeeded", "/subscriptions/x"),
    ]
    assert events[0].time == NOW


def test_the_plain_body_has_title_text_and_the_notices() -> None:
    body = body_of(message_of([notice("bi")]), NoticeFormat.GENERIC)
    assert body["title"] == "1 backup instance needs attention"
    assert body["text"] == "1 backup instance needs attention\n\nbi\nbi\nbi"
    assert body["notices"][0]["kind"] == "AttentionNeeded"
    assert body["pageUrl"] == PAGE


@pytest.mark.parametrize("notice_format", NoticeFormat)
def test_without_a_known_page_there_is_no_link(notice_format: NoticeFormat) -> None:
    assert "https://autoheal" not in json.dumps(body_of(message_of([notice("bi")]), notice_format, None))
