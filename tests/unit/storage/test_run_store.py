"""The records of the timers' runs: read as they were written, in few writes, and no row stops anybody."""

import json
from dataclasses import replace
from typing import Any, cast

import pytest
from azure.data.tables import TableClient
from hypothesis import given

from shared.domain.coverage import Coverage
from shared.storage.run_store import MIN_POLL_RECORD_INTERVAL, LastPollRun, LastSweep, RunStore
from tests.support.clock import Clock
from tests.support.json_values import json_values
from tests.support.memory_table import MemoryTable, damage

SWEEP = LastSweep(
    Clock()(), 2, 3, Coverage(3, 2, ("20000000-0000-4000-8000-000000000000",), 1, 40), Clock()(), "NoResponse: silence"
)

NAMES = {"20000000-0000-4000-8000-000000000000": "Production", "30000000-0000-4000-8000-000000000000": "Te'st"}


def store_on(table: MemoryTable, clock: Clock | None = None) -> RunStore:
    return RunStore(cast(TableClient, table), clock or Clock())


def test_before_the_first_runs_nothing_is_known() -> None:
    store = store_on(MemoryTable())
    assert (store.last_poll_run(), store.last_sweep()) == (None, None)


def test_another_process_reads_the_last_poll_run() -> None:
    table, clock = MemoryTable(), Clock()
    store_on(table, clock).put_poll_run(7, 5)
    assert store_on(table).last_poll_run() == LastPollRun(clock(), 7, 5)


def test_another_process_reads_the_last_sweep() -> None:
    table = MemoryTable()
    store_on(table).put_sweep(SWEEP)
    assert store_on(table).last_sweep() == SWEEP


def test_another_process_reads_the_names_of_subscriptions() -> None:
    table = MemoryTable()
    assert store_on(table).subscription_names() == {}
    store_on(table).put_sweep(replace(SWEEP, coverage=replace(SWEEP.coverage, names=NAMES)))
    assert store_on(table).subscription_names() == NAMES


def test_where_azure_names_no_subscriptions_they_keep_the_names_they_had() -> None:
    store = store_on(MemoryTable())
    store.put_sweep(replace(SWEEP, coverage=replace(SWEEP.coverage, names=NAMES)))
    store.put_sweep(SWEEP)
    assert store.subscription_names() == NAMES


def test_a_shorter_list_of_names_takes_the_place_of_a_longer_one() -> None:
    store = store_on(MemoryTable())
    for names in ({f"{number:036d}": "n" * 100 for number in range(900)}, NAMES):
        store.put_sweep(replace(SWEEP, coverage=replace(SWEEP.coverage, names=names)))
    assert store.subscription_names() == NAMES


def test_more_names_than_a_row_holds_are_named_as_far_as_they_fit() -> None:
    table = MemoryTable()
    names = {f"{number:036d}": "\N{SNOWMAN}" * 100 for number in range(2_000)}
    store_on(table).put_sweep(replace(SWEEP, coverage=replace(SWEEP.coverage, names=names)))
    found = store_on(table).subscription_names()
    assert 0 < len(found) < 2_000
    assert found.items() <= names.items()
    row = table.row("runs", "names")
    assert row
    # In UTF-16.
    assert max(2 * len(str(value)) for value in row.values()) < 64 * 1024
    assert 2 * len(str(row)) < 1024 * 1024


@pytest.mark.parametrize("columns", [{"Parts": "many"}, {"Parts": 9}, {"Names0": "["}, {"Names0": "[1]"}])
def test_damaged_names_are_as_none(columns: dict[str, Any]) -> None:
    table = MemoryTable()
    store_on(table).put_sweep(replace(SWEEP, coverage=replace(SWEEP.coverage, names=NAMES)))
    damage(table, "runs", "names", **columns)
    assert store_on(table).subscription_names() == {}


def test_poll_runs_in_quick_succession_are_written_once() -> None:
    writes: list[object] = []
    table, clock = MemoryTable(), Clock()
    table.changed = writes.append
    store = store_on(table, clock)
    for _ in range(20):
        store.put_poll_run(0, 0)
        clock.advance(1)
    assert len(writes) == 1
    clock.advance(MIN_POLL_RECORD_INTERVAL.total_seconds())
    store.put_poll_run(0, 0)
    assert len(writes) == 2


def test_a_poll_run_is_written_where_the_clock_was_set_back() -> None:
    table, clock = MemoryTable(), Clock()
    store = store_on(table, clock)
    store.put_poll_run(1, 1)
    clock.advance(hours=-1)
    store.put_poll_run(2, 2)
    assert store.last_poll_run() == LastPollRun(clock(), 2, 2)


def test_thousands_of_refused_subscriptions_fit_in_a_row() -> None:
    ids = tuple(f"{number:08d}-0000-4000-8000-000000000000" for number in range(5_000))
    table = MemoryTable()
    store_on(table).put_sweep(LastSweep(Clock()(), coverage=Coverage(5_000, 0, ids, 5_000, 0), failure="x" * 50_000))
    sweep = store_on(table).last_sweep()
    assert sweep
    assert (sweep.coverage.refused_count, len(sweep.coverage.refused)) == (5_000, 100)
    assert len(str(table.row("runs", "sweep"))) < 30_000


@pytest.mark.parametrize("columns", [{"At": "yesterday"}, {"At": None}, {"Due": "many"}, {"Polled": []}])
def test_a_damaged_poll_run_is_as_none(columns: dict[str, Any]) -> None:
    table = MemoryTable()
    store_on(table).put_poll_run(1, 1)
    damage(table, "runs", "poll", **columns)
    assert store_on(table).last_poll_run() is None


@given(json_values())
def test_any_document_of_a_sweep_is_read_or_is_as_none(value: Any) -> None:
    table = MemoryTable()
    damage(table, "runs", "sweep", Document=json.dumps(value))
    assert store_on(table).last_sweep() is None or isinstance(value, dict)
