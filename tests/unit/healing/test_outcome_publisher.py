"""Announcements: what cannot be announced for a reason of its own keeps no other from it."""

from collections.abc import Sequence

import pytest

from shared.domain.remediation import Remediation
from tests.support.memory_azure import MemoryApp, MemoryTopic


class PickyTopic(MemoryTopic):
    """Fails, as nobody foresaw, where it is told of one of these."""

    def __init__(self, *unforeseen: str) -> None:
        super().__init__()
        self.unforeseen = set(unforeseen)

    def publish(self, news: Sequence[Remediation]) -> None:
        if self.unforeseen & {each.id for each in news}:
            raise UnicodeError("no text of this world")
        super().publish(news)


def test_an_event_that_cannot_be_made_keeps_no_other_from_being_announced(caplog: pytest.LogCaptureFixture) -> None:
    app = MemoryApp()
    started = [app.start(f"bi-{number}") for number in range(30)]
    app.host.topic = topic = PickyTopic(started[7].id)
    app.host.__post_init__()
    app.clock.advance(minutes=1)
    app.host.poller.run()
    assert sorted(topic.announced) == sorted(each.id for each in started if each != started[7])
    assert f'"outcome.not_published", "count": 1, "remediationId": "{started[7].id}"' in caplog.text


def test_it_is_announced_once_it_can_be() -> None:
    app = MemoryApp()
    started = app.start("bi")
    app.host.topic = topic = PickyTopic(started.id)
    app.host.__post_init__()
    app.clock.advance(minutes=1)
    app.host.poller.run()
    topic.unforeseen.clear()
    app.clock.advance(hours=1)
    app.host.poller.run()
    assert topic.announced == [started.id]
