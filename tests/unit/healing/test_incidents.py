"""Incidents: 50 instances with one cause cost a few canaries, and are all healed soon after its repair."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain import arm_results, incident
from shared.domain.arm_results import ArmError
from shared.domain.arm_scope import read_scope
from shared.domain.error_codes import BUILT_IN
from shared.domain.incident import MAX_CANARIES
from shared.domain.incident_cause import ScopeKind, causes_of
from shared.domain.notice import NoticeKind
from shared.domain.remediation import Remediation, Status
from shared.domain.repair import Repair
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal, SyncType
from shared.healing.intake import Dropped
from shared.healing.notices import NoticeTopic
from shared.healing.retention import Retention
from shared.storage.backup_slots import BackupSlots
from shared.storage.notice_outbox import NoticeOutbox
from shared.storage.queues import SyncJob
from shared.storage.remediation_list import Filters, RemediationReader
from tests.support.memory_azure import HealingArm, MemoryApp
from tests.support.remediations import INSTANCE, instance_named

MISSING_ROLE: ArmError = {"code": "UserErrorMissingRequiredPermissions", "message": "the vault lacks a role"}
KEY_VAULT = (
    "/subscriptions/04cf684a-d41f-4550-9f70-7708a3a2283b/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv"
)
NO_ACCESS: ArmError = {
    "code": "UserErrorMissingPermissionsOnSecretStore",
    "message": f"no access to '{KEY_VAULT}'.",
}
MANY = 50


class GuardedArm(HealingArm):
    """Syncs fail for want of a role, until it is granted."""

    def __init__(self, error: ArmError, datasource: str | None) -> None:
        super().__init__()
        self.error = error
        self.datasource = datasource
        self.is_granted = False
        self.never_granted: set[BackupInstanceId] = set()
        self.syncs: Counter[BackupInstanceId] = Counter()
        self.healed: set[BackupInstanceId] = set()

    def sync(self, instance: BackupInstanceId, sync_type: SyncType, request_id: str) -> arm_results.SyncResult:
        self.syncs[instance] += 1
        if self.is_granted and instance not in self.never_granted:
            self.healed.add(instance)
        return self.synced

    def operation(self, instance: BackupInstanceId, urls: arm_results.OperationUrls) -> arm_results.OperationResult:
        if instance in self.healed:
            return arm_results.OperationSucceeded("job")
        return arm_results.OperationFailed("Failed", self.error)

    def read(self, instance: BackupInstanceId) -> arm_results.InstanceResult:
        if instance in self.healed:
            return arm_results.InstanceRead("ProtectionConfigured", None)
        return arm_results.InstanceRead("ProtectionError", self.error, datasource_id=self.datasource)


class Storm(MemoryApp):
    """Many instances of one vault that fail at once, on a clock that goes on by half a minute each poll run."""

    def __init__(
        self,
        count: int = 12,
        names: Sequence[str] = (),
        error: ArmError = MISSING_ROLE,
        datasource: str | None = None,
        **settings: Any,
    ) -> None:
        """`names`: of instances, a vault's before a slash; by default so many of one vault."""
        super().__init__(**settings)
        self.guarded = self.host.arm = GuardedArm(error, datasource)
        self.host.__post_init__()
        self.opened = [self.open(name) for name in names or [f"bi-{number}" for number in range(count)]]
        for each in self.opened:
            self.jobs.send(SyncJob(each.id, 1))
        self.queued = [(self.clock() + delay, job) for job, delay in self.jobs.sent]
        self.jobs.sent.clear()

    def signal(self, name: str) -> Signal:
        vault, _, of_vault = name.rpartition("/")
        like = BackupInstanceId(INSTANCE.subscription_id, INSTANCE.resource_group, vault or INSTANCE.vault, "any")
        return Signal(instance_named(of_vault, like), "Event", "failed", self.clock())

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

    def fail(self, name: str, **signal: Any) -> Remediation:
        """One more instance fails."""
        result = self.host.intake.accept(dataclasses.replace(self.signal(name), **signal))
        assert not isinstance(result, Dropped)
        if result.job:
            self.jobs.send(result.job)
        self.opened.append(result.remediation)
        return self.now(result.remediation)

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
    storm = Storm(MANY)
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
    for key in incident_rows(storm):
        storm.store.table._put(key, None, "")
    storm.go_on(minutes=30)
    assert min(storm.guarded.syncs.values()) >= 2


