"""The store on real table storage: what is atomic, who wins a race, what a tick reads."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import count
from uuid import uuid4

import pytest
from azure.data.tables import TableClient, TableServiceClient, UpdateMode

from shared.domain import state_machine
from shared.domain.remediation import Remediation, Status, new_id
from shared.domain.remediation_json import CorruptDocument
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal, SyncType
from shared.storage.remediation_store import RemediationStore, WriteConflict
from shared.storage.table_rows import SHARDS, Change, DueEntry, Saved, Stored, shard_of, shard_of_instance
from tests.support.episodes import ACCEPTED, INSTANCE, NOW, queued
from tests.support.memory_store import MemoryStore

HOUR = timedelta(hours=1)


@pytest.fixture
def table(connection_string: str) -> Iterator[TableClient]:
    """A table of this test's own."""
    service = TableServiceClient.from_connection_string(connection_string)
    with service.create_table(f"test{uuid4().hex}") as table:
        yield table
        table.delete_table()


@pytest.fixture(params=["azurite", "memory"])
def store(request: pytest.FixtureRequest) -> RemediationStore:
    """Both keep the same promises: what the tests of the pure core build on is what storage does."""
    return MemoryStore() if request.param == "memory" else RemediationStore(request.getfixturevalue("table"))


def open_one(store: RemediationStore, number: int = 0) -> Stored:
    """A queued remediation of an instance of its own, stored."""
    instance = replace(INSTANCE, name=f"bi-{number}")
    fresh = state_machine.open_remediation(Signal(instance, "Event", "failed", NOW), SyncType.DEFAULT, NOW)
    store.open(fresh, None)
    return loaded(store, fresh)


def loaded(store: RemediationStore, wanted: Remediation) -> Stored:
    stored = store.load(wanted.id)
    assert stored is not None
    return stored


def entries(store: RemediationStore, of: Remediation) -> list[DueEntry]:
    return store.due(shard_of(of.id), NOW + 24 * HOUR, 100)


def stored_by(store: RemediationStore, changes: Iterable[Change]) -> list[Saved]:
    return list(store.save_all(changes))


def test_an_opened_remediation_is_loaded_as_it_was_stored(store: RemediationStore) -> None:
    fresh = queued()
    store.open(fresh, None)
    assert loaded(store, fresh).remediation == fresh


def test_an_unknown_id_loads_nothing(store: RemediationStore) -> None:
    assert store.load(queued().id) is None


def test_what_was_just_opened_can_be_saved_without_reading_it(store: RemediationStore) -> None:
    fresh = queued()
    stored = store.open(fresh, None)
    assert stored == loaded(store, fresh)


