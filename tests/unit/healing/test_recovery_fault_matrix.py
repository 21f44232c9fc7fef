"""Every call about backups, and everything that can go wrong with it: the rows of the fault matrix for recovery.

As in `tests/integration/test_fault_matrix.py`, but in memory: the answers come from `RecoveringAzure`.
"""

from collections.abc import Callable
from dataclasses import replace as replace_step
from datetime import timedelta
from itertools import product
from typing import cast

import pytest
from azure.core.credentials import AccessToken, TokenCredential
from msgspec.structs import replace

from shared.clients.arm import ArmClient
from shared.clients.arm_backups import ArmBackups
from shared.clients.arm_circuit import ArmCircuit
from shared.clients.arm_transport import ArmTransport
from shared.clients.backup_inventory import BackupInventory
from shared.clients.credential import TokenCache
from shared.clients.latest_points import LatestPointCache
from shared.clients.resource_graph import ResourceGraph
from shared.domain.finding import Finding
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.remediation import Remediation, Status
from shared.healing.finding_search import FindingSearch, FindingsResult
from shared.healing.recovery_step import RecoveryStep
from shared.rate_limits.circuit_breaker import CircuitBreaker
from shared.rate_limits.rate_limiter import Gcra, RateLimiter
from shared.settings import Settings
from shared.storage.backup_slots import BackupSlots
from shared.storage.first_points import FirstPoints
from tests.conftest import FAULT_MATRIX
from tests.support import faults
from tests.support.clock import Clock
from tests.support.gateway import Fault
from tests.support.memory_store import MemoryStore
from tests.support.recovering_azure import (
    BACKUP,
    INSTANCE_READ,
    INVENTORY,
    JOB,
    LATEST,
    POINTS,
    POLICY,
    STATUS,
    RecoveringAzure,
)
from tests.support.remediations import recovering

ENDPOINT = "https://management.azure.com"
FAULTS = {fault.name: fault for fault in faults.faults(faults.arm_error, f"{ENDPOINT}/elsewhere")}
METHODS = {
    ArmBackups: {"schedule": POLICY, "points": POINTS, "back_up": BACKUP, "job": JOB},
    LatestPointCache: {"newest": LATEST},
    BackupInventory: dict.fromkeys(("count", "schedules", "jobs", "instances"), INVENTORY),
}
"""The call of each method."""
PROOFS = (INSTANCE_READ, POLICY, POINTS)
"""Without an answer to these, nothing can be proven."""
CALLS = (INSTANCE_READ, POLICY, POINTS, BACKUP, STATUS, JOB, LATEST)
GONE = {(INSTANCE_READ, "404"), (POINTS, "404")}
"""Resource Manager says that there is nothing: the recovery ends."""
_A_WHILE = 4
_MAX_STEPS = 400
_MAX_REQUESTS = 200
"""In the two days until the deadline."""


class _Identity:
    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        return AccessToken("token", 4_102_444_800)


class World:
    """One recovery, on a clock that jumps to its next step."""

    def __init__(self, mode: RecoveryMode = RecoveryMode.BACKUP) -> None:
        self.clock = Clock()
        self.azure = RecoveringAzure(ENDPOINT, self.clock)
        self.store, plenty = MemoryStore(now=self.clock), Gcra(burst=100_000, rate=100_000)
        writes, reads = (RateLimiter(kind, plenty, self.store.buckets, self.clock) for kind in ("writes", "reads"))
        tokens = TokenCache(lambda: cast(TokenCredential, _Identity()), ENDPOINT)
        transport = ArmTransport(tokens, self.azure.session())
        circuit = ArmCircuit(transport, CircuitBreaker(self.clock, lambda: 0.5))
        arm = ArmClient(ENDPOINT, (), circuit, writes, reads)
        self.graph = ResourceGraph(ENDPOINT, (), transport, self.clock, self.clock.advance)
        self.step = RecoveryStep(
            arm=arm,
            backups=ArmBackups(ENDPOINT, arm, self.clock),
            latest_points=LatestPointCache(self.graph, self.clock),
            slots=BackupSlots(self.store._table, 1, self.clock),
            write_limit=writes,
            read_limit=reads,
            mode=RecoveryMode.BACKUP,
            timeout=None,
            now=self.clock,
            random=lambda: 0.5,
        )
        begun = recovering()
        assert begun.recovery
        unread = replace(begun.recovery, mode=mode, deadline=None, rule=None, retention_tag=None)
        self.current = replace(begun, recovery=unread)

    def settle(self, steps: int = _MAX_STEPS) -> Remediation:
        """The remediation, once its recovery has ended."""
        for _ in range(steps):
            if self.current.status is not Status.RECOVERING:
                return self.current
            self.clock.now = max(self.clock.now + timedelta(seconds=1), self.current.due_at or self.clock.now)
            self.current = self.step.take(self.current)
        raise AssertionError(f"it runs on after {steps} steps: {self.current}")

    def search(self) -> tuple[FindingsResult, list[Finding]]:
        """The sweep's search for findings, and what it came upon."""
        found: list[Finding] = []
        search = FindingSearch(
            BackupInventory(self.graph),
            Settings().policy(),
            timedelta(hours=1),
            self.clock,
            FirstPoints(self.store._table),
        )

        def act(findings: object) -> list[str]:
            found.extend(cast(list[Finding], findings))
            return []

        self.clock.advance(days=1)
        return search.run(self.clock() + timedelta(minutes=5), act), found


Record = Callable[[str, object], None]


def names_of(client: type) -> set[str]:
    return {name for name in vars(client) if not name.startswith("_")}


