"""Records of the timers' runs: of sweeps that end and that fail, and of what Azure lets the sweep see."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import cast
from unittest.mock import Mock

import pytest
from azure.core.exceptions import AzureError, ServiceRequestError
from azure.data.tables import TableClient

from shared.clients.resource_graph import QueryFailed
from shared.domain.arm_results import TransientFailure, new_error
from shared.domain.coverage import Coverage
from shared.healing.run_records import CoverageReader, RunRecords
from shared.healing.sweep import SweepFailed
from shared.storage.queues import ShardJob
from shared.storage.run_store import LastSweep, RunStore
from shared.storage.table_rows import SHARDS
from tests.support.clock import Clock
from tests.support.memory_azure import MemoryApp
from tests.support.memory_table import MemoryTable
from tests.unit.healing.test_sweep import INSTANCE, World, world_with

SILENCE = TransientFailure(new_error("NoResponse", "silence"))
COVERAGE = Coverage(2, 2, instances=5)


def records_on(table: MemoryTable, clock: Clock) -> RunRecords:
    return RunRecords(RunStore(cast(TableClient, table), clock), lambda: COVERAGE, clock)


def recorded_world() -> tuple[World, RunStore]:
    world = world_with()
    records = records_on(world.store.table, world.clock)
    return replace(world, sweep=replace(world.sweep, records=records)), records.store


def no_count(deadline: datetime) -> int:
    raise QueryFailed(SILENCE)


def coverage(names: Mapping[str, str] | TransientFailure, instances: int | None = 5) -> Coverage:
    def count(deadline: datetime) -> int:
        return no_count(deadline) if instances is None else instances

    return CoverageReader(count, lambda: names, (), Clock())()


def test_azure_says_what_is_watched() -> None:
    assert coverage({"one": "prod", "two": "test"}) == COVERAGE


def test_where_azure_names_no_subscriptions_the_instances_are_known_all_the_same() -> None:
    assert coverage(SILENCE) == Coverage(instances=5)


def test_where_resource_graph_does_not_count_the_subscriptions_are_known_all_the_same() -> None:
    assert coverage({"one": "prod"}, instances=None) == Coverage(1, 1)


def test_a_sweep_is_recorded_with_what_it_could_see() -> None:
    world, store = recorded_world()
    world.graph.instances = [INSTANCE]
    world.sweep.run()
    assert store.last_sweep() == LastSweep(world.clock(), opened=1, skipped=0, coverage=COVERAGE)


def test_a_preview_of_a_sweep_is_not_recorded() -> None:
    world, store = recorded_world()
    world.sweep.preview()
    assert store.last_sweep() is None


def test_a_failed_sweep_is_recorded_beside_the_last_that_ended() -> None:
    world, store = recorded_world()
    world.sweep.run()
    ended_at = world.clock()
    world.clock.advance(hours=1)
    world.graph.instead = SILENCE
    with pytest.raises(SweepFailed):
        world.sweep.run()
    failed = LastSweep(ended_at, coverage=COVERAGE, failed_at=world.clock(), failure="NoResponse: silence")
    assert store.last_sweep() == failed


def test_a_sweep_that_ends_well_forgets_the_failure_before() -> None:
    world, store = recorded_world()
    world.graph.instead = SILENCE
    world.sweep.on_schedule()
    world.graph.instead = None
    world.sweep.run()
    assert store.last_sweep() == LastSweep(world.clock(), coverage=COVERAGE)


def test_a_record_that_storage_does_not_take_fails_no_run(caplog: pytest.LogCaptureFixture) -> None:
    down = Mock(side_effect=ServiceRequestError("down"))
    store = Mock(put_poll_run=down, put_sweep=down, last_sweep=down)
    records = RunRecords(store, lambda: COVERAGE, Clock())
    records.poll_run(1, 1)
    records.sweep(0, 0)
    records.failed_sweep("refused")
    assert caplog.text.count("run.not_recorded") == 3


def test_a_poll_run_over_all_shards_is_recorded_and_one_over_a_single_shard_is_not() -> None:
    app, runs = MemoryApp(), list[tuple[int, int]]()
    app.start_many(3)
    host = replace(app.host, record_run=lambda due, polled: runs.append((due, polled)))
    host.poller.run_shard(ShardJob(SHARDS[0]).to_message())
    assert runs == []
    host.poller.run()
    host.poller.run()
    assert [polled for _, polled in runs] == [due for due, _ in runs]
    assert len(runs) == 2


def test_a_run_that_storage_refused_altogether_is_not_recorded() -> None:
    app, runs = MemoryApp(), list[tuple[int, int]]()
    app.store.table.unreadable = set(SHARDS)
    host = replace(app.host, record_run=lambda due, polled: runs.append((due, polled)))
    with pytest.raises(AzureError):
        host.poller.run()
    assert runs == []
