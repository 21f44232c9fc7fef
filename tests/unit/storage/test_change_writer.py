"""Large transactions: what was stored is told, also if the rest cannot be, and a lost race costs few requests."""

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from msgspec.structs import replace

from shared.domain.remediation import Remediation
from shared.storage.change_writer import MAX_CHANGES_PER_TRANSACTION
from shared.storage.table_rows import Change, Saved, Stored, Unsaved, shard_of_instance
from tests.support.memory_store import MemoryStore
from tests.support.memory_table import failed, repeat_next_transaction
from tests.support.remediations import INSTANCE, instance_named, queued


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def opened(store: MemoryStore) -> list[Stored]:
    """As many as go into one transaction."""
    instances = (instance_named(f"bi-{number}") for number in range(1_000))
    of_shard = [each for each in instances if shard_of_instance(each) == shard_of_instance(INSTANCE)]
    return [store.open(queued(each), None) for each in of_shard[:MAX_CHANGES_PER_TRANSACTION]]


def counted(stored: Stored) -> Remediation:
    return replace(stored.remediation, signals=stored.remediation.signals + 1)


def in_storage(store: MemoryStore) -> set[str]:
    return {each.id for each in store.remediations() if each.signals == 2}


def saved_id(saved: Saved | Unsaved) -> str:
    assert isinstance(saved, Saved)
    return saved.stored.remediation.id


def test_what_was_stored_before_storage_went_silent_is_told(store: MemoryStore, opened: list[Stored]) -> None:
    """A loser spoils the transaction; its first half is stored then, and the second one finds no storage."""
    store.save(opened[-1], opened[-1].remediation)
    transact, sent = store.table.submit_transaction, list[int]()

    def until_third(operations: Any, **options: Any) -> Any:
        sent.append(1)
        if len(sent) == 3:
            raise ServiceRequestError("no storage")
        return transact(operations, **options)

    store.table.submit_transaction = until_third  # type: ignore[method-assign] # its own
    told = set[str]()
    with pytest.raises(ServiceRequestError):
        told.update(map(saved_id, store.save_all([Change(each, counted(each)) for each in opened])))
    assert told == in_storage(store) == {each.remediation.id for each in opened[: len(opened) // 2]}


def test_a_lost_race_is_looked_at_once_and_then_one_by_one(store: MemoryStore, opened: list[Stored]) -> None:
    for each in opened:
        store.save(each, each.remediation)
    read, reads = store.table.get_entity, list[str]()

    def counting(partition: str, row: str) -> Any:
        reads.append(row)
        return read(partition, row)

    store.table.get_entity = counting  # type: ignore[method-assign] # its own
    assert list(store.save_all([Change(each, counted(each)) for each in opened])) == []
    assert len(reads) == 1 + len(opened)


def test_where_the_look_fails_each_is_looked_at_again(store: MemoryStore, opened: list[Stored]) -> None:
    read, reads = store.table.get_entity, list[str]()

    def fails_once(partition: str, row: str) -> Any:
        reads.append(row)
        if len(reads) == 1:
            raise failed(HttpResponseError, 503)
        return read(partition, row)

    store.table.get_entity = fails_once  # type: ignore[method-assign] # its own
    repeat_next_transaction(store.table)
    told = set(map(saved_id, store.save_all([Change(each, counted(each)) for each in opened])))
    assert told == in_storage(store) == {each.remediation.id for each in opened}