def test_every_call_about_backups_is_in_the_matrix() -> None:
    public = {client: names_of(client) - {"graph", "now"} for client in METHODS}
    assert public == {client: set(calls) for client, calls in METHODS.items()}
    assert {call for calls in METHODS.values() for call in calls.values()} | {INSTANCE_READ, STATUS} == {
        *CALLS,
        INVENTORY,
    }


def test_without_a_fault_one_backup_is_made_and_found() -> None:
    world = World()
    ended = world.settle()
    assert (ended.status, world.azure.backups) == (Status.RECOVERED, 1)
    assert world.clock() - (ended.ended_at or world.clock()) < timedelta(minutes=10)


@pytest.mark.parametrize(("mode", "backups"), [(RecoveryMode.WATCH, 0), (RecoveryMode.BACKUP, 1)])
def test_an_instance_that_never_had_a_point_recovers_with_its_first_one(mode: RecoveryMode, backups: int) -> None:
    world = World(mode)
    world.azure.has_earlier_point = False
    ended = world.settle()
    assert ended.recovery
    assert (ended.status, world.azure.backups) == (Status.RECOVERED, backups)
    assert (ended.recovery.point_before, ended.recovery.gap) == (None, None)


@pytest.mark.parametrize(("has_night", "status"), [(True, Status.RECOVERED), (False, Status.NOT_RECOVERED)])
def test_a_job_that_never_ends_is_followed_until_the_deadline(has_night: bool, status: Status) -> None:
    world = World()
    world.azure.is_endless, world.azure.has_night = True, has_night
    ended = world.settle(steps=1000)
    assert ended.status is status
    assert ended.recovery
    assert ended.recovery.backup
    assert (ended.recovery.backup.status, world.azure.backups) == ("InProgress", 1)
    assert world.clock() <= (ended.recovery.deadline or world.clock()) + timedelta(minutes=6)


def test_a_point_of_a_time_far_ahead_proves_nothing() -> None:
    world = World()
    world.azure.has_future_point, world.azure.is_endless, world.azure.has_night = True, True, False
    assert world.settle(steps=1000).status is Status.NOT_RECOVERED


@pytest.mark.parametrize(("state", "needs_person"), [("ProtectionStopped", False), ("ProtectionConfigured", True)])
def test_nobody_is_needed_where_protection_was_stopped_meanwhile(state: str, needs_person: bool) -> None:
    world = World(RecoveryMode.WATCH)
    world.azure.has_night, world.azure.state = False, state
    ended = world.settle()
    assert (ended.status, ended.attention is not None) == (Status.NOT_RECOVERED, needs_person)


def test_a_policy_that_is_not_shown_leaves_it_to_the_schedule() -> None:
    world = World()
    world.azure.arm_fault(POLICY, FAULTS["404"])
    ended = world.settle()
    assert ended.recovery
    assert (ended.status, world.azure.backups, ended.recovery.rule) == (Status.RECOVERED, 0, None)


def test_points_on_more_pages_than_are_read_count_as_far_as_they_are_known() -> None:
    world = World()
    world.azure.has_endless_pages = True
    assert world.settle().status is Status.RECOVERED


def test_a_daily_limit_is_no_throttling_whatever_its_status() -> None:
    world = World()
    answer = faults.arm_error("UserErrorBackupRequestThrottled")._replace(status=429)
    world.azure.arm_fault(BACKUP, Fault("limit", "answer", lambda _: answer))
    ended = world.settle()
    assert ended.recovery
    assert ended.recovery.backup
    assert (ended.status, ended.recovery.backup.status, world.azure.asked[BACKUP]) == (Status.RECOVERED, "Refused", 1)


@pytest.mark.parametrize(
    ("mode", "status"), [(RecoveryMode.OFF, Status.NOT_RECOVERED), (RecoveryMode.WATCH, Status.RECOVERED)]
)
def test_a_recovery_that_is_under_way_makes_no_backup_once_the_setting_says_so(
    mode: RecoveryMode, status: Status
) -> None:
    world = World()
    world.step = replace_step(world.step, mode=mode)
    ended = world.settle()
    assert (ended.status, ended.attention, world.azure.backups) == (status, None, 0)


def cell(call: str, name: str, record: Record) -> Fault:
    record(FAULT_MATRIX, (call, name))
    return FAULTS[name]


@pytest.mark.parametrize(("call", "name"), list(product(CALLS, FAULTS)))
def test_whatever_a_call_meets_the_recovery_is_found_and_nothing_runs_on(
    call: str, name: str, record_property: Record
) -> None:
    fault = cell(call, name, record_property)
    for times in (1, _A_WHILE):
        world = World()
        world.azure.arm_fault(call, fault, times)
        ended = world.settle()
        assert ended.status is (Status.NOT_RECOVERED if (call, name) in GONE else Status.RECOVERED), ended
        assert world.azure.backups <= 1
    world = World()
    world.azure.arm_fault(call, fault)
    ended = world.settle()
    # The night's own backup comes, whatever becomes of the one on demand.
    is_blind = call in PROOFS and fault.how != "disguise" and (call, name) != (POLICY, "404")
    assert ended.status is (Status.NOT_RECOVERED if is_blind else Status.RECOVERED), ended
    assert world.azure.backups <= 1
    assert world.azure.asked.total() < _MAX_REQUESTS


@pytest.mark.parametrize("name", FAULTS)
def test_whatever_the_search_for_findings_meets_it_says_so_and_the_next_one_finds_all(
    name: str, record_property: Record
) -> None:
    fault = cell(INVENTORY, name, record_property)
    world = World()
    world.azure.arm_fault(INVENTORY, fault)
    result, found = world.search()
    assert (result.error is None) is (fault.how == "disguise")
    assert len(found) == (1 if fault.how == "disguise" else 0)
    assert world.azure.asked.total() <= 8
    world.azure.fault_passes()
    result, found = world.search()
    assert (result.error, len(found)) == (None, 1)