@pytest.mark.parametrize("row", [{"Recent": "junk"}, {}, {"Recent": "{}", "Incident": "x"}, {"Document": "{}"}])
def test_a_damaged_row_counts_anew(row: dict[str, str]) -> None:
    storm = Storm()
    storm.go_on(minutes=1)
    for key in incident_rows(storm):
        storm.store.table._put(key, {"PartitionKey": key[0], "RowKey": key[1], **row}, "damaged")
    storm.go_on(minutes=33)
    assert min(storm.guarded.syncs.values()) >= 2


def test_a_row_of_an_earlier_version_counts_anew() -> None:
    storm = Storm()
    [cause] = causes_of(replace(storm.opened[0], error=MISSING_ROLE), BUILT_IN)
    earlier = {"Recent": '{"0123456789abcdef": 1767323045678}', "Incident": storm.opened[0].id, "Canaries": "a,b"}
    storm.store.table._put(("incidents", cause.key), {"PartitionKey": "incidents", "RowKey": cause.key, **earlier}, "1")
    storm.go_on(minutes=1)
    assert storm.topic.incidents


def test_the_members_of_an_incident_can_be_listed() -> None:
    storm = Storm(8)
    storm.go_on(minutes=1)
    members = [each for each in storm.all() if each.incident_id]
    (incident_id,) = {each.incident_id for each in members}
    reader = RemediationReader(storm.store._table, storm.store, storm.clock)
    page = reader.page(Filters(incident_id=incident_id), 50)
    assert {each.remediation.id for each in page.items} == {each.id for each in members}


def test_those_that_failed_before_the_incident_was_known_are_members_too() -> None:
    storm = Storm(5)
    storm.go_on(minutes=1)
    assert None not in {each.incident_id for each in storm.all()}


def test_those_that_failed_before_the_incident_was_known_are_its_canaries_or_hold() -> None:
    storm = Storm(5)
    storm.go_on(minutes=1)
    assert sum(each.is_canary for each in storm.all()) == MAX_CANARIES
    assert all(bool(each.held_until) != each.is_canary for each in storm.all())


def test_a_storm_is_announced_once_when_it_begins_and_once_when_all_are_healed() -> None:
    storm = Storm()
    storm.go_on(minutes=4)
    [opened] = storm.topic.incidents
    storm.grant()
    storm.go_on(minutes=8)
    assert storm.topic.incidents == [opened, opened.replace("-opened", "-closed")]


def test_a_partial_repair_opens_no_second_incident() -> None:
    storm = Storm(20)
    storm.go_on(minutes=4)
    storm.guarded.never_granted = {each.instance for each in storm.opened[10:]}
    storm.grant()
    storm.go_on(minutes=40)
    assert len(storm.topic.incidents) == 1
    assert storm.statuses()[Status.HEALED] == 10


def test_a_partial_repair_costs_those_that_are_left_no_more_than_one_sync_beside_their_ladder() -> None:
    storm = Storm(20)
    storm.go_on(minutes=4)
    storm.guarded.never_granted = {each.instance for each in storm.opened[10:]}
    before = Counter(storm.guarded.syncs)
    storm.grant()
    storm.go_on(minutes=4)
    left = [storm.guarded.syncs[each] - before[each] for each in storm.guarded.never_granted]
    assert max(left) <= 2  # the one that a heal released, and the ladder's own


def test_an_incident_is_closed_once_the_last_member_is_healed() -> None:
    storm = Storm(20)
    storm.go_on(minutes=4)
    storm.guarded.never_granted = {storm.opened[10].instance}
    storm.grant()
    storm.go_on(minutes=20)
    assert len(storm.topic.incidents) == 1
    storm.guarded.never_granted = set()
    storm.grant()
    storm.go_on(minutes=8)
    assert len(storm.topic.incidents) == 2


def test_an_incident_stays_open_while_one_that_was_not_healed_needs_a_person() -> None:
    storm = Storm(6, max_attempts=2)
    storm.go_on(hours=2)
    assert storm.statuses() == {Status.FAILED: 6}
    assert len(storm.topic.incidents) == 1
    storm.guarded.is_granted = True
    for number in range(6):
        storm.jobs.send(SyncJob(storm.open(f"bi-{number}").id, 1))
    storm.go_on(minutes=30)
    assert len(storm.topic.incidents) == 2


def test_what_the_topic_does_not_take_is_announced_later_in_order() -> None:
    storm = Storm()
    storm.topic.is_down = True
    storm.go_on(minutes=4)
    storm.grant()
    storm.go_on(minutes=10)
    assert storm.topic.incidents == []
    storm.topic.is_down = False
    storm.go_on(minutes=10)
    assert [each.rpartition("-")[2] for each in storm.topic.incidents] == ["opened", "closed"]


