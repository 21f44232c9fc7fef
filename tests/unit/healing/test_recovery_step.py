"""One call for a backup on demand, whatever becomes of its answer and its record."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from msgspec.structs import replace

from shared.domain import recovery_steps
from shared.domain.arm_results import OperationUrls, SyncConflict, TransientFailure, new_error
from shared.domain.backup_results import (
    BackupAccepted,
    BackupResult,
    JobRead,
    JobResult,
    PointsRead,
    PointsResult,
    RecoveryPoint,
    ScheduleResult,
)
from shared.domain.backup_slot import FreeSlot, HeldSlot
from shared.domain.recovery import Recovery
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.recovery_steps import RecoveryMoment
from shared.domain.remediation import Remediation, Status
from shared.domain.resource_ids import BackupInstanceId
from shared.healing.recovery_step import RecoveryStep
from shared.rate_limits.rate_limiter import Gcra, RateLimiter
from shared.storage.backup_slots import BackupSlots
from tests.support.clock import Clock
from tests.support.memory_azure import HealingArm
from tests.support.memory_store import MemoryStore
from tests.support.remediations import recovering

ACCEPTED = BackupAccepted(OperationUrls("https://arm.example/backup", None), 1.0)
NO_ANSWER = TransientFailure(new_error("NoResponse", "no answer in time"), may_have_acted=True)
THROTTLED = TransientFailure(new_error("TooManyRequests", "slow down"), retry_after=30.0)
BUSY = SyncConflict(new_error("OperationInProgress", "a backup runs"), None)


@dataclass
class Azure:
    """Answers calls for backups with these results in turn, and shows the points that it is given."""

    answers: list[BackupResult]
    points_now: list[datetime] = field(default_factory=list)
    calls: int = 0
    meanwhile: Callable[[], object] = lambda: None
    """Done by others during the next call."""

    def schedule(self, instance: BackupInstanceId) -> ScheduleResult:
        raise AssertionError("the schedule is known")

    def points(self, instance: BackupInstanceId, is_continuous: bool) -> PointsResult:
        return PointsRead(tuple(RecoveryPoint(at, "point") for at in self.points_now))

    def back_up(
        self, instance: BackupInstanceId, rule: str, retention_tag: str | None, request_id: str
    ) -> BackupResult:
        self.calls += 1
        answer, meanwhile = self.answers.pop(0), self.meanwhile
        self.meanwhile = lambda: None
        meanwhile()
        return answer

    def job(self, instance: BackupInstanceId, job_id: str) -> JobResult:
        return JobRead("InProgress", None)

    def newest(self, instance: BackupInstanceId) -> datetime | None:
        return None


class Hosts:
    """One host after another: each takes its steps from what is on record, and the slots are everybody's."""

    def __init__(self, *answers: BackupResult) -> None:
        self.azure = Azure(list(answers))
        self.clock = Clock()
        store = MemoryStore(now=self.clock)
        plenty = Gcra(burst=1000, rate=1000)
        self.slots = BackupSlots(store._table, 1, self.clock)
        self.step = RecoveryStep(
            arm=HealingArm(),
            backups=self.azure,
            latest_points=self.azure,
            slots=self.slots,
            write_limit=RateLimiter("writes", plenty, store.buckets, self.clock),
            read_limit=RateLimiter("reads", plenty, store.buckets, self.clock),
            mode=RecoveryMode.BACKUP,
            timeout=None,
            now=self.clock,
            random=lambda: 0.0,
        )
        moment = RecoveryMoment(self.clock(), 0.0)
        self.current = recovery_steps.on_points(recovering(), PointsRead(()), moment)

    def take_steps(self, minutes: float) -> Remediation:
        """A poll run every ten seconds, for so long; it takes the step that is due."""
        for _ in range(round(minutes * 6)):
            self.clock.advance(seconds=10)
            if not self.current.status.is_terminal and (self.current.due_at or self.clock.now) <= self.clock.now:
                self.current = self.step.take(self.current)
        return self.current

    def die_after_the_call(self) -> None:
        """The host makes the call, and a kill takes what it has not stored."""
        self.step.take(self.current)

    def recovery(self) -> Recovery:
        assert self.current.recovery
        return self.current.recovery


def test_given_a_call_that_a_crash_kept_off_the_record_then_no_other_is_made_before_its_point_was_looked_for() -> None:
    hosts = Hosts(ACCEPTED, ACCEPTED)
    hosts.die_after_the_call()
    hosts.take_steps(minutes=29)
    assert hosts.azure.calls == 1
    hosts.azure.points_now = [hosts.clock()]
    assert hosts.take_steps(minutes=10).status is Status.RECOVERED
    assert hosts.azure.calls == 1


