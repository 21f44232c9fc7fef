"""Resource Manager for an app in observe mode, and the choice, by the mode, of the calls that may change anything."""

from dataclasses import dataclass

from shared import logs
from shared.domain.arm_results import InstanceResult, OperationResult, OperationUrls, SyncWithheld
from shared.domain.mode import Mode
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType
from shared.healing.ports import Arm, ArmReads


@dataclass(frozen=True, slots=True)
class ObservingArm:
    """Reads, and never calls sync: it has nothing at hand that could."""

    arm: ArmReads

    def sync(self, instance: BackupInstanceId, sync_type: SyncType, request_id: str) -> SyncWithheld:
        """Make no call, and log which one the app would make now."""
        logs.info("sync.withheld", backupInstanceId=str(instance), syncType=sync_type, clientRequestId=request_id)
        return SyncWithheld()

    def operation(self, instance: BackupInstanceId, urls: OperationUrls) -> OperationResult:
        """Poll the operation of a sync that was made before the app began to observe."""
        return self.arm.operation(instance, urls)

    def read(self, instance: BackupInstanceId) -> InstanceResult:
        """Read the instance."""
        return self.arm.read(instance)


def arm_in_mode(mode: Mode, arm: Arm) -> Arm:
    """Resource Manager as the use cases may reach it in this mode."""
    match mode:
        case Mode.HEAL | Mode.PAUSED:  # what is paused never comes to a call
            return arm
        case Mode.OBSERVE:
            return ObservingArm(arm)


def recovery_in_mode(mode: Mode, recovery: RecoveryMode) -> RecoveryMode:
    """The recovery in this mode: an app that observes watches, and makes no backup."""
    is_backup_withheld = mode is Mode.OBSERVE and recovery is RecoveryMode.BACKUP
    return RecoveryMode.WATCH if is_backup_withheld else recovery