def test_without_a_topic_an_incident_is_closed_all_the_same() -> None:
    storm = Storm(has_topic=False)
    storm.go_on(minutes=4)
    storm.grant()
    storm.go_on(minutes=8)
    [known] = storm.store.incidents.page(10)
    assert known.is_over


def test_an_incident_that_is_over_costs_no_read_any_more() -> None:
    storm = Storm()
    storm.go_on(minutes=4)
    storm.grant()
    storm.go_on(minutes=10)
    assert not [row for _, row in incident_rows(storm) if row.startswith("open:")]


def test_a_member_that_fails_with_a_fault_that_passes_waits_no_longer_than_its_delays() -> None:
    storm = Storm(error={"code": "CloudInternalError", "message": "later"})
    storm.go_on(minutes=4)
    # One minute and two are the delays after such an error; half a minute each are the polls.
    assert min(storm.guarded.syncs.values()) >= 2


def test_an_error_that_names_a_key_vault_makes_one_incident_of_several_vaults() -> None:
    names = [f"{vault}/bi-{number}" for vault in ("va", "vb", "vc") for number in range(2)]
    storm = Storm(names=names, error=NO_ACCESS)
    storm.go_on(minutes=2)
    [known] = storm.store.incidents.page(10)
    assert (known.scope_kind, known.scope, known.members) == (ScopeKind.RESOURCE, KEY_VAULT, 6)


def test_instances_of_several_vaults_are_one_incident_of_the_datasources_subscription() -> None:
    names = [f"{vault}/bi-{number}" for vault in ("va", "vb", "vc") for number in range(2)]
    storm = Storm(names=names, datasource="/subscriptions/1b1f6471-1bf0-4dda-aec3-cb9272f09590/disk")
    storm.go_on(minutes=2)
    [known] = storm.store.incidents.page(10)
    assert known.scope == "/subscriptions/1b1f6471-1bf0-4dda-aec3-cb9272f09590"


def test_who_fails_for_another_cause_is_no_member_any_more() -> None:
    storm = Storm(8)
    storm.go_on(minutes=2)
    storm.guarded.error = {"code": "UserErrorInvalidSecret", "message": "another cause"}
    storm.go_on(hours=1)
    ids = {each.incident_id for each in storm.all()}
    assert ids == {storm.store.incidents.page(1)[0].id}
    assert storm.store.incidents.page(1)[0].code == "UserErrorInvalidSecret"


@pytest.mark.parametrize("count", [5, 8, MANY])
def test_a_storm_is_one_notice_when_it_begins_and_one_when_it_is_over(count: int) -> None:
    storm = Storm(count)
    outbox = NoticeOutbox(storm.store._table, storm.clock)
    storm.host.topic = NoticeTopic(outbox, BUILT_IN, storm.topic)
    storm.host.__post_init__()
    storm.go_on(minutes=2)
    assert [each.kind for each in outbox.due(100)] == [NoticeKind.INCIDENT_OPENED]
    storm.grant()
    storm.go_on(minutes=8)
    assert sorted(each.kind for each in outbox.due(100)) == [NoticeKind.INCIDENT_CLOSED, NoticeKind.INCIDENT_OPENED]


def test_the_first_attempt_of_one_more_instance_is_held_back_for_the_canaries() -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    late = storm.fail("late")
    storm.go_on(minutes=2)
    assert (late.status, storm.now(late).is_held) == (Status.WAITING_TO_RETRY, True)
    assert storm.guarded.syncs[late.instance] == 0


def test_a_first_attempt_that_is_held_back_is_tried_with_the_others_after_the_repair() -> None:
    storm = Storm(20)
    storm.go_on(minutes=2)
    for number in range(30):
        storm.fail(f"late-{number}")
    before = sum(storm.guarded.syncs.values())
    storm.grant()
    storm.go_on(minutes=5)
    assert storm.statuses() == {Status.HEALED: 50}
    assert sum(storm.guarded.syncs.values()) - before <= MAX_CANARIES + 50


def test_a_first_attempt_waits_no_longer_than_a_second_one_would_have() -> None:
    storm = Storm(retry_delays=(timedelta(minutes=6), timedelta(hours=2)))
    storm.go_on(minutes=2)
    late = storm.fail("late")
    storm.go_on(minutes=7)
    assert storm.guarded.syncs[late.instance] == 1
    assert storm.now(late).attempt.number == 1


def test_a_first_attempt_under_a_fault_that_passes_waits_for_a_minute_only() -> None:
    storm = Storm(error={"code": "CloudInternalError", "message": "later"})
    storm.go_on(minutes=2)
    late = storm.fail("late")
    storm.go_on(minutes=2)
    assert storm.guarded.syncs[late.instance] == 1


