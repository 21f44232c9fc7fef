"""A shard whose server refuses, and a row that is refused, keep no other from being polled, stored and announced."""

from collections.abc import Iterable

import pytest
from azure.core.exceptions import AzureError

from shared.domain.remediation import Remediation, Status
from shared.storage.table_rows import SHARDS
from tests.support.memory_azure import MemoryApp

SICK = "0"


def statuses(app: MemoryApp, remediations: Iterable[Remediation]) -> set[Status]:
    return {app.now(one).status for one in remediations}


def healthy(by_shard: dict[str, list[Remediation]]) -> list[Remediation]:
    return [one for shard, of_shard in by_shard.items() if shard != SICK for one in of_shard]


def test_a_due_query_that_is_refused_stops_no_other_shard(caplog: pytest.LogCaptureFixture) -> None:
    app = MemoryApp()
    by_shard = app.start_many(24)
    app.store.table.unreadable = {SICK}
    app.host.poller.run()
    assert statuses(app, healthy(by_shard)) == {Status.HEALED}
    assert statuses(app, by_shard[SICK]) == {Status.RUNNING}
    assert caplog.text.count("shard.unreadable") == 1


def test_a_transaction_that_is_refused_keeps_no_other_shard_from_its_announcements(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = MemoryApp()
    by_shard = app.start_many(24)
    app.store.table.unwritable = {SICK}
    app.host.poller.run()
    assert sorted(app.topic.announced) == sorted(one.id for one in healthy(by_shard))
    assert all(app.now(one).published_at for one in healthy(by_shard))
    assert caplog.text.count("shard.not_stored") == 1


def test_a_shard_goes_on_once_its_server_takes_writes_again() -> None:
    app = MemoryApp()
    by_shard = app.start_many(24)
    app.store.table.unwritable = {SICK}
    app.host.poller.run()
    app.store.table.unwritable = set()
    app.host.poller.run()
    assert sorted(app.topic.announced) == sorted(one.id for of_shard in by_shard.values() for one in of_shard)


def test_a_record_of_an_announcement_that_is_refused_costs_its_own_shard_one_batch() -> None:
    app = MemoryApp()
    by_shard = app.start_many(240)
    publish = app.topic.publish

    def publish_and_break(ended: list[Remediation]) -> None:
        app.store.table.unwritable = {SICK}
        publish(ended)

    app.topic.publish = publish_and_break  # type: ignore[method-assign,assignment] # the server breaks just then
    app.host.poller.run()
    announced = set(app.topic.announced)
    assert {one.id for one in healthy(by_shard)} <= announced
    assert len(announced & {one.id for one in by_shard[SICK]}) <= 20


@pytest.mark.parametrize("refused", ["unreadable", "unwritable"])
def test_a_run_fails_once_every_shard_is_refused(refused: str) -> None:
    app = MemoryApp()
    app.start_many(24)
    setattr(app.store.table, refused, set(SHARDS))
    with pytest.raises(AzureError):
        app.host.poller.run()


def test_a_row_that_storage_refuses_keeps_no_other_from_its_end(caplog: pytest.LogCaptureFixture) -> None:
    app = MemoryApp()
    [refused, *others] = [one for of_shard in app.start_many(40).values() for one in of_shard]
    app.store.table.refused_rows = {f"r:{refused.id}"}
    for _ in range(3):
        app.host.poller.run()
    assert sorted(app.topic.announced) == sorted(one.id for one in others)
    assert caplog.text.count("remediation.not_stored") == 1


def test_a_row_that_storage_refused_is_tried_again_in_an_hour() -> None:
    app = MemoryApp()
    [started] = [one for of_shard in app.start_many(1).values() for one in of_shard]
    app.store.table.refused_rows = {f"r:{started.id}"}
    app.host.poller.run()
    app.store.table.refused_rows = set()
    app.clock.advance(minutes=59)
    app.host.poller.run()
    assert app.topic.announced == []
    app.clock.advance(minutes=2)
    app.host.poller.run()
    assert app.topic.announced == [started.id]


def test_an_announcement_that_cannot_be_recorded_is_not_made_again_at_every_run() -> None:
    app = MemoryApp()
    app.start_many(20)
    app.host.poller.run()
    stuck = app.start("bi-stuck")
    app.clock.advance(minutes=1)
    publish = app.topic.publish

    def publish_and_break(ended: list[Remediation]) -> None:
        app.store.table.refused_rows = {f"r:{stuck.id}"}
        publish(ended)

    app.topic.publish = publish_and_break  # type: ignore[method-assign,assignment] # the row breaks just then
    for _ in range(5):
        app.host.poller.run()
        app.clock.advance(minutes=1)
    assert app.topic.announced.count(stuck.id) == 1