def test_what_is_opened_stands_whole_in_its_claim(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    owner = store.owner_beside(opened.id)
    assert owner is not None
    assert owner.unfinished(NOW) == opened


def test_a_claim_of_long_ago_promises_nothing(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    owner = store.owner_beside(opened.id)
    assert owner is not None
    assert owner.unfinished(NOW + 13 * HOUR) is None


def test_what_was_finished_before_is_left_as_it_has_become(store: RemediationStore) -> None:
    stored = open_one(store)
    saved = store.save(stored, accepted(stored))
    assert store.finish_opening(stored.remediation) is None
    assert loaded(store, stored.remediation) == saved


@pytest.mark.parametrize("number", [1, 12, 13, 60])
def test_what_is_due_is_read_together(store: RemediationStore, number: int) -> None:
    opened = {one.remediation.id: one for one in (open_one(store, each) for each in range(4 * number))}
    found: dict[str, Stored | CorruptDocument] = {}
    for shard in SHARDS:
        found |= store.load_due(store.due(shard, NOW, 100))
    assert found == opened


def test_what_is_due_is_read_wherever_its_row_stands(store: RemediationStore) -> None:
    entries = []
    for number in range(30):
        opened_at = NOW + number * HOUR
        signal = Signal(in_first_shard(number), "Event", "failed", NOW)
        fresh = state_machine.open_remediation(signal, SyncType.DEFAULT, opened_at)
        store.open(fresh, None)
        entries.append(DueEntry(fresh.id, opened_at))
    assert set(store.load_due(entries)) == {entry.remediation_id for entry in entries}


def test_an_entry_without_a_row_is_read_as_nothing(store: RemediationStore) -> None:
    entries = [DueEntry(new_id(in_first_shard(number), NOW), NOW) for number in range(20)]
    assert store.load_due(entries) == {}


def test_a_long_document_is_read_whole_among_others(store: RemediationStore) -> None:
    run = [open_in_first_shard(store, number) for number in range(20)]
    error = {"code": "Long", "message": "x" * 70_000}
    long = store.save(run[7], replace(run[7].remediation, error=error))
    found = store.load_due([DueEntry(one.remediation.id, one.entry_at) for one in run])
    assert found[long.remediation.id] == long


def test_a_record_that_cannot_be_read_is_alone_with_it(store: RemediationStore) -> None:
    run = [open_in_first_shard(store, number) for number in range(20)]
    broken = run[7].remediation.id
    store._table.update_entity({"PartitionKey": "0", "RowKey": f"r:{broken}", "Document0": "{"}, UpdateMode.MERGE)
    found = store.load_due([DueEntry(one.remediation.id, one.entry_at) for one in run])
    assert [one for one, row in found.items() if isinstance(row, CorruptDocument)] == [broken]
    assert len(found) == len(run)


def in_first_shard(number: int) -> BackupInstanceId:
    """An instance whose rows are in the first shard."""
    names = (f"bi-{number}-{again}" for again in count())
    return next(one for one in (replace(INSTANCE, name=name) for name in names) if shard_of_instance(one) == "0")


def open_in_first_shard(store: RemediationStore, number: int) -> Stored:
    fresh = state_machine.open_remediation(
        Signal(in_first_shard(number), "Event", "failed", NOW), SyncType.DEFAULT, NOW
    )
    stored = store.open(fresh, None)
    assert stored is not None
    return stored


def test_an_opened_remediation_is_due_though_nobody_queues_its_job(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    assert entries(store, opened) == [DueEntry(opened.id, opened.opened_at)]


def test_an_instance_has_one_owner(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    rival = state_machine.open_remediation(Signal(opened.instance, "Event", "again", NOW), SyncType.DEFAULT, NOW + HOUR)
    with pytest.raises(WriteConflict):
        store.open(rival, None)


def test_who_loses_the_race_to_open_leaves_nothing_behind(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    rival = state_machine.open_remediation(Signal(opened.instance, "Event", "again", NOW), SyncType.DEFAULT, NOW + HOUR)
    with pytest.raises(WriteConflict):
        store.open(rival, None)
    assert store.load(rival.id) is None
    assert [entry.remediation_id for entry in entries(store, opened)] == [opened.id]


def test_the_next_remediation_takes_the_owner_over(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    following = state_machine.open_remediation(
        Signal(opened.instance, "Event", "again", NOW), SyncType.DEFAULT, NOW + HOUR
    )
    store.open(following, store.owner(opened.instance))
    owner = store.owner(opened.instance)
    assert owner is not None
    assert owner.remediation_id == following.id


def test_of_two_who_take_over_one_wins(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    seen_by_both = store.owner(opened.instance)
    signal = Signal(opened.instance, "Event", "again", NOW)
    store.open(state_machine.open_remediation(signal, SyncType.DEFAULT, NOW + HOUR), seen_by_both)
    with pytest.raises(WriteConflict):
        store.open(state_machine.open_remediation(signal, SyncType.DEFAULT, NOW + 2 * HOUR), seen_by_both)


def test_the_owner_is_found_in_any_casing(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    assert store.owner(BackupInstanceId.parse(str(opened.instance).upper())) is not None


def test_of_two_saves_of_the_same_reading_one_wins(store: RemediationStore) -> None:
    stored = open_one(store)
    store.save(stored, state_machine.count_signal(stored.remediation))
    with pytest.raises(WriteConflict):
        store.save(stored, state_machine.count_signal(stored.remediation))


@pytest.mark.parametrize("due_in", [-HOUR, timedelta(), HOUR])
def test_a_saved_remediation_has_an_entry_at_its_due_time_or_before(store: RemediationStore, due_in: timedelta) -> None:
    stored = open_one(store)
    due_at = NOW + due_in
    store.save(stored, replace(stored.remediation, due_at=due_at))
    saved = loaded(store, stored.remediation)
    named = [entry for entry in entries(store, saved.remediation) if saved.names(entry)]
    assert [entry.at <= due_at for entry in named] == [True]


def test_what_ends_long_before_it_was_due_is_due_at_once(store: RemediationStore) -> None:
    stored = open_one(store)
    (waiting,) = stored_by(store, [Change(stored, replace(stored.remediation, due_at=NOW + HOUR))])
    store.save(waiting.stored, state_machine.cancel(waiting.stored.remediation, "cancelled", NOW))
    ended = loaded(store, stored.remediation)
    assert [entry.at for entry in entries(store, ended.remediation) if ended.names(entry)] == [NOW]


def test_a_tick_moves_the_entry_to_the_due_time(store: RemediationStore) -> None:
    stored = open_one(store)
    after = accepted(stored)
    stored_by(store, [Change(stored, after)])
    assert entries(store, after) == [DueEntry(after.id, NOW + timedelta(seconds=60))]


def test_what_is_over_is_due_no_more(store: RemediationStore) -> None:
    stored = open_one(store)
    after = replace(stored.remediation, due_at=None)
    stored_by(store, [Change(stored, after)])
    assert entries(store, after) == []


def test_a_change_can_follow_on_what_was_just_saved(store: RemediationStore) -> None:
    stored = open_one(store)
    (saved,) = stored_by(store, [Change(stored, state_machine.count_signal(stored.remediation))])
    assert stored_by(store, [Change(saved.stored, state_machine.count_signal(saved.stored.remediation))])


def test_one_lost_race_spoils_no_other_change(store: RemediationStore) -> None:
    opened = [open_one(store, number) for number in range(60)]
    lost = opened[7]
    store.save(lost, state_machine.count_signal(lost.remediation))
    changes = [Change(one, replace(one.remediation, reason="changed")) for one in opened]
    saved = stored_by(store, changes)
    expected = {one.remediation.id for one in opened} - {lost.remediation.id}
    assert {one.stored.remediation.id for one in saved} == expected


def test_only_what_is_due_is_read_soonest_first(store: RemediationStore) -> None:
    stored = open_one(store)
    shard = shard_of(stored.remediation.id)
    assert store.due(shard, NOW - timedelta(milliseconds=1), 10) == []
    assert [entry.at for entry in store.due(shard, NOW, 10)] == [NOW]


def test_no_more_entries_are_read_than_asked_for(store: RemediationStore) -> None:
    for number in range(40):
        open_one(store, number)
    assert len(store.due("0", NOW, 1)) == 1


def test_a_spare_entry_is_dropped_once_and_twice(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    entry = DueEntry(opened.id, opened.opened_at)
    store.drop_entry(entry)
    store.drop_entry(entry)
    assert entries(store, opened) == []


def test_an_error_of_many_pages_is_kept_whole(store: RemediationStore) -> None:
    stored = open_one(store)
    error = {"code": "Long", "message": "\N{SNOWMAN}" * 29_000}
    store.save(stored, replace(stored.remediation, error=error))
    assert loaded(store, stored.remediation).remediation.error == error


def test_a_record_that_cannot_be_read_says_so(table: TableClient) -> None:
    store = RemediationStore(table)
    opened = open_one(store).remediation
    row = table.get_entity(shard_of(opened.id), f"r:{opened.id}")
    table.update_entity({**row, "Document0": "{"})
    with pytest.raises(CorruptDocument, match=opened.id):
        store.load(opened.id)


def test_what_ended_long_ago_is_purged_and_nothing_else(table: TableClient) -> None:
    store = RemediationStore(table)
    old, active, recent = (open_one(store, number) for number in range(3))
    over = replace(old.remediation, status=Status.HEALED, due_at=None)
    stored_by(store, [Change(old, over)])
    purged = sum(store.purge(shard, NOW + timedelta(milliseconds=1)) for shard in SHARDS)
    assert (purged, store.load(over.id)) == (1, None)
    assert store.load(active.remediation.id) == active
    assert store.load(recent.remediation.id) == recent


def test_who_owned_nothing_since_is_purged_too(table: TableClient) -> None:
    store = RemediationStore(table)
    old, active, again = (open_one(store, number).remediation for number in range(3))
    for ended in (old, again):
        stored_by(store, [Change(loaded(store, ended), replace(ended, status=Status.HEALED, due_at=None))])
    signal = Signal(again.instance, "Event", "again", NOW)
    newer = state_machine.open_remediation(signal, SyncType.DEFAULT, NOW + HOUR)
    store.open(newer, store.owner(again.instance))
    for shard in SHARDS:
        store.purge(shard, NOW + timedelta(milliseconds=1))
    owners = [store.owner(one.instance) for one in (old, active, again)]
    assert [owner and owner.remediation_id for owner in owners] == [None, active.id, newer.id]


def test_what_is_younger_than_the_retention_is_kept(table: TableClient) -> None:
    store = RemediationStore(table)
    stored = open_one(store)
    over = replace(stored.remediation, status=Status.HEALED, due_at=None)
    stored_by(store, [Change(stored, over)])
    assert sum(store.purge(shard, NOW - timedelta(milliseconds=1)) for shard in SHARDS) == 0


def test_an_instance_whose_history_is_purged_can_be_healed_again(table: TableClient) -> None:
    store = RemediationStore(table)
    stored = open_one(store)
    over = replace(stored.remediation, status=Status.HEALED, due_at=None)
    stored_by(store, [Change(stored, over)])
    for shard in SHARDS:
        store.purge(shard, NOW + HOUR)
    signal = Signal(over.instance, "Event", "again", NOW + HOUR)
    store.open(state_machine.open_remediation(signal, SyncType.DEFAULT, NOW + HOUR), store.owner(over.instance))


def accepted(stored: Stored) -> Remediation:
    return state_machine.on_sync_response(stored.remediation, ACCEPTED, NOW, 0.0, None)


def test_what_many_threads_open_and_save_at_once_is_all_stored(table: TableClient) -> None:
    store = RemediationStore(table)
    with ThreadPoolExecutor(12) as threads:
        opened = list(threads.map(lambda number: open_one(store, number), range(40)))
        saved = list(threads.map(lambda stored: store.save(stored, accepted(stored)), opened))
    assert [loaded(store, one.remediation) for one in saved] == saved


def test_of_many_threads_that_open_for_one_instance_one_wins(table: TableClient) -> None:
    store = RemediationStore(table)

    def open_it(number: int) -> bool:
        fresh = state_machine.open_remediation(
            Signal(INSTANCE, "Event", "failed", NOW), SyncType.DEFAULT, NOW + timedelta(milliseconds=number)
        )
        try:
            store.open(fresh, None)
        except WriteConflict:
            return False
        return True

    with ThreadPoolExecutor(12) as threads:
        assert sum(threads.map(open_it, range(12))) == 1


def test_of_many_threads_only_those_lose_whose_row_has_changed(table: TableClient) -> None:
    store = RemediationStore(table)
    opened = [open_one(store, number) for number in range(24)]
    for stored in opened[::2]:
        store.save(stored, accepted(stored))

    def save(stored: Stored) -> bool:
        try:
            store.save(stored, state_machine.count_signal(stored.remediation))
        except WriteConflict:
            return False
        return True

    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(save, opened)) == [False, True] * 12
