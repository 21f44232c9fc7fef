"""Whatever dies, repeats, gets lost or interleaves: each remediation reaches one end and one outcome.

A Hypothesis state machine drives the real use cases over store, queue, topic and Resource Manager in memory.
At any boundary between the app and one of those, the process may be killed, the request may fail, or
another host may run a step of its own before this one goes on; that host may observe while this one heals.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from azure.core.exceptions import AzureError, ServiceResponseError
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shared.domain import incident
from shared.domain.arm_results import new_error
from shared.domain.arm_scope import read_scope
from shared.domain.mode import Mode
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.remediation import Remediation, Resolution, Status
from shared.domain.repair import Repair
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal
from shared.healing.intake import Dropped
from shared.rate_limits.rate_limiter import Gcra, RateLimiter
from shared.settings import Settings
from shared.storage.backup_slots import BackupSlots
from tests.support.crash_world import (
    Killed,
    MemoryArm,
    MemoryBackups,
    MemoryQueue,
    MemoryShards,
    MemoryTopic,
    World,
)
from tests.support.host import Host
from tests.support.remediations import NOW

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]

SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"
INSTANCES = [BackupInstanceId(SUBSCRIPTION, "rg", "vault", f"bi-{number}") for number in range(3)]
SETTINGS = Settings(
    max_attempts=2,
    retry_delays=(timedelta(minutes=5),),
    cooldown=timedelta(),
    daily_cap=99,
    outcome_topic_endpoint="https://topic.example",
)


instances = st.sampled_from(INSTANCES)
sources = st.sampled_from(["Event", "Request"])
moments = st.integers(1, 12)
picks = st.integers(0, 5)


def host(
    world: World, max_due_per_host: int, mode: Mode = Mode.HEAL, recovery: RecoveryMode = RecoveryMode.OFF
) -> Host:
    """One process, with a cache of its own."""
    return Host(
        store=world.store,
        arm=MemoryArm(world, mode),
        write_limit=RateLimiter("writes", Gcra(burst=2, rate=1), world.store.buckets, world.clock),
        read_limit=RateLimiter("reads", Gcra(burst=2, rate=1), world.store.buckets, world.clock),
        jobs=MemoryQueue(world),
        shards=MemoryShards(world),
        leases=world.leases,
        topic=MemoryTopic(world),
        backups=MemoryBackups(world),
        latest_points=MemoryBackups(world),
        slots=BackupSlots(world.store._table, 99, world.clock),
        settings=replace(SETTINGS, mode=mode, recovery=recovery),
        clock=world.clock,
        jitter=0.5,
        max_due_per_host=max_due_per_host,
    )


class CrashSafety(RuleBasedStateMachine):
    """Hosts come and go; what they share is the world."""

    other_mode = Mode.HEAL
    recovery = RecoveryMode.OFF

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        # One works through at most one due entry by itself, so that it hands over, too.
        self.host = host(self.world, 2_000, recovery=self.recovery)
        self.other_host = host(self.world, 1, self.other_mode, self.recovery)
        self.endings: dict[str, str] = {}

    def take_signal(self, host: Host, instance: BackupInstanceId, source: str = "Event") -> None:
        result = host.intake.accept(Signal(instance, source, "failed", self.world.clock(), backup_failed=True))
        if not isinstance(result, Dropped):
            self.world.accepted.add(result.remediation.id)
        if result.job:
            self.world.boundary()
            self.world.enqueue(result.job.to_message())

    def take_job(self, host: Host, pick: int, repeated: bool) -> None:
        if not self.world.queue:
            return
        job = self.world.queue[pick % len(self.world.queue)]
        is_repeat = job in self.world.delivered
        self.world.delivered.add(job)
        host.submit.run(job.message, is_repeat)
        if not repeated and job in self.world.queue:
            self.world.queue.remove(job)

    def take_shard(self, host: Host, pick: int, repeated: bool) -> None:
        if not self.world.shards:
            return
        message = self.world.shards[pick % len(self.world.shards)]
        host.poller.run_shard(message)
        if not repeated and message in self.world.shards:
            self.world.shards.remove(message)

    @rule(instance=instances, source=sources)
    def a_signal_comes(self, instance: BackupInstanceId, source: str) -> None:
        self.take_signal(self.host, instance, source)

    def repair(self, host: Host) -> None:
        scope = read_scope(f"/subscriptions/{SUBSCRIPTION}")
        assert scope is not None
        host.wake.run(Repair(scope, True, "roleAssignments/write", self.world.clock()))

    @rule()
    def a_role_is_assigned(self) -> None:
        self.repair(self.host)

    @rule(pick=picks, repeated=st.booleans())
    def a_job_is_delivered(self, pick: int, repeated: bool) -> None:
        self.take_job(self.host, pick, repeated)

    @rule(pick=picks)
    def a_job_gets_lost(self, pick: int) -> None:
        if self.world.queue:
            self.world.queue.pop(pick % len(self.world.queue))

    @rule()
    def the_timer_ticks(self) -> None:
        self.host.poller.run()

    @rule(pick=picks, repeated=st.booleans())
    def a_shard_is_delivered(self, pick: int, repeated: bool) -> None:
        self.take_shard(self.host, pick, repeated)

    @rule()
    def the_timer_moves_to_the_other_host(self) -> None:
        self.host, self.other_host = self.other_host, self.host

    @rule(seconds=st.sampled_from([1, 20, 70, 400]))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule(
        outcomes=st.lists(st.booleans(), max_size=3),
        throttled_calls=st.integers(0, 2),
        running_polls=st.integers(0, 3),
        conflicts=st.integers(0, 1),
        changing_reads=st.integers(0, 2),
        refuses=st.booleans(),
    )
    def azure_will_answer(
        self,
        outcomes: list[bool],
        throttled_calls: int,
        running_polls: int,
        conflicts: int,
        changing_reads: int,
        refuses: bool,
    ) -> None:
        self.world.outcomes, self.world.throttled_calls = outcomes, throttled_calls
        self.world.running_polls, self.world.conflicts = running_polls, conflicts
        self.world.changing_reads, self.world.refuses = changing_reads, refuses

    @rule(down=st.booleans())
    def the_topic_goes_down_or_up(self, down: bool) -> None:
        self.world.topic_is_down = down

    @rule(pick=picks, elsewhere=st.booleans())
    def an_operator_cancels(self, pick: int, elsewhere: bool) -> None:
        known, host = self.world.store.remediations(), self.other_host if elsewhere else self.host
        if known:
            host.cancel.run(known[pick % len(known)].id, "cancelled")

    @rule(data=st.data(), after_steps=moments)
    def a_process_is_killed_in_the_middle(self, data: st.DataObject, after_steps: int) -> None:
        def die() -> None:
            raise Killed

        step = data.draw(self.steps(self.host))
        self.world.disturb(after_steps, die)
        try:
            step()
        except Killed:
            self.host = host(self.world, self.host.max_due_per_host, self.host.settings.mode, self.recovery)
        finally:
            self.world.calm()

    @rule(data=st.data(), after_steps=moments)
    def storage_fails_in_the_middle(self, data: st.DataObject, after_steps: int) -> None:
        def fail() -> None:
            raise ServiceResponseError("no answer, whatever was done")

        step = data.draw(self.steps(self.host))
        self.world.disturb(after_steps, fail)
        with suppress(AzureError):
            step()
        self.world.calm()

    @rule(data=st.data(), after_steps=moments)
    def another_host_gets_ahead_in_the_middle(self, data: st.DataObject, after_steps: int) -> None:
        step, of_the_other = data.draw(self.steps(self.host)), data.draw(self.steps(self.other_host))
        self.world.disturb(after_steps, of_the_other)
        try:
            step()
        finally:
            self.world.calm()

    def steps(self, host: Host) -> st.SearchStrategy[Callable[[], None]]:
        jobs: st.SearchStrategy[Callable[[], None]] = st.builds(
            lambda pick, repeated: lambda: self.take_job(host, pick, repeated), picks, st.booleans()
        )
        signals: st.SearchStrategy[Callable[[], None]] = st.builds(
            lambda instance, source: lambda: self.take_signal(host, instance, source), instances, sources
        )
        shards: st.SearchStrategy[Callable[[], None]] = st.builds(
            lambda pick, repeated: lambda: self.take_shard(host, pick, repeated), picks, st.booleans()
        )
        repairs: st.SearchStrategy[Callable[[], None]] = st.just(lambda: self.repair(host))
        return st.one_of(signals, jobs, shards, repairs, st.just(host.poller.run))

    @invariant()
    def nothing_to_repair_is_said_only_where_no_sync_call_was_made(self) -> None:
        well = [each for each in self.world.store.remediations() if each.resolution is Resolution.NOTHING_TO_REPAIR]
        assert [each.id for each in well if each.request_id in self.world.sync_calls] == []

    @invariant()
    def an_instance_has_one_active_remediation_at_most(self) -> None:
        active = Counter(one.instance for one in self.remediations() if one.status.is_healing)
        assert not active or max(active.values()) == 1

    @invariant()
    def what_has_ended_never_changes_its_end(self) -> None:
        for one in self.remediations():
            if one.status.is_terminal:
                kind = "recovery" if one.status.ends_recovery else "heal"
                assert self.endings.setdefault(f"{one.id} {kind}", one.status.value) == one.status.value
            ends = [step.after for step in one.history if step.after.is_terminal]
            assert len(ends) == (0 if one.status.is_healing else 1 + one.status.ends_recovery)

    @invariant()
    def an_outcome_is_only_announced_as_it_is(self) -> None:
        ends = {(one.id, step.after.value) for one in self.remediations() for step in one.history}
        assert set(self.world.published) <= ends

    @invariant()
    def what_would_have_been_healed_has_no_sync_call_on_record(self) -> None:
        for one in self.remediations():
            called = one.attempt.submitted_at is not None
            assert not (called and one.attempt.withheld_at)
            assert one.status is not Status.WOULD_HEAL or one.attempt.withheld_at

    def remediations(self) -> list[Remediation]:
        return self.world.store.remediations()

    def teardown(self) -> None:
        """Once nothing disturbs any more, everything comes to its end."""
        self.world.topic_is_down = False
        for run in range(24):
            self.world.now += timedelta(minutes=6)
            if run in (8, 16):
                self.world.back_up_nightly(*INSTANCES)
                self.world.now += timedelta(hours=2)
            self.host.poller.run()
            while self.world.shards:
                self.take_shard(self.host, 0, repeated=False)
            while visible := [job for job in self.world.queue if job.visible_at <= self.world.now]:
                self.take_job(self.host, self.world.queue.index(visible[0]), repeated=False)
        assert self.world.accepted <= {one.id for one in self.remediations()}
        open_ends = [one for one in self.remediations() if not one.status.is_terminal or one.published_at is None]
        assert open_ends == []
        ends = {
            (one.id, step.after.value) for one in self.remediations() for step in one.history if step.after.is_terminal
        }
        assert set(self.world.published) == ends
        assert self.recovery is RecoveryMode.OFF or not any(one.status is Status.HEALED for one in self.remediations())
        assert sum(self.world.backups.values()) <= len(self.world.backups) + self.world.disturbances


class CrashSafetyBesideAnObservingHost(CrashSafety):
    """While the mode is being switched, either way, one host heals and another observes."""

    other_mode = Mode.OBSERVE


class CrashSafetyWithIncidents(CrashSafety):
    """All have failed for one cause, two are an incident, and who is not its canary holds an attempt back."""

    def __init__(self) -> None:
        self.patches: list[Any] = [
            patch.object(incident, "MIN_MEMBERS", 2),
            patch.object(incident, "MAX_CANARIES", 1),
            patch(f"{__name__}.SETTINGS", replace(SETTINGS, max_attempts=3)),
        ]
        for each in self.patches:
            each.start()
        super().__init__()
        self.world.error = new_error("UserErrorMissingRequiredPermissions", "the vault lacks a role")
        for instance in INSTANCES:
            self.take_signal(self.host, instance)
        while not any(one.held_until for one in self.remediations()):
            self.fail_once()

    def fail_once(self) -> None:
        """Time passes, and whatever is asked of Azure, the answer is that it failed."""
        self.world.outcomes = [False] * 100
        self.world.now += timedelta(seconds=20)
        for _ in range(len(self.world.queue)):
            self.take_job(self.host, 0, repeated=False)
        self.host.poller.run()
        self.world.outcomes = []
        assert self.world.now < NOW + timedelta(hours=1), "nothing has held back"

    def teardown(self) -> None:
        super().teardown()
        for each in self.patches:
            each.stop()
        known = self.world.store.incidents.page(100)
        events = list(dict.fromkeys(self.world.incidents))
        assert set(events) == {incident.event_id(each, event) for each in known for event in told(each)}
        assert events == sorted(events, key=lambda event: event.endswith("-closed")) or len(known) > 1
        unwell = {each.instance.key for each in self.remediations() if each.attention}
        for each in known:
            members = [one for one in self.remediations() if one.incident_id == each.id]
            assert not each.founders
            assert each.closed_at or {one.instance.key for one in members} & unwell, "it is over, and is not closed"
            assert not each.closed_at or all(one.status.is_terminal for one in members)


def told(known: incident.Incident) -> list[incident.IncidentEvent]:
    """The events that must have been announced."""
    return list(incident.IncidentEvent)[: 2 if known.closed_at else 1]


class CrashSafetyWithRecovery(CrashSafety):
    """After the heal a recovery point is awaited, and a backup made: one for each remediation and each disturbance."""

    recovery = RecoveryMode.BACKUP


TestCrashSafety = CrashSafety.TestCase
TestCrashSafety.settings = hypothesis_settings(max_examples=150, stateful_step_count=30, deadline=None)
TestCrashSafetyBesideAnObservingHost = CrashSafetyBesideAnObservingHost.TestCase
TestCrashSafetyBesideAnObservingHost.settings = hypothesis_settings(TestCrashSafety.settings, max_examples=100)
TestCrashSafetyWithIncidents = CrashSafetyWithIncidents.TestCase
TestCrashSafetyWithIncidents.settings = hypothesis_settings(TestCrashSafety.settings, max_examples=100)
TestCrashSafetyWithRecovery = CrashSafetyWithRecovery.TestCase
TestCrashSafetyWithRecovery.settings = hypothesis_settings(TestCrashSafety.settings, max_examples=100)