def test_a_first_attempt_that_was_held_back_counts_as_the_first() -> None:
    storm = Storm(retry_delays=(timedelta(minutes=6), timedelta(hours=2)))
    storm.go_on(minutes=2)
    late = storm.fail("late")
    storm.go_on(minutes=8)
    retry = storm.now(late)
    assert (retry.status, retry.attempt.number, retry.wakes) == (Status.WAITING_TO_RETRY, 1, 0)
    assert "next attempt in 6" in retry.history[-1].reason


@pytest.mark.parametrize(
    ("signal", "why"),
    [
        ({"source": "Request"}, "a person asks"),
        ({"is_forced": True}, "a person wants it at once"),
        ({"protection_state": "ProtectionConfigured"}, "it is well, and needs no sync"),
    ],
)
def test_others_are_not_held_back(signal: dict[str, Any], why: str) -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    assert storm.fail("late", **signal).status is Status.QUEUED, why


def test_an_instance_of_another_vault_is_not_held_back() -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    assert storm.fail("other-vault/late").status is Status.QUEUED


def test_after_the_release_no_first_attempt_is_held_back() -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    held = storm.fail("late")  # so that this host remembers the incident as it was
    storm.store.incidents.change(str(held.incident_id), lambda known: incident.release(known, storm.clock()))
    assert storm.fail("later").status is Status.QUEUED


def test_without_storage_of_incidents_nothing_is_held_back() -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    storm.store.table.unreadable.add("incidents")
    assert storm.fail("late").status is Status.QUEUED


@pytest.mark.parametrize("name", ["late", "bi-10"])
def test_who_asks_for_a_held_member_has_it_synced_at_once(name: str) -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    if name == "late":
        storm.fail(name)
    held = storm.fail(name)
    before = storm.guarded.syncs[held.instance]
    assert held.is_held
    storm.fail(name, source="Request")
    storm.go_on(minutes=0.5)
    assert storm.guarded.syncs[held.instance] == before + 1


def test_another_signal_for_a_held_member_is_only_counted() -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    storm.fail("late")
    again = storm.fail("late")
    assert (again.is_held, again.signals) == (True, 2)


def test_syncs_that_are_refused_with_the_code_are_an_incident_too() -> None:
    storm = Storm(8)
    storm.guarded.synced = arm_results.Refused(403, {"code": "LinkedAuthorizationFailed", "message": "no role"})
    storm.go_on(minutes=2)
    assert [each.code for each in storm.store.incidents.page(10)] == ["LinkedAuthorizationFailed"]
    assert None not in {each.incident_id for each in storm.all()}


def test_a_first_attempt_that_fails_for_another_cause_leaves_the_incident() -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    late = storm.fail("late")
    storm.guarded.error = {"code": "UserErrorInvalidSecret", "message": "another cause"}
    storm.fail("late", source="Request")
    storm.go_on(minutes=1)
    assert storm.now(late).incident_id is None


def test_a_heal_closes_the_incident_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    storm = Storm()
    storm.go_on(minutes=4)
    storm.grant()
    storm.go_on(minutes=8)
    opened = [record for record in caplog.messages if '"incident.opened"' in record]
    closed = [record for record in caplog.messages if '"incident.closed"' in record]
    assert len(opened) == len(closed) == 1


def test_old_incidents_and_failures_are_forgotten() -> None:
    storm = Storm()
    storm.go_on(minutes=4)
    storm.grant()
    storm.go_on(minutes=10)
    storm.clock.advance(hours=25)
    Retention(storm.store, BackupSlots(storm.store._table, 1, storm.clock), 1, storm.clock).purge()
    assert incident_rows(storm) == []


def test_open_incidents_are_kept() -> None:
    storm = Storm()
    storm.go_on(minutes=4)
    storm.clock.advance(hours=25)
    Retention(storm.store, BackupSlots(storm.store._table, 1, storm.clock), 1, storm.clock).purge()
    assert len(storm.store.incidents.attended()) == 1


def test_a_run_without_incidents_costs_one_request_for_them() -> None:
    with_watch, without = MemoryApp(), MemoryApp()
    without.host.poller._attend_incidents = lambda: None
    assert requests_of(with_watch) - requests_of(without) == 1


def requests_of(app: MemoryApp) -> int:
    """Requests to storage of one idle poll run."""
    boundaries: list[None] = []
    app.store._tells = lambda: boundaries.append(None)
    app.host.poller.run()
    return len(boundaries)


def incident_rows(storm: Storm) -> list[tuple[str, str]]:
    return [each for each in storm.store.table._rows if each[0] == "incidents"]