def test_given_a_call_that_left_no_point_in_half_an_hour_then_another_is_made() -> None:
    hosts = Hosts(ACCEPTED, ACCEPTED)
    hosts.die_after_the_call()
    hosts.take_steps(minutes=35)
    assert hosts.azure.calls == 2
    assert hosts.recovery().backup


def test_given_two_calls_without_an_answer_and_without_a_point_then_the_schedule_is_left_to_make_one() -> None:
    hosts = Hosts(NO_ANSWER, NO_ANSWER)
    hosts.take_steps(minutes=12 * 60)
    backup = hosts.recovery().backup
    assert backup
    assert (hosts.azure.calls, hosts.recovery().unanswered, backup.status) == (2, 2, "Unanswered")
    assert backup.ended_at
    hosts.azure.points_now = [hosts.clock()]
    assert hosts.take_steps(minutes=60).status is Status.RECOVERED


@pytest.mark.parametrize("minutes", [1, 29])
def test_given_no_answer_to_the_call_then_it_counts_as_made(minutes: int) -> None:
    hosts = Hosts(NO_ANSWER, ACCEPTED)
    hosts.take_steps(minutes)
    backup = hosts.recovery().backup
    assert backup
    assert (hosts.azure.calls, backup.status) == (1, "Unanswered")


def test_given_an_unanswered_call_whose_point_comes_then_the_backup_has_ended_with_it() -> None:
    hosts = Hosts(NO_ANSWER)
    hosts.take_steps(minutes=1)
    hosts.azure.points_now = [hosts.clock()]
    hosts.take_steps(minutes=2)
    backup = hosts.recovery().backup
    assert backup
    assert backup.ended_at


def test_given_a_backup_that_runs_already_then_its_point_is_looked_for_before_the_next_call() -> None:
    hosts = Hosts(BUSY)
    hosts.take_steps(minutes=1)
    hosts.azure.points_now = [hosts.clock()]
    assert hosts.take_steps(minutes=31).status is Status.RECOVERED
    assert hosts.azure.calls == 1


@pytest.mark.parametrize("answer", [BUSY, THROTTLED])
def test_given_an_answer_that_nothing_was_begun_then_the_slot_is_free_again(answer: BackupResult) -> None:
    hosts = Hosts(answer, ACCEPTED)
    hosts.current = hosts.step.take(hosts.current)
    assert hosts.slots.look(hosts.current.instance, hosts.current.id) == FreeSlot()
    hosts.take_steps(minutes=31)
    assert hosts.azure.calls == 2
    assert isinstance(hosts.slots.look(hosts.current.instance, hosts.current.id), HeldSlot)


def test_given_a_clock_that_is_set_back_during_a_call_without_an_answer_then_its_slot_is_free_in_half_an_hour() -> None:
    hosts = Hosts(NO_ANSWER, ACCEPTED)
    hosts.azure.meanwhile = lambda: hosts.clock.advance(seconds=-0.5)
    hosts.take_steps(minutes=35)
    assert hosts.azure.calls == 2


def test_given_two_hosts_with_the_same_step_then_one_calls() -> None:
    hosts = Hosts(ACCEPTED, ACCEPTED)
    both = [hosts.step.take(replace(hosts.current)) for _ in range(2)]
    assert hosts.azure.calls == 1
    assert [each.status for each in both] == [Status.RECOVERING] * 2


def test_given_a_host_that_learns_late_that_nothing_was_begun_then_the_slot_of_the_next_call_stays_taken() -> None:
    hosts = Hosts(BUSY, ACCEPTED)
    hosts.azure.meanwhile = lambda: hosts.take_steps(minutes=35)
    hosts.step.take(hosts.current)
    assert hosts.azure.calls == 2
    assert isinstance(hosts.slots.look(hosts.current.instance, hosts.current.id), HeldSlot)


def test_given_a_host_that_looks_late_for_a_backup_then_the_slot_of_the_next_call_stays_taken() -> None:
    hosts = Hosts(NO_ANSWER, ACCEPTED)
    late = hosts.take_steps(minutes=29)
    hosts.take_steps(minutes=6)
    assert hosts.azure.calls == 2
    hosts.step.take(late)
    assert isinstance(hosts.slots.look(hosts.current.instance, hosts.current.id), HeldSlot)
