"""Rows that all hosts swap, where the SDK repeats a swap that storage has carried out: it is made once."""

from datetime import timedelta
from typing import Any

import pytest

from shared.rate_limits.rate_limiter import Gcra
from shared.rate_limits.sweep_quota import SweepQuota
from shared.storage.backup_slots import BackupSlots
from shared.storage.notice_outbox import NoticeOutbox
from shared.storage.shared_rows import Row, SharedRows
from tests.support.clock import Clock
from tests.support.memory_store import MemoryStore
from tests.support.memory_table import repeat_next_write
from tests.support.remediations import INSTANCE


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[True, False], ids=["server error", "no answer"])
def is_answered(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(now=clock)


def counted(row: Row | None) -> Row:
    return {"Count": int(row["Count"]) + 1 if row else 1}


def test_a_row_that_is_changed_again_and_again_changes_once_each_time(
    store: MemoryStore, clock: Clock, is_answered: bool
) -> None:
    rows = SharedRows(store._table, "counts", clock)
    for number in range(1, 4):
        repeat_next_write(store.table, is_answered)
        rows.change("all", counted)
        row: Any = rows.read("all")
        assert row["Count"] == number


def test_what_another_host_changes_meanwhile_is_not_lost(store: MemoryStore, clock: Clock) -> None:
    rows = SharedRows(store._table, "counts", clock)
    others = [counted, counted]

    def after_others(row: Row | None) -> Row:
        if others:
            rows.change("all", others.pop())
        return counted(row)

    rows.change("all", after_others)
    row: Any = rows.read("all")
    assert row["Count"] == 3


def test_the_slot_of_a_backup_is_taken_by_who_took_it(store: MemoryStore, clock: Clock, is_answered: bool) -> None:
    repeat_next_write(store.table, is_answered)
    assert BackupSlots(store._table, 1, clock).take(INSTANCE, "remediation") == clock()


def test_so_it_is_if_another_takes_one_before_the_sdk_repeats_the_write(store: MemoryStore, clock: Clock) -> None:
    slots, another = BackupSlots(store._table, 3, clock), BackupSlots(store._table, 3, clock)
    slots.take(INSTANCE, "an earlier one")
    clock.advance(seconds=1)

    def take_meanwhile() -> None:
        clock.advance(seconds=1)
        another.take(INSTANCE, "another")

    repeat_next_write(store.table, meanwhile=take_meanwhile)
    begun_at = clock()
    assert slots.take(INSTANCE, "remediation") == begun_at


def test_a_slot_that_the_remediation_had_before_is_not_taken_again(store: MemoryStore, clock: Clock) -> None:
    slots = BackupSlots(store._table, 3, clock)
    slots.take(INSTANCE, "remediation")
    assert slots.take(INSTANCE, "remediation") is None


def test_the_turn_to_send_notices_is_taken_by_who_took_it(store: MemoryStore, clock: Clock, is_answered: bool) -> None:
    repeat_next_write(store.table, is_answered)
    assert NoticeOutbox(store._table, clock).take_turn(timedelta(minutes=2)) == 0


def test_no_slot_of_a_sweep_is_taken_twice(store: MemoryStore, clock: Clock, is_answered: bool) -> None:
    quota = SweepQuota(Gcra(burst=200, rate=10), store.buckets, clock)
    free = quota.peek(INSTANCE.subscription_id, 10)
    repeat_next_write(store.table, is_answered)
    assert quota.take(INSTANCE.subscription_id, 5) == free[:5]
    assert quota.take(INSTANCE.subscription_id, 5) == free[5:]
