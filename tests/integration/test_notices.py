"""Notifications on real storage: from an instance that fails for good to the message that its receiver gets."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from azure.data.tables import TableClient

from shared.clients.http_session import pooled_session
from shared.clients.notice_webhook import NoticeWebhook
from shared.domain.error_codes import BUILT_IN
from shared.domain.notice import Notice, NoticeKind
from shared.domain.notify_settings import NoticeFormat
from shared.healing.notices import KEPT, NoticeTopic, Notifier
from shared.storage.notice_outbox import NoticeOutbox
from tests.integration.conftest import INSTANCE, App, AppMaker
from tests.support.scripted_server import ScriptedServer, scripted_server


@pytest.fixture
def receiver() -> Iterator[ScriptedServer]:
    """Fails once, and takes what comes after that."""
    with scripted_server() as server:
        server.script([{"status": 503, "text": ""}, {"status": 202, "text": ""}])
        yield server


@pytest.fixture
def outbox(make_app: AppMaker, table: TableClient) -> NoticeOutbox:
    return NoticeOutbox(table, make_app().clock)


@pytest.fixture
def app(make_app: AppMaker, outbox: NoticeOutbox) -> App:
    """Its instance fails for good; outcomes go to the topic, and notices into the outbox."""
    app = make_app(max_attempts=1)
    app.azure.put(str(INSTANCE), behaviour={"operationSeconds": 0, "retryAfter": 0, "finalStatus": "Failed"})
    return replace(app, host=replace(app.host, topic=NoticeTopic(outbox, BUILT_IN, app.host.topic)))


@pytest.fixture
def notifier(app: App, outbox: NoticeOutbox, receiver: ScriptedServer) -> Callable[[], Notifier]:
    """Makes that of one host."""
    url = f"http://127.0.0.1:{receiver.port}/hook"
    webhook = NoticeWebhook(url, NoticeFormat.TEAMS, None, pooled_session(url, 1))
    return lambda: Notifier(outbox, webhook, app.clock, random.random)


def test_an_instance_that_fails_for_good_is_told_once_though_the_receiver_failed_at_first(
    app: App, notifier: Callable[[], Notifier], receiver: ScriptedServer
) -> None:
    opened = app.started(finalStatus="Failed")
    app.host.poller.run()
    assert [event["id"] for event in app.azure.events()] == [f"{opened.id}-attention", opened.id]
    for _ in range(4):
        notifier().run()
        app.clock.advance(minutes=1)
    assert [request[:2] for request in receiver.requests] == [("POST", "/hook")] * 2


def test_a_notice_that_is_announced_again_is_known(app: App, outbox: NoticeOutbox) -> None:
    opened = app.started(finalStatus="Failed")
    app.host.poller.run()
    (notice,) = outbox.due(10)
    outbox.remove([notice])
    outbox.put([notice])
    assert outbox.due(10) == []
    assert notice.id == f"{opened.id}-attention"


def test_it_is_forgotten_after_a_week(app: App, outbox: NoticeOutbox) -> None:
    app.started(finalStatus="Failed")
    app.host.poller.run()
    (notice,) = outbox.due(10)
    app.clock.advance(days=KEPT.days + 1)
    assert outbox.purge(app.clock() - KEPT) == 1
    outbox.put([notice])
    assert outbox.due(10) == [notice]


def test_of_two_hosts_one_puts_a_digest(outbox: NoticeOutbox) -> None:
    def digest(day: int) -> Notice:
        at = datetime(2026, 1, day, tzinfo=UTC)
        return Notice(id=f"digest-{day}", kind=NoticeKind.DIGEST, at=at, title="t", text="t", subject=None)

    now = datetime(2026, 1, 3, tzinfo=UTC)
    assert [outbox.put_digest(digest(day), None, now) for day in (1, 2)] == [True, False]
    last = outbox.last_digest()
    assert last is not None
    assert [outbox.put_digest(digest(day), last, now) for day in (3, 4)] == [True, False]
    assert [each.id for each in outbox.due(10)] == ["digest-1", "digest-3"]
