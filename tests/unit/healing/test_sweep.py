"""The sweep over stores, queue and Resource Graph in memory: what it opens, what it leaves, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

import pytest

from shared.clients.resource_graph import BrokenInstance, QueryResult, QuerySucceeded, ResourceGraph
from shared.domain import lifecycle, sync_jobs, wake
from shared.domain.arm_results import Refused, TransientFailure
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.remediation import Remediation, Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal
from shared.healing.intake import Intake
from shared.healing.poll_cache import PollCache
from shared.healing.sweep import Sweep, SweepFailed, SweepResult
from shared.rate_limits.rate_limiter import Gcra
from shared.rate_limits.sweep_quota import SweepQuota
from shared.settings import Settings
from shared.storage.queues import SyncJob
from tests.support.clock import Clock
from tests.support.memory_queue import MemoryQueue
from tests.support.memory_store import MemoryStore
from tests.support.remediations import ERROR, after
from tests.unit.rate_limits.test_rate_limiter import OTHER, SUBSCRIPTION

INSTANCE = BackupInstanceId(SUBSCRIPTION, "rg", "vault", "bi")
BUDGET = Gcra(burst=40, rate=4)
AT_ONCE = BUDGET.burst // 4
"""Turns that are free at first."""


class MemoryGraph:
    """Knows these instances as broken, or answers this."""

    def __init__(self) -> None:
        self.instances: Sequence[BackupInstanceId] = ()
        self.instead: QueryResult | None = None
        self.while_it_answers: Callable[[], None] = lambda: None

    def broken_instances(self, deadline: datetime) -> QueryResult:
        self.while_it_answers()
        broken = [BrokenInstance(instance, "ProtectionError") for instance in self.instances]
        return self.instead or QuerySucceeded(broken, unreadable=0)


@dataclass
class World:
    clock: Clock
    store: MemoryStore
    graph: MemoryGraph
    queue: MemoryQueue
    intake: Intake
    sweep: Sweep

    def opened(self, source: str = "Sweep") -> list[Remediation]:
        return [each for each in self.store.remediations() if each.source == source]

    def event(self, instance: BackupInstanceId = INSTANCE) -> SyncJob | None:
        """An event says that the instance failed; returns the job that is to be queued."""
        return self.intake.accept(Signal(instance, "Event", "backup failed", self.clock())).job

    def store_after(self, before: Remediation, after: Remediation) -> None:
        """The remediation has moved on."""
        stored = self.store.load(before.id)
        assert stored is not None
        self.store.save(stored, after)


def world_with(**changes: object) -> World:
    settings = replace(Settings(), **changes)  # type: ignore[arg-type] # named by each test
    clock, store, graph, queue = Clock(), MemoryStore(), MemoryGraph(), MemoryQueue()
    intake = Intake(store, queue, PollCache(), settings.policy(), clock)
    quota = SweepQuota(BUDGET, store.buckets, clock)
    sweep = Sweep(cast(ResourceGraph, graph), intake, quota, queue, clock, lambda: 0.5)
    return World(clock, store, graph, queue, intake, sweep)


@pytest.fixture
def world() -> World:
    return world_with()


def instances(count: int, subscription: str = SUBSCRIPTION) -> list[BackupInstanceId]:
    return [BackupInstanceId(subscription, "rg", "vault", f"bi-{number}") for number in range(count)]


def codes(swept: SweepResult) -> set[str]:
    return {left.code for left in swept.skipped}


def test_a_broken_instance_of_which_no_signal_came_is_healed(world: World) -> None:
    world.graph.instances = [INSTANCE]
    swept = world.sweep.run()
    [opened] = world.opened()
    assert (opened.instance, opened.reason) == (INSTANCE, "found in ProtectionError")
    assert [each.remediation_id for each in swept.opened] == [opened.id]
    assert [job for job, _ in world.queue.sent] == [SyncJob(opened.id, 1)]


def test_each_job_stays_in_the_queue_until_its_turn(world: World) -> None:
    world.graph.instances = instances(AT_ONCE + 20)
    world.sweep.run()
    delays = sorted(delay.total_seconds() for _, delay in world.queue.sent)
    assert sum(delay <= 0 for delay in delays) == AT_ONCE
    assert delays[-20:] == pytest.approx([float(number) for number in range(1, 21)])


def test_a_remediation_is_due_when_its_job_is(world: World) -> None:
    world.graph.instances = instances(AT_ONCE + 20)
    world.sweep.run()
    due = sorted(each.due_at for each in world.opened() if each.due_at)
    assert due[-1] == world.clock() + timedelta(seconds=20) + sync_jobs.JOB_TIMEOUT


def test_an_instance_that_is_being_healed_is_left_alone_and_nothing_is_written(world: World) -> None:
    world.event()
    world.graph.instances = [INSTANCE]
    before = world.store.remediations()
    swept = world.sweep.run()
    assert codes(swept) == {"AlreadyActive"}
    assert world.store.remediations() == before


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exclude": ("*/vault/*",)}, "OutOfScope"),
        ({}, "CoolingDown"),
        ({"cooldown": timedelta(), "daily_cap": 1}, "DailyCapReached"),
    ],
)
def test_the_policy_is_the_same_as_for_any_signal(changes: dict[str, object], code: str) -> None:
    world = world_with(**changes)
    world.event(BackupInstanceId(SUBSCRIPTION, "rg", "elsewhere", "bi"))
    world.event()
    for each in world.store.remediations():
        world.store_after(each, after(each, Refused(400, ERROR), now=world.clock()))
    world.graph.instances = [INSTANCE]
    assert codes(world.sweep.run()) == {code}
    assert world.opened() == []


def test_what_an_operator_has_cancelled_today_is_left_alone() -> None:
    world = world_with(cooldown=timedelta())
    world.event()
    [opened] = world.store.remediations()
    world.store_after(opened, lifecycle.cancel(opened, "not now", world.clock()))
    world.graph.instances = [INSTANCE]
    assert codes(world.sweep.run()) == {"CancelledToday"}


def test_what_has_no_turn_is_left_to_a_later_sweep(world: World) -> None:
    turns = AT_ONCE + 30 * 60
    world.graph.instances = instances(turns + 5)
    assert world.sweep.run().skipped_by_code == {"NoTurn": 5}
    world.clock.advance(3600)
    swept = world.sweep.run()
    assert len(swept.opened) == 5
    assert swept.skipped_by_code == {"AlreadyActive": turns}


def test_a_dry_run_says_what_a_sweep_would_do(world: World) -> None:
    world.event()
    world.graph.instances = [INSTANCE, *instances(AT_ONCE + 30 * 60 + 5)]
    dry = world.sweep.preview()
    swept = world.sweep.run()
    assert sorted(each.begins_at for each in dry.opened) == sorted(each.begins_at for each in swept.opened)
    assert dry.skipped_by_code == swept.skipped_by_code == {"AlreadyActive": 1, "NoTurn": 5}


def test_a_dry_run_writes_nothing(world: World) -> None:
    world.graph.instances = instances(3)
    world.sweep.preview()
    assert (world.store.remediations(), world.queue.sent) == ([], [])
    assert world.sweep.preview().opened == world.sweep.preview().opened


def test_a_sweep_that_takes_too_long_leaves_the_rest(world: World) -> None:
    world.graph.instances = instances(3)
    world.graph.while_it_answers = lambda: world.clock.advance(300)
    assert world.sweep.run().skipped_by_code == {"NoTime": 3}


def test_an_event_about_an_instance_that_waits_for_its_turn_heals_it_at_once(world: World) -> None:
    world.graph.instances = instances(AT_ONCE + 500)
    last = max(world.sweep.run().opened, key=lambda each: each.begins_at)
    job = world.event(last.instance)
    assert job == SyncJob(str(last.remediation_id), 1)
    stored = world.store.load(str(last.remediation_id))
    assert stored is not None
    assert (stored.remediation.status, stored.remediation.signals) == (Status.QUEUED, 2)
    assert sync_jobs.job_delay(stored.remediation, world.clock()) == timedelta()


def test_a_second_event_about_it_queues_nothing(world: World) -> None:
    world.graph.instances = instances(AT_ONCE + 500)
    last = max(world.sweep.run().opened, key=lambda each: each.begins_at)
    world.event(last.instance)
    assert world.event(last.instance) is None


def test_subscriptions_have_their_own_turns(world: World) -> None:
    world.graph.instances = instances(AT_ONCE) + instances(AT_ONCE, OTHER)
    assert max(each.begins_at for each in world.sweep.run().opened) <= world.clock()


@pytest.mark.parametrize(
    ("answer", "refused", "retry_after"),
    [(Refused(403, ERROR), 403, None), (TransientFailure(ERROR, 7.0), None, 7.0)],
)
def test_without_an_answer_of_resource_graph_there_is_no_sweep(
    world: World, answer: QueryResult, refused: int | None, retry_after: float | None
) -> None:
    world.graph.instead = answer
    with pytest.raises(SweepFailed) as raised:
        world.sweep.run()
    assert (raised.value.error, raised.value.refused, raised.value.retry_after) == (ERROR, refused, retry_after)


def test_the_timer_tells_the_log_and_ends_well(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world.graph.instead = Refused(403, ERROR)
    world.sweep.on_schedule()
    assert '"sweep.failed"' in caplog.text
    assert "UserErrorMissingPermission" in caplog.text


def test_a_remediation_of_a_sweep_knows_what_it_protects_so_that_a_role_there_can_wake_it(world: World) -> None:
    disk = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/data/providers/Microsoft.Compute/disks/d"
    snapshots = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/snapshots"
    broken = BrokenInstance(INSTANCE, "ProtectionError", datasource_id=disk, snapshot_group_id=snapshots)
    world.graph.instead = QuerySucceeded([broken], unreadable=0)
    world.sweep.run()
    [opened] = world.opened()
    assert {group for _, group in wake.groups_of(opened)} == {"rg", "data", "snapshots"}


@pytest.mark.parametrize(("code", "backup_failed"), [("UserErrorHookExecutionFailed", True), ("UserErrorAny", False)])
def test_the_error_of_a_backup_job_is_a_failed_backup(code: str, backup_failed: bool) -> None:
    world = world_with(recovery=RecoveryMode.BACKUP)
    world.graph.instead = QuerySucceeded([BrokenInstance(INSTANCE, "ProtectionError", code)], unreadable=0)
    world.sweep.run()
    [opened] = world.opened()
    assert opened.recovery
    assert opened.recovery.backup_failed is backup_failed
