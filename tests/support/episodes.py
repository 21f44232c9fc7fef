"""Remediations at each point of their story, for the tests of the pure rooms."""

from datetime import UTC, datetime, timedelta

from shared.domain import arm_results, state_machine
from shared.domain.arm_results import OperationUrls
from shared.domain.remediation import Remediation
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal, SyncType

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
INSTANCE = BackupInstanceId("04cf684a-d41f-4550-9f70-7708a3a2283b", "testrg", "testvault", "testbi")
ERROR = {"code": "UserErrorMissingPermission", "message": "no permission", "details": [{"code": "x"}]}
OPERATION = OperationUrls("https://management.azure.com/status", "https://management.azure.com/result")
ACCEPTED = arm_results.SyncAccepted(OPERATION, 60.0)
NO_VERDICT = arm_results.TransientFailure(ERROR)


def queued(sync_type: SyncType = SyncType.DEFAULT) -> Remediation:
    signal = Signal(INSTANCE, "Event", "backup failed", NOW)
    return state_machine.open_remediation(signal, sync_type, NOW)


def running() -> Remediation:
    return state_machine.on_sync_response(queued(), ACCEPTED, NOW, 0.0, None)


def verifying() -> Remediation:
    return state_machine.on_operation_status(running(), arm_results.OperationSucceeded("job"), NOW, 0.0, None)


def healed() -> Remediation:
    return state_machine.on_instance_read(verifying(), read("ProtectionConfigured"), LATER, 0.0, None)


def read(state: str) -> arm_results.InstanceRead:
    return arm_results.InstanceRead(state, None if state == "ProtectionConfigured" else ERROR)
