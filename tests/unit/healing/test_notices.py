"""Notices go from the announcement by the outbox to the webhook: once, grouped, and again after a failure."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from shared.clients.notice_webhook import NotSent
from shared.clients.outcome_topic import PublishFailed
from shared.domain.attention import with_attention
from shared.domain.error_codes import BUILT_IN
from shared.domain.incident import Incident, IncidentEvent, event_id
from shared.domain.notice import Message
from shared.domain.remediation import Remediation
from shared.healing.notices import KEPT, NoticeTopic, Notifier
from shared.storage.notice_outbox import NoticeOutbox
from tests.support.clock import Clock
from tests.support.memory_table import MemoryTable
from tests.support.remediations import LATER, instance_named, queued


class Webhook:
    """Takes messages, unless it is to refuse them."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.refusals: list[Exception] = []

    def send(self, message: Message) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.messages.append(message)

    @property
    def told(self) -> list[str]:
        """The ids of all notices, as often as they were sent."""
        return [each.id for message in self.messages for section in message.sections for each in section.notices]


class World:
    """One receiver, and hosts that share storage."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.table = MemoryTable()
        self.webhook = Webhook()

    def outbox(self) -> NoticeOutbox:
        table: Any = self.table
        return NoticeOutbox(table, self.clock)

    def notifier(self) -> Notifier:
        webhook: Any = self.webhook
        return Notifier(self.outbox(), webhook, self.clock, lambda: 1.0)

    def announce(self, *news: Remediation) -> None:
        NoticeTopic(self.outbox(), BUILT_IN, None).publish(news)


@pytest.fixture
def world() -> World:
    return World()


def failing(name: str) -> Remediation:
    return with_attention(queued(instance_named(name)), LATER, "it failed")


def ids(*remediations: Remediation) -> list[str]:
    return [f"{each.id}-attention" for each in remediations]


def test_an_error_that_utf_8_cannot_write_keeps_no_notice_from_being_sent(world: World) -> None:
    broken, other = replace(failing("a"), error={"code": "Cut\ud83d", "message": "cut \ud83d"}), failing("b")
    world.announce(broken, other)
    world.notifier().run()
    assert sorted(world.webhook.told) == sorted(ids(broken, other))


def test_what_was_announced_since_is_sent_in_one_message(world: World) -> None:
    one, other = failing("a"), failing("b")
    world.announce(one)
    world.announce(other)
    world.notifier().run()
    assert len(world.webhook.messages) == 1
    assert world.webhook.told == ids(one, other)


def test_what_is_announced_again_after_it_was_sent_is_not_sent_again(world: World) -> None:
    one = failing("a")
    world.announce(one)
    world.notifier().run()
    world.announce(one)
    world.clock.advance(minutes=10)
    world.notifier().run()
    assert world.webhook.told == ids(one)


def test_without_notices_nothing_is_sent_and_one_request_made(world: World) -> None:
    requests: list[None] = []
    world.table._boundary = lambda: requests.append(None)
    world.notifier().run()
    assert world.webhook.messages == []
    assert len(requests) <= 2  # before and after it


def test_two_hosts_at_once_send_one_message(world: World) -> None:
    one, other = failing("a"), world.notifier()
    world.announce(one)

    class Racing(Webhook):
        def send(self, message: Message) -> None:
            other.run()
            world.webhook.send(message)

    racing: Any = Racing()
    Notifier(world.outbox(), racing, world.clock, lambda: 1.0).run()
    assert world.webhook.told == ids(one)


def test_a_refused_message_is_sent_after_a_back_off_that_grows(world: World) -> None:
    one = failing("a")
    world.announce(one)
    world.webhook.refusals = [NotSent("answered 503"), NotSent("answered 503")]
    sent_at = []
    for _ in range(60):
        world.notifier().run()
        sent_at.append((len(world.webhook.refusals), len(world.webhook.messages)))
        world.clock.advance(seconds=1)
    assert sent_at.index((1, 0)) == 0
    assert sent_at.index((0, 0)) == 5
    assert sent_at.index((0, 1)) == 15


def test_a_receiver_that_asks_for_time_gets_it_up_to_an_hour(world: World) -> None:
    world.announce(failing("a"))
    world.webhook.refusals = [NotSent("answered 429", 24 * 3600)]
    world.notifier().run()
    world.clock.advance(minutes=59)
    world.notifier().run()
    assert world.webhook.messages == []
    world.clock.advance(minutes=2)
    world.notifier().run()
    assert len(world.webhook.messages) == 1


def test_a_host_that_died_while_it_sent_keeps_nobody_from_sending_for_longer_than_its_turn(world: World) -> None:
    one = failing("a")
    world.announce(one)
    world.webhook.refusals = [KeyboardInterrupt()]  # type: ignore[list-item] # as a kill: nothing is cleaned up
    with pytest.raises(KeyboardInterrupt):
        world.notifier().run()
    world.notifier().run()
    assert world.webhook.messages == []
    world.clock.advance(minutes=3)
    world.notifier().run()
    assert world.webhook.told == ids(one)


@pytest.mark.parametrize("until", ["", "soon", "9999-12-31T23:59:59Z"])
def test_a_turn_that_nobody_can_have_written_keeps_nobody_from_sending(world: World, until: str) -> None:
    world.announce(failing("a"))
    world.table.upsert_entity({"PartitionKey": "notices", "RowKey": "turn", "Until": until, "Failures": 3})
    world.notifier().run()
    assert len(world.webhook.messages) == 1


def test_a_notice_that_cannot_be_read_keeps_no_other_from_being_sent(world: World) -> None:
    one = failing("b")
    world.table.upsert_entity({"PartitionKey": "notices", "RowKey": "due:0", "Document": "{"})
    world.announce(one)
    world.notifier().run()
    assert world.webhook.told == ids(one)


def test_notices_are_forgotten_after_a_week_and_unsent_ones_are_an_error(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    sent, unsent, young = failing("a"), failing("b"), failing("c")
    world.announce(sent)
    world.notifier().run()
    world.announce(unsent)
    world.clock.advance(days=KEPT.days, seconds=1)
    world.announce(young)
    world.notifier().purge()
    assert '"notice.given_up"' in caplog.text
    assert '"count": 1' in caplog.text
    world.notifier().run()
    assert world.webhook.told == ids(sent, young)


class Topic:
    """A topic that takes all, or nothing."""

    def __init__(self, is_down: bool = False) -> None:
        self.is_down = is_down
        self.taken: list[str] = []

    def publish(self, news: Sequence[Remediation]) -> None:
        if self.is_down:
            raise PublishFailed("down")
        self.taken += [each.id for each in news]

    def publish_incident(self, incident: Incident, event: IncidentEvent) -> None:
        if self.is_down:
            raise PublishFailed("down")
        self.taken.append(event_id(incident, event))


def test_a_topic_is_told_as_well(world: World) -> None:
    one, topic = failing("a"), Topic()
    NoticeTopic(world.outbox(), BUILT_IN, topic).publish([one])
    assert topic.taken == [one.id]


def test_a_topic_that_is_down_for_days_makes_nobody_be_told_twice(world: World) -> None:
    one, topic = failing("a"), Topic(is_down=True)
    for _ in range(3):
        with pytest.raises(PublishFailed):
            NoticeTopic(world.outbox(), BUILT_IN, topic).publish([one])
        world.notifier().run()
        world.clock.advance(days=1)
    assert world.webhook.told == ids(one)


def test_an_outbox_that_storage_refuses_leaves_the_announcement_due(world: World) -> None:
    world.table.unwritable = {"notices"}
    topic = Topic()
    with pytest.raises(PublishFailed):
        NoticeTopic(world.outbox(), BUILT_IN, topic).publish([failing("a")])
    assert topic.taken == []


def test_a_remediation_without_news_puts_nothing_into_the_outbox(world: World) -> None:
    world.announce(replace(queued()))
    assert len(world.table) == 0
