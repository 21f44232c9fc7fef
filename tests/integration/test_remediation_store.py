"""The store on real table storage: what is atomic, who wins a race, what a poll run reads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count

import pytest
from azure.data.tables import TableClient, UpdateMode
from msgspec.structs import replace

from shared.domain import lifecycle
from shared.domain.remediation import Remediation, Status, new_id
from shared.domain.remediation_json import CorruptDocument
from shared.domain.resource_ids import BackupInstanceId
from shared.storage.conflicts import WriteConflict
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import (
    SHARDS,
    Change,
    DueEntry,
    LatestPointer,
    Saved,
    Stored,
    Unsaved,
    shard_of,
    shard_of_instance,
)
from tests.support.memory_store import MemoryStore
from tests.support.remediations import ACCEPTED, NOW, after, instance_named, queued
from tests.support.repeating_table import NO_ANSWER, open_repeating_table

HOUR = timedelta(hours=1)
MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture(params=["azurite", "memory"])
def store(request: pytest.FixtureRequest) -> RemediationStore:
    """Both keep the same promises: what the tests of the pure core build on is what storage does."""
    return MemoryStore() if request.param == "memory" else RemediationStore(request.getfixturevalue("table"))


@pytest.fixture
def azure_store(table: TableClient) -> RemediationStore:
    """For what the table in memory has no part in, such as threads."""
    return RemediationStore(table)


def open_one(store: RemediationStore, number: int = 0) -> Stored:
    """A queued remediation of an instance of its own, stored."""
    fresh = queued(instance_named(f"bi-{number}"))
    store.open(fresh, None)
    return loaded(store, fresh)


def loaded(store: RemediationStore, wanted: Remediation) -> Stored:
    stored = store.load(wanted.id)
    assert stored is not None
    return stored


def entries(store: RemediationStore, of: Remediation) -> list[DueEntry]:
    return store.due(shard_of(of.id), NOW + 24 * HOUR, 100)


def saved_by_poll(store: RemediationStore, stored: Stored, changed: Remediation) -> Saved:
    """The change, stored as a poll run stores it."""
    [saved] = store.save_all([Change(stored, changed)])
    assert isinstance(saved, Saved)
    return saved


def claim_of(store: RemediationStore, opened: Remediation) -> LatestPointer:
    pointer = store.latest_pointer_beside(opened.id)
    assert pointer is not None
    return pointer


def accepted(stored: Stored) -> Remediation:
    return after(stored.remediation, ACCEPTED, now=NOW)


def counted(stored: Stored) -> Remediation:
    return lifecycle.count_signal(stored.remediation)


def over(stored: Stored) -> Remediation:
    return replace(stored.remediation, status=Status.HEALED, due_at=None, ended_at=NOW)


def wins(attempt: Callable[[], object]) -> bool:
    """Whether nobody else was faster."""
    try:
        attempt()
    except WriteConflict:
        return False
    return True


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
    assert claim_of(store, opened).unfulfilled_claim(NOW) == opened


def test_a_claim_of_long_ago_promises_nothing(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    assert claim_of(store, opened).unfulfilled_claim(NOW + 13 * HOUR) is None


def test_what_was_finished_before_is_left_as_it_has_become(store: RemediationStore) -> None:
    stored = open_one(store)
    saved = store.save(stored, accepted(stored))
    assert store.resume_opening(claim_of(store, stored.remediation), NOW) is None
    assert loaded(store, stored.remediation) == saved


@pytest.mark.parametrize("number", [1, 12, 13, 60])
def test_what_is_due_is_read_together(store: RemediationStore, number: int) -> None:
    opened = {one.remediation.id: one for one in (open_one(store, each) for each in range(4 * number))}
    found: dict[str, Stored | CorruptDocument] = {}
    for shard in SHARDS:
        found |= store.load_due(store.due(shard, NOW, 100))
    assert found == opened


def test_what_is_due_is_read_wherever_its_row_stands(store: RemediationStore) -> None:
    opened = [queued(in_first_shard(number), NOW + number * HOUR) for number in range(30)]
    for each in opened:
        store.open(each, None)
    assert set(store.load_due([DueEntry(each.id, each.opened_at) for each in opened])) == {each.id for each in opened}


def test_an_entry_without_a_row_is_read_as_nothing(store: RemediationStore) -> None:
    entries = [DueEntry(new_id(in_first_shard(number), NOW), NOW) for number in range(20)]
    assert store.load_due(entries) == {}


def test_a_long_document_is_read_whole_among_others(store: RemediationStore) -> None:
    run = [open_in_first_shard(store, number) for number in range(20)]
    error = {"code": "Long", "message": "x" * 70_000}
    long = store.save(run[7], replace(run[7].remediation, error=error))
    found = store.load_due([one.due_entry for one in run])
    assert found[long.remediation.id] == long


def test_a_record_that_cannot_be_read_is_alone_with_it(store: RemediationStore) -> None:
    run = [open_in_first_shard(store, number) for number in range(20)]
    broken = run[7].remediation.id
    store._table.update_entity({"PartitionKey": "0", "RowKey": f"r:{broken}", "Document0": "{"}, UpdateMode.MERGE)
    found = store.load_due([one.due_entry for one in run])
    assert [one for one, row in found.items() if isinstance(row, CorruptDocument)] == [broken]
    assert len(found) == len(run)


def in_first_shard(number: int) -> BackupInstanceId:
    """An instance whose rows are in the first shard."""
    names = (f"bi-{number}-{again}" for again in count())
    return next(one for one in (instance_named(name) for name in names) if shard_of_instance(one) == "0")


def open_in_first_shard(store: RemediationStore, number: int) -> Stored:
    stored = store.open(queued(in_first_shard(number)), None)
    assert stored is not None
    return stored


def test_an_opened_remediation_is_due_though_nobody_queues_its_job(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    assert entries(store, opened) == [DueEntry(opened.id, opened.opened_at)]


def test_who_loses_the_race_to_open_leaves_nothing_behind(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    rival = queued(opened.instance, NOW + HOUR)
    with pytest.raises(WriteConflict):
        store.open(rival, None)
    assert store.load(rival.id) is None
    assert [entry.remediation_id for entry in entries(store, opened)] == [opened.id]


def test_the_latest_pointer_names_the_next_remediation_once_it_is_opened(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    following = queued(opened.instance, NOW + HOUR)
    store.open(following, store.latest_pointer(opened.instance))
    pointer = store.latest_pointer(opened.instance)
    assert pointer is not None
    assert pointer.remediation_id == following.id


def test_of_two_that_open_the_next_remediation_one_wins(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    seen_by_both = store.latest_pointer(opened.instance)
    store.open(queued(opened.instance, NOW + HOUR), seen_by_both)
    with pytest.raises(WriteConflict):
        store.open(queued(opened.instance, NOW + 2 * HOUR), seen_by_both)


def test_the_latest_pointer_is_found_in_any_casing(store: RemediationStore) -> None:
    opened = open_one(store).remediation
    assert store.latest_pointer(BackupInstanceId.parse(str(opened.instance).upper())) is not None


def test_of_two_saves_of_the_same_reading_one_wins(store: RemediationStore) -> None:
    stored = open_one(store)
    store.save(stored, counted(stored))
    with pytest.raises(WriteConflict):
        store.save(stored, counted(stored))


@pytest.mark.parametrize("due_in", [-HOUR, timedelta(), HOUR])
def test_a_saved_remediation_has_an_entry_at_its_due_time_or_before(store: RemediationStore, due_in: timedelta) -> None:
    stored = open_one(store)
    due_at = NOW + due_in
    store.save(stored, replace(stored.remediation, due_at=due_at))
    saved = loaded(store, stored.remediation)
    named = [entry for entry in entries(store, saved.remediation) if entry == saved.due_entry]
    assert [entry.at <= due_at for entry in named] == [True]


def test_what_ends_long_before_it_was_due_is_due_at_once(store: RemediationStore) -> None:
    stored = open_one(store)
    waiting = saved_by_poll(store, stored, replace(stored.remediation, due_at=NOW + HOUR))
    store.save(waiting.stored, lifecycle.cancel(waiting.stored.remediation, "cancelled", NOW))
    ended = loaded(store, stored.remediation)
    assert [entry.at for entry in entries(store, ended.remediation) if entry == ended.due_entry] == [NOW]


def test_a_poll_run_moves_the_entry_to_the_due_time(store: RemediationStore) -> None:
    stored = open_one(store)
    saved = saved_by_poll(store, stored, accepted(stored))
    assert entries(store, stored.remediation) == [saved.stored.due_entry]
    assert saved.stored.due_entry.at == NOW + timedelta(seconds=60)


def test_what_is_over_is_due_no_more(store: RemediationStore) -> None:
    stored = open_one(store)
    saved_by_poll(store, stored, over(stored))
    assert entries(store, stored.remediation) == []


def test_a_change_can_follow_on_what_was_just_saved(store: RemediationStore) -> None:
    stored = open_one(store)
    saved = saved_by_poll(store, stored, counted(stored))
    assert saved_by_poll(store, saved.stored, counted(saved.stored))


def test_one_lost_race_spoils_no_other_change(store: RemediationStore) -> None:
    opened = [open_one(store, number) for number in range(60)]
    lost = opened[7]
    store.save(lost, counted(lost))
    saved = store.save_all([Change(one, replace(one.remediation, reason="changed")) for one in opened])
    expected = {one.remediation.id for one in opened} - {lost.remediation.id}
    assert {one.stored.remediation.id for one in saved if isinstance(one, Saved)} == expected


@pytest.mark.parametrize("large", [[7], [0, 31, 59], range(60)])
def test_changes_without_end_are_cut_and_spoil_no_other(azure_store: RemediationStore, large: Sequence[int]) -> None:
    opened = [open_one(azure_store, number) for number in range(60)]
    endless = {"code": "Long", "message": "\N{SNOWMAN}" * 900_000}
    changes = [
        Change(one, replace(one.remediation, reason="changed", error=endless if number in large else None))
        for number, one in enumerate(opened)
    ]
    saved = [one for one in azure_store.save_all(changes) if isinstance(one, Saved)]
    assert len(saved) == 60
    assert all(loaded(azure_store, one.stored.remediation) == one.stored for one in saved)


def test_a_change_that_storage_refuses_for_good_is_alone_with_it() -> None:
    store = MemoryStore()
    opened = [open_one(store, number) for number in range(60)]
    refused = opened[7].remediation.id
    store.table.refused_rows = {f"r:{refused}"}
    results = list(store.save_all([Change(one, replace(one.remediation, reason="changed")) for one in opened]))
    assert [one.change.after.id for one in results if isinstance(one, Unsaved)] == [refused]
    assert len([one for one in results if isinstance(one, Saved)]) == 59


def test_a_change_that_cannot_even_be_written_down_is_alone_with_it() -> None:
    store = MemoryStore()
    opened = [open_one(store, number) for number in range(60)]
    changes = [Change(one, replace(one.remediation, error="text" if one is opened[7] else None)) for one in opened]
    results = list(store.save_all(changes))
    assert [one.change.stored for one in results if isinstance(one, Unsaved)] == [opened[7]]
    assert len([one for one in results if isinstance(one, Saved)]) == 59


def test_only_what_is_due_is_read_soonest_first(store: RemediationStore) -> None:
    stored = open_one(store)
    shard = shard_of(stored.remediation.id)
    assert store.due(shard, NOW - MILLISECOND, 10) == []
    assert [entry.at for entry in store.due(shard, NOW, 10)] == [NOW]


def test_no_more_entries_are_read_than_asked_for(store: RemediationStore) -> None:
    for number in range(40):
        open_one(store, number)
    assert len(store.due("0", NOW, 1)) == 1


def test_a_stale_due_entry_may_be_dropped_twice(store: RemediationStore) -> None:
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


def test_a_record_that_cannot_be_read_says_so(azure_store: RemediationStore, table: TableClient) -> None:
    opened = open_one(azure_store).remediation
    row = table.get_entity(shard_of(opened.id), f"r:{opened.id}")
    table.update_entity({**row, "Document0": "{"})
    with pytest.raises(CorruptDocument, match=opened.id):
        azure_store.load(opened.id)


def purge(store: RemediationStore, after: timedelta) -> int:
    """Purge what was over until so long after now; returns how many were."""
    return sum(store.purge(shard, NOW + after) for shard in SHARDS)


def test_what_ended_long_ago_is_purged_and_nothing_else(azure_store: RemediationStore) -> None:
    old, active, recent = (open_one(azure_store, number) for number in range(3))
    saved_by_poll(azure_store, old, over(old))
    purged = purge(azure_store, MILLISECOND)
    assert (purged, azure_store.load(old.remediation.id)) == (1, None)
    assert azure_store.load(active.remediation.id) == active
    assert azure_store.load(recent.remediation.id) == recent


def test_a_latest_pointer_is_purged_with_the_last_remediation_of_its_instance(azure_store: RemediationStore) -> None:
    old, active, again = (open_one(azure_store, number) for number in range(3))
    for ended in (old, again):
        saved_by_poll(azure_store, ended, over(ended))
    newer = queued(again.remediation.instance, NOW + HOUR)
    azure_store.open(newer, azure_store.latest_pointer(newer.instance))
    purge(azure_store, MILLISECOND)
    pointers = [azure_store.latest_pointer(one.remediation.instance) for one in (old, active, again)]
    assert [pointer and pointer.remediation_id for pointer in pointers] == [None, active.remediation.id, newer.id]


def test_what_is_younger_than_the_retention_is_kept(azure_store: RemediationStore) -> None:
    stored = open_one(azure_store)
    saved_by_poll(azure_store, stored, over(stored))
    assert purge(azure_store, -MILLISECOND) == 0


def test_an_instance_whose_history_is_purged_can_be_healed_again(azure_store: RemediationStore) -> None:
    stored = open_one(azure_store)
    saved_by_poll(azure_store, stored, over(stored))
    purge(azure_store, HOUR)
    instance = stored.remediation.instance
    assert azure_store.open(queued(instance, NOW + HOUR), azure_store.latest_pointer(instance))


def test_what_many_threads_open_and_save_at_once_is_all_stored(azure_store: RemediationStore) -> None:
    with ThreadPoolExecutor(12) as threads:
        opened = list(threads.map(lambda number: open_one(azure_store, number), range(40)))
        saved = list(threads.map(lambda stored: azure_store.save(stored, accepted(stored)), opened))
    assert [loaded(azure_store, one.remediation) for one in saved] == saved


def test_of_many_threads_that_open_for_one_instance_one_wins(azure_store: RemediationStore) -> None:
    rivals = [queued(at=NOW + number * MILLISECOND) for number in range(12)]
    with ThreadPoolExecutor(12) as threads:
        assert sum(threads.map(lambda rival: wins(lambda: azure_store.open(rival, None)), rivals)) == 1


def test_of_many_threads_only_those_lose_whose_row_has_changed(azure_store: RemediationStore) -> None:
    opened = [open_one(azure_store, number) for number in range(24)]
    for stored in opened[::2]:
        azure_store.save(stored, accepted(stored))
    with ThreadPoolExecutor(12) as threads:
        won = threads.map(lambda stored: wins(lambda: azure_store.save(stored, counted(stored))), opened)
        assert list(won) == [False, True] * 12


@pytest.mark.parametrize("first", [500, NO_ANSWER])
@pytest.mark.parametrize("with_entry", [False, True], ids=["row", "transaction"])
def test_what_the_sdk_repeats_after_it_was_carried_out_is_stored(
    azure_store: RemediationStore, table: TableClient, connection_string: str, with_entry: bool, first: int
) -> None:
    stored = open_one(azure_store)
    repeating, statuses = open_repeating_table(table.table_name, connection_string, first)
    store, sooner = RemediationStore(repeating), NOW + MILLISECOND
    counted = replace(stored.remediation, signals=2, due_at=sooner if with_entry else stored.remediation.due_at)
    if with_entry:
        [saved] = store.save_all([Change(stored, counted)])
        assert isinstance(saved, Saved)
        now = saved.stored
    else:
        now = store.save(stored, counted)
    assert statuses[0] == first
    assert len(statuses) == 2, "the SDK repeats it"
    assert now == loaded(azure_store, counted)
