"""Remediations at each status, and instances to have them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain import announcements, arm_results, lifecycle, recovery_steps, state_machine
from shared.domain.arm_results import OperationUrls
from shared.domain.backup_results import PointsRead, RecoveryPoint, Schedule
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.recovery_steps import RecoveryMoment
from shared.domain.remediation import Remediation, Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal, SyncType
from shared.domain.state_machine import Moment

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
INSTANCE = BackupInstanceId("04cf684a-d41f-4550-9f70-7708a3a2283b", "testrg", "testvault", "testbi")
ERROR = {"code": "UserErrorMissingPermission", "message": "no permission", "details": [{"code": "x"}]}
OPERATION = OperationUrls("https://management.azure.com/status", "https://management.azure.com/result")
ACCEPTED = arm_results.SyncAccepted(OPERATION, 60.0)
NO_VERDICT = arm_results.TransientFailure(ERROR)


def instance_named(name: str, like: BackupInstanceId = INSTANCE) -> BackupInstanceId:
    """Another instance in the same vault."""
    return BackupInstanceId(like.subscription_id, like.resource_group, like.vault, name)


def queued(instance: BackupInstanceId = INSTANCE, at: datetime = NOW) -> Remediation:
    return lifecycle.open_remediation(Signal(instance, "Event", "backup failed", at), SyncType.DEFAULT, at)


def after(
    remediation: Remediation,
    result: Any,
    retry_in: timedelta | None = None,
    now: datetime = LATER,
    jitter: float = 0.0,
) -> Remediation:
    """The remediation once the call that its status asks for has had this result."""
    react: Any = {
        Status.QUEUED: state_machine.on_sync_response,
        Status.RUNNING: state_machine.on_operation_status,
        Status.VERIFYING: state_machine.on_instance_read,
    }[remediation.status]
    moved: Remediation = react(remediation, result, Moment(now, jitter, retry_in))
    return moved


def rejected() -> Remediation:
    return after(queued(), arm_results.Refused(400, ERROR))


def running() -> Remediation:
    return after(queued(), ACCEPTED, now=NOW)


def verifying() -> Remediation:
    return after(running(), arm_results.OperationSucceeded("job"), now=NOW)


def healed() -> Remediation:
    return after(verifying(), read("ProtectionConfigured"))


def withheld() -> Remediation:
    """Its sync was withheld, and its instance is about to be read."""
    return after(queued(), arm_results.SyncWithheld(), now=NOW)


def observed() -> Remediation:
    return after(withheld(), read("ProtectionError"))


def recovering() -> Remediation:
    """A heal that was announced, with the schedule known, and no backup on demand."""
    signal = Signal(INSTANCE, "Alert", "backup failed", NOW, backup_failed=True)
    opened = lifecycle.open_remediation(signal, SyncType.DEFAULT, NOW, RecoveryMode.BACKUP)
    accepted = after(opened, ACCEPTED, now=NOW)
    succeeded = after(accepted, arm_results.OperationSucceeded("job"), now=NOW)
    announced = announcements.on_published(after(succeeded, read("ProtectionConfigured")), LATER)
    schedule = Schedule("BackupDaily", "Default", timedelta(days=1), is_continuous=False)
    return recovery_steps.on_schedule(announced, schedule, None, RecoveryMoment(LATER, 0.0))


def recovered() -> Remediation:
    points = PointsRead((RecoveryPoint(LATER, "new"), RecoveryPoint(NOW - timedelta(days=1), "old")))
    return recovery_steps.on_points(recovering(), points, RecoveryMoment(LATER, 0.0))


def ended() -> list[Remediation]:
    """One for each terminal status."""
    expired = Moment(LATER, 0.0, None, is_expired=True)
    timed_out = state_machine.on_instance_read_beside(running(), read("ProtectionError"), expired)
    return [
        healed(),
        timed_out,
        lifecycle.cancel(running(), "by hand", LATER),
        after(verifying(), read("ProtectionError")),
        rejected(),
        after(running(), arm_results.OperationFailed("Failed", ERROR, "job")),
        observed(),
        recovered(),
        recovery_steps.on_points(recovering(), PointsRead(()), RecoveryMoment(LATER + timedelta(days=9), 0.0)),
    ]


def read(state: str) -> arm_results.InstanceRead:
    return arm_results.InstanceRead(state, None if state == "ProtectionConfigured" else ERROR)
