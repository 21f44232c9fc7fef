"""A storm: many instances of one vault that fail at once for the same cause, which is repaired when a test says so."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from shared.domain import arm_results
from shared.domain.arm_results import ArmError
from shared.domain.arm_scope import read_scope
from shared.domain.remediation import Remediation, Status
from shared.domain.repair import Repair
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal, SyncType
from shared.healing.intake import Dropped
from shared.storage.queues import SyncJob
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
