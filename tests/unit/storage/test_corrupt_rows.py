"""Rows that cannot be read: each hides itself and nothing else, is reported once, and is rebuilt where it can be."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from shared.clock import to_millis
from shared.domain.remediation import Remediation, Status
from shared.domain.remediation_json import CorruptDocument
from shared.healing.intake import Coalesced, Dropped, Opened
from shared.storage.corrupt_rows import CorruptRows
from shared.storage.remediation_list import Filters, RemediationReader
from shared.storage.table_rows import SHARDS, shard_of
from tests.support.memory_azure import MemoryApp
from tests.support.remediations import NOW, instance_named, queued

MILLIS = f"{to_millis(NOW):013d}"
YEAR_10889 = 281_474_976_710_655
ENTRIES = [
    "d:0junk",
    f"d:{MILLIS}:no-id",
    f"d:{MILLIS}:{queued().id}:more",
    f"d:{MILLIS[:-1]}:{queued().id}",
    f"d:0{YEAR_10889}:{queued().id}",
    f"d:0:{queued().id.upper()}",
]


def app_with(count: int = 1) -> tuple[MemoryApp, list[Remediation]]:
    """So many have failed and are due."""
    app = MemoryApp()
    return app, [one for of_shard in app.start_many(count).values() for one in of_shard]


def broken(app: MemoryApp, remediation: Remediation, **columns: Any) -> None:
    app.host.cache.forget(remediation.id)
    app.store.table.upsert_entity({**app.row(remediation), **columns})


def with_document(app: MemoryApp, remediation: Remediation, changes: Mapping[str, Any]) -> None:
    document = json.loads(app.row(remediation)["Document0"])
    broken(app, remediation, Document0=json.dumps({**document, **changes}))


def reader(app: MemoryApp) -> RemediationReader:
    return RemediationReader(app.store._table, app.store, app.clock)


# Due entries


@pytest.mark.parametrize("key", ENTRIES)
@pytest.mark.parametrize("shard", SHARDS)
def test_a_due_entry_with_a_bad_key_is_removed_and_stops_nothing(
    key: str, shard: str, caplog: pytest.LogCaptureFixture
) -> None:
    app, remediations = app_with(8)
    app.store.table.upsert_entity({"PartitionKey": shard, "RowKey": key})
    for _ in range(2):
        app.host.poller.run()
    assert {app.now(one).status for one in remediations} == {Status.HEALED}
    assert caplog.text.count("row.corrupt") == 1
    assert app.store.soonest(shard) is None


@pytest.mark.parametrize("key", ["d:junk", f"d:{YEAR_10889}:{queued().id}"])
def test_a_bad_entry_that_is_never_due_is_removed_by_the_health_check(key: str) -> None:
    app = MemoryApp()
    app.store.table.upsert_entity({"PartitionKey": "0", "RowKey": key})
    assert app.store.soonest("0") is None
    assert app.store.corrupt_rows.count() == 1


def test_an_entry_in_the_shard_of_others_is_removed_where_it_stands() -> None:
    app = MemoryApp()
    elsewhere = next(shard for shard in SHARDS if shard != shard_of(queued().id))
    app.store.table.upsert_entity({"PartitionKey": elsewhere, "RowKey": f"d:{MILLIS}:{queued().id}"})
    app.host.poller.run()
    assert app.store.soonest(elsewhere) is None


# Buckets of the rate limits


@pytest.mark.parametrize(
    "columns",
    [
        {"Horizon": "junk"},
        {},
        {"Horizon": 5},
        {"Horizon": "9999-12-31T23:59:59+00:00"},
        {"Horizon": (NOW + timedelta(days=9)).isoformat()},
    ],
)
def test_a_bucket_that_cannot_be_read_is_begun_anew(columns: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    app = MemoryApp()
    subscription = instance_named("x").subscription_id
    for kind in ("writes", "reads"):
        app.store.table.upsert_entity({"PartitionKey": "pacing", "RowKey": f"{kind}:{subscription}", **columns})
    started = app.start("bi-0")
    app.clock.advance(minutes=1)
    app.host.poller.run()
    assert app.now(started).status is Status.HEALED
    assert caplog.text.count("row.corrupt") == 2
    assert app.store.buckets.tat(f"reads:{subscription}") is not None


# Remediations


@pytest.mark.parametrize(
    "changes",
    [
        {"error": "text"},
        {"attempts": []},
        {
            "attempts": [
                {"number": 1, "syncType": "Default", "queuedAt": "2026-01-02T03:04:05Z", "operationStatusUrl": 5}
            ]
        },
        {"history": []},
        {"dueAt": None},
        {"openedAt": "0001-01-01T00:00:00+14:00"},
        {"backupInstanceId": "junk"},
        {"id": queued(instance_named("another")).id},
        {"status": "Undead"},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_document_that_cannot_be_read_is_reported_once_an_hour_and_stops_no_other(
    changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    app, [first, *others] = app_with(8)
    with_document(app, first, changes)
    for _ in range(6):
        app.host.poller.run()
        app.clock.advance(minutes=9)
    assert {app.now(one).status for one in others} == {Status.HEALED}
    assert sorted(app.topic.announced) == sorted(one.id for one in others)
    assert caplog.text.count("remediation.corrupt") == 1
    assert "poll.failed" not in caplog.text
    with pytest.raises(CorruptDocument):
        app.store.load(first.id)


def test_a_poll_that_fails_as_nobody_foresaw_is_put_off(caplog: pytest.LogCaptureFixture) -> None:
    app, _ = app_with(1)
    app.arm.polled = None  # type: ignore[assignment] # no result that the state machine knows
    for _ in range(4):
        app.host.poller.run()
        app.clock.advance(minutes=1)
    assert app.arm.calls.count("operation") == 1


# Summaries


@pytest.mark.parametrize(
    "summary",
    [
        '["Running","i","Event",99999999999999999999,1,null,null]',
        "[" * 20_000,
        '["Running",null,"Event",null,1,null,null]',
        '["Running","junk","Event",null,1,null,null]',
        "",
        5,
    ],
    ids=lambda summary: str(summary)[:20],
)
def test_a_summary_that_cannot_be_read_is_made_anew_from_its_document(
    summary: object, caplog: pytest.LogCaptureFixture
) -> None:
    app, remediations = app_with(8)
    broken(app, remediations[0], Summary=summary)
    for _ in range(2):
        found = reader(app).summaries(NOW - timedelta(days=1))
    assert sorted(one.id for one in found) == sorted(one.id for one in remediations)
    assert caplog.text.count("remediation.corrupt") == 1


@pytest.mark.parametrize("key", ["r:fe", "r:fe648356707x-20dafcb78b82790e", "r:fe6483567071-20DAFCB78B82790E"])
def test_a_row_without_an_id_is_in_no_list(key: str) -> None:
    app, remediations = app_with(8)
    row = {**app.row(remediations[0]), "RowKey": key}
    app.store.table.upsert_entity(row)
    app.store.table.upsert_entity({"PartitionKey": row["PartitionKey"], "RowKey": key + "0"})
    assert len(reader(app).summaries(NOW - timedelta(days=1))) == 8
    assert len(reader(app).page(Filters(), 50).items) == 8


# Latest pointers


@pytest.mark.parametrize(
    "columns",
    [
        {"Remediation": ""},
        {"Remediation": "junk"},
        {"Remediation": 5},
        {"Remediation": queued(instance_named("another")).id},
        {"Opened": "junk"},
        {"Opened": str(10**30)},
    ],
    ids=str,
)
def test_a_latest_pointer_that_cannot_be_read_is_rebuilt_from_the_instances_rows(columns: dict[str, Any]) -> None:
    app, [active, *_] = app_with(1)
    pointer = app.store.latest_pointer(active.instance)
    key = {"PartitionKey": shard_of(active.id), "RowKey": f"o:{active.instance.key}"}
    app.store.table.upsert_entity({**dict(app.store.table.get_entity(*key.values())), **columns})
    rebuilt = app.store.latest_pointer(active.instance)
    assert pointer is not None
    assert rebuilt is not None
    assert (rebuilt.remediation_id, rebuilt.opened) == (active.id, pointer.opened)
    assert isinstance(app.host.intake.accept(app.signal("bi-0")), Coalesced)


@pytest.mark.parametrize("columns", [{}, {"Remediation": "", "Opened": ""}, {"Remediation": "junk", "Document0": "{"}])
def test_an_instance_whose_pointer_is_all_that_is_left_can_be_healed(columns: dict[str, Any]) -> None:
    app = MemoryApp()
    instance = instance_named("bi-0")
    key = {"PartitionKey": shard_of(queued(instance).id), "RowKey": f"o:{instance.key}"}
    app.store.table.upsert_entity({**key, **columns})
    opened = app.host.intake.accept(app.signal("bi-0"))
    assert isinstance(opened, Opened)
    assert isinstance(app.host.intake.accept(app.signal("bi-0")), Coalesced | Dropped)


# Reports


def test_a_row_is_reported_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    app = MemoryApp()
    rows = CorruptRows(app.store._table, app.clock)
    for minutes in (0, 59, 2):
        app.clock.advance(minutes=minutes)
        rows.report("0", "d:junk", "no time")
    assert caplog.text.count("row.corrupt") == 2


def test_a_row_counts_as_corrupt_for_a_day_after_it_was_met() -> None:
    app = MemoryApp()
    rows = CorruptRows(app.store._table, app.clock)
    rows.report("0", "d:junk", "no time")
    app.clock.advance(hours=23)
    assert rows.count() == 1
    rows.purge()
    assert rows.count() == 1
    app.clock.advance(hours=1)
    assert rows.count() == 0
    rows.purge()
    assert list(app.store.table.query_entities("PartitionKey eq 'corrupt'")) == []
