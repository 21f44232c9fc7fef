"""Retention: the daily purge of remediations whose end was announced long ago."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import cast

import pytest
from azure.data.tables import TableClient

from shared.clients.outcome_topic import PublishFailed
from shared.domain.remediation import Remediation, Status
from shared.healing.retention import Retention
from shared.setting_values import MAX_DAYS
from shared.storage.backup_slots import BackupSlots
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import SHARDS
from tests.support.memory_azure import MemoryApp
from tests.support.memory_table import MemoryTable
from tests.support.remediations import INSTANCE, NOW


class Purged(RemediationStore):
    """Remembers since when what ended is kept."""

    def __init__(self) -> None:
        super().__init__(cast(TableClient, MemoryTable()), lambda: NOW)
        self.over_before: list[tuple[str, datetime]] = []

    def purge(self, shard: str, over_before: datetime) -> int:
        self.over_before.append((shard, over_before))
        return 0


def slots_of(store: RemediationStore, now: Callable[[], datetime] = lambda: NOW) -> BackupSlots:
    return BackupSlots(store._table, 1, now)


@pytest.mark.parametrize("days", [1, MAX_DAYS])
def test_each_shard_is_purged_of_what_is_older_than_the_retention(days: int) -> None:
    store = Purged()
    Retention(store, slots_of(store), days, lambda: NOW).purge()
    assert store.over_before == [(shard, NOW - timedelta(days=days)) for shard in SHARDS]


def purge(app: MemoryApp) -> None:
    Retention(app.store, slots_of(app.store, app.clock), 1, app.clock).purge()


def down(ended: Sequence[Remediation]) -> None:
    raise PublishFailed("down")


def test_what_the_topic_has_not_taken_is_kept_however_long_that_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    app = MemoryApp()
    app.start_many(10)
    with monkeypatch.context() as patch:
        patch.setattr(app.topic, "publish", down)
        app.host.poller.run()
        app.clock.advance(days=3)
        purge(app)
    app.host.poller.run()
    assert len(app.topic.announced) == 10


@pytest.mark.parametrize(("hours", "kept"), [(23, 1), (25, 0)])
def test_a_remediation_is_kept_for_the_retention_after_its_announced_end(
    hours: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = MemoryApp()
    app.start_many(1)
    with monkeypatch.context() as patch:
        patch.setattr(app.topic, "publish", down)
        app.host.poller.run()
    app.clock.advance(days=9)
    app.host.poller.run()
    app.clock.advance(hours=hours)
    purge(app)
    assert len(app.store.remediations()) == kept


@pytest.mark.parametrize(("hours", "kept"), [(23, 1), (25, 0)])
def test_without_a_topic_it_is_kept_for_the_retention_after_its_end(hours: int, kept: int) -> None:
    app = MemoryApp(has_topic=False)
    app.start_many(1)
    app.host.poller.run()
    app.clock.advance(hours=hours)
    purge(app)
    assert len(app.store.remediations()) == kept


@pytest.mark.parametrize(("hours", "kept"), [(23, 1), (25, 0)])
def test_a_row_of_an_older_version_is_judged_by_its_document(hours: int, kept: int) -> None:
    app = MemoryApp()
    [started] = [one for of_shard in app.start_many(1).values() for one in of_shard]
    app.host.poller.run()
    row = app.row(started)
    del row["OverAt"]
    app.store.table.upsert_entity(row)
    app.clock.advance(hours=hours)
    purge(app)
    assert len(app.store.remediations()) == kept


def test_what_is_active_is_never_purged() -> None:
    app = MemoryApp()
    started = app.start("bi-0")
    app.clock.advance(days=9)
    purge(app)
    assert app.now(started).status is Status.RUNNING


def test_a_shard_that_is_refused_keeps_no_other_from_its_purge() -> None:
    app = MemoryApp()
    by_shard = app.start_many(24)
    app.host.poller.run()
    app.clock.advance(days=9)
    app.store.table.unreadable = {"0"}
    purge(app)
    app.store.table.unreadable = set()
    assert len(app.store.remediations()) == len(by_shard["0"])


@pytest.mark.parametrize(("hours", "kept"), [(23, 1), (25, 0)])
def test_slots_of_backups_are_kept_for_the_day_in_which_they_count(hours: int, kept: int) -> None:
    app = MemoryApp()
    slots = slots_of(app.store, app.clock)
    assert slots.take(INSTANCE, "remediation")
    app.clock.advance(hours=hours)
    purge(app)
    assert len(app.store.table) == kept


def test_a_slot_that_was_given_back_is_not_kept() -> None:
    app = MemoryApp()
    slots = slots_of(app.store, app.clock)
    slots.take(INSTANCE, "remediation")
    slots.give_back(INSTANCE, "remediation", app.clock())
    purge(app)
    assert len(app.store.table) == 0
