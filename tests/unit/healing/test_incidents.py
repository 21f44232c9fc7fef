"""Incidents: 50 instances with one cause cost a few canaries, and are all healed soon after its repair."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from shared.domain import arm_results
from shared.domain.arm_scope import read_scope
from shared.domain.incident import MAX_CANARIES
from shared.domain.remediation import Remediation, Status
from shared.domain.repair import Repair
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType
from shared.storage.queues import SyncJob
from shared.storage.remediation_list import Filters, RemediationReader
from tests.support.memory_azure import HealingArm, MemoryApp
from tests.support.remediations import INSTANCE

MISSING_ROLE = {"code": "UserErrorMissingRequiredPermissions", "message": "the vault lacks a role"}
MANY = 50


class GuardedArm(HealingArm):
    """Syncs fail for want of a role, until it is granted."""

    def __init__(self) -> None:
        super().__init__()
        self.is_granted = False
        self.syncs: Counter[BackupInstanceId] = Counter()
        self.healed: set[BackupInstanceId] = set()

    def sync(self, instance: BackupInstanceId, sync_type: SyncType, request_id: str) -> arm_results.SyncResult:
        self.syncs[instance] += 1
        if self.is_granted:
            self.healed.add(instance)
        return self.synced

    def operation(self, instance: BackupInstanceId, urls: arm_results.OperationUrls) -> arm_results.OperationResult:
        if instance in self.healed:
            return arm_results.OperationSucceeded("job")
        return arm_results.OperationFailed("Failed", MISSING_ROLE)

    def read(self, instance: BackupInstanceId) -> arm_results.InstanceResult:
        if instance in self.healed:
            return arm_results.InstanceRead("ProtectionConfigured", None)
        return arm_results.InstanceRead("ProtectionError", MISSING_ROLE)


class Storm(MemoryApp):
    """Many instances of one vault that fail at once, on a clock that goes on by half a minute each poll run."""

    def __init__(self, count: int = MANY, **settings: Any) -> None:
        super().__init__(**settings)
        self.guarded = self.host.arm = GuardedArm()
        self.host.__post_init__()
        self.opened = [self.open(f"bi-{number}") for number in range(count)]
        for each in self.opened:
            self.jobs.send(SyncJob(each.id, 1))
        self.queued = [(self.clock() + delay, job) for job, delay in self.jobs.sent]
        self.jobs.sent.clear()

    def go_on(self, **duration: float) -> None:
        end = self.clock() + timedelta(**duration)
        while self.clock() < end:
            self._deliver()
            self.clock.advance(seconds=30)
            self.host.poller.run()
            self._deliver()

    def grant(self) -> None:
        """The role is assigned, and Event Grid tells."""
        self.guarded.is_granted = True
        read = read_scope(str(INSTANCE.vault_id))
        assert read is not None
        self.host.wake.run(Repair(read, True, "roleAssignments/write", self.clock()))

    def statuses(self) -> Counter[Status]:
        return Counter(each.status for each in self.all())

    def all(self) -> list[Remediation]:
        return [self.now(each) for each in self.opened]

    def _deliver(self) -> None:
        self.queued += [(self.clock() + delay, job) for job, delay in self.jobs.sent]
        self.jobs.sent.clear()
        visible = [each for each in self.queued if each[0] <= self.clock()]
        self.queued = [each for each in self.queued if each[0] > self.clock()]
        for _, job in visible:
            self.host.submit.run(job.to_message())


def test_many_with_one_missing_role_cost_the_canaries_and_a_sync_each_after_its_repair() -> None:
    storm = Storm()
    storm.go_on(minutes=15)
    before = sum(storm.guarded.syncs.values())
    # The canaries and those few that failed before the incident was known go on; the others hold.
    assert before <= MANY + 2 * (MAX_CANARIES + 4)
    storm.grant()
    storm.go_on(minutes=5)
    assert storm.statuses() == {Status.HEALED: MANY}
    assert sum(storm.guarded.syncs.values()) - before <= MAX_CANARIES + MANY


def test_the_heal_of_one_that_failed_before_the_incident_was_known_releases_the_others() -> None:
    storm = Storm(12)
    storm.go_on(minutes=4)
    storm.guarded.is_granted = True  # and no event tells
    storm.go_on(minutes=6)
    assert storm.statuses() == {Status.HEALED: 12}


def test_a_repair_that_was_none_costs_the_canaries_only() -> None:
    storm = Storm()
    storm.go_on(minutes=4)
    before = sum(storm.guarded.syncs.values())
    storm.grant()
    storm.guarded.is_granted = False
    storm.go_on(minutes=3)
    assert sum(storm.guarded.syncs.values()) - before <= 2 * MAX_CANARIES + 4


def test_without_a_heal_all_go_on_when_the_canaries_time_is_over() -> None:
    storm = Storm()
    storm.go_on(minutes=33)
    assert min(storm.guarded.syncs.values()) >= 2


def test_a_few_with_one_cause_are_no_incident() -> None:
    storm = Storm(4)
    storm.go_on(minutes=7)
    assert {each.incident_id for each in storm.all()} == {None}
    assert set(storm.guarded.syncs.values()) == {2}


def test_a_lost_row_keeps_nobody_waiting_for_longer() -> None:
    storm = Storm()
    storm.go_on(minutes=7)
    for key in [each for each in storm.store.table._rows if each[0] == "incidents"]:
        storm.store.table._put(key, None, "")
    storm.go_on(minutes=30)
    assert min(storm.guarded.syncs.values()) >= 2


@pytest.mark.parametrize("row", [{"Recent": "junk"}, {}, {"Recent": "{}", "Incident": "x"}])
def test_a_damaged_row_counts_anew(row: dict[str, str]) -> None:
    storm = Storm()
    storm.go_on(minutes=1)
    for key in [each for each in storm.store.table._rows if each[0] == "incidents"]:
        storm.store.table._put(key, {"PartitionKey": key[0], "RowKey": key[1], **row}, "damaged")
    storm.go_on(minutes=33)
    assert min(storm.guarded.syncs.values()) >= 2


def test_the_members_of_an_incident_can_be_listed() -> None:
    storm = Storm(8)
    storm.go_on(minutes=1)
    members = [each for each in storm.all() if each.incident_id]
    (incident_id,) = {each.incident_id for each in members}
    reader = RemediationReader(storm.store._table, storm.store, storm.clock)
    page = reader.page(Filters(incident_id=incident_id), 50)
    assert {each.remediation.id for each in page.items} == {each.id for each in members}


def test_a_heal_closes_the_incident_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    storm = Storm()
    storm.go_on(minutes=4)
    storm.grant()
    storm.go_on(minutes=5)
    opened = [record for record in caplog.messages if '"incident.opened"' in record]
    closed = [record for record in caplog.messages if '"incident.closed"' in record]
    assert len(opened) == len(closed) == 1
