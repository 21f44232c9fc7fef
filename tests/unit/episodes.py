"""Remediations at each point of their story, for the tests of the pure rooms."""

from datetime import UTC, datetime, timedelta

from shared import answers, transitions
from shared.answers import Operation
from shared.remediation import Remediation
from shared.resource_id import BackupInstanceId
from shared.signals import Signal, SyncType

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
INSTANCE = BackupInstanceId("04cf684a-d41f-4550-9f70-7708a3a2283b", "testrg", "testvault", "testbi")
ERROR = {"code": "UserErrorMissingPermission", "message": "no permission", "details": [{"code": "x"}]}
OPERATION = Operation("https://management.azure.com/status", "https://management.azure.com/result")
ACCEPTED = answers.SyncAccepted(OPERATION, 60.0)
NO_VERDICT = answers.NotAnswered(ERROR)


def queued(sync_type: SyncType = SyncType.DEFAULT) -> Remediation:
    signal = Signal(INSTANCE, "Event", "backup failed", NOW)
    return transitions.opened(signal, sync_type, NOW)


def running() -> Remediation:
    return transitions.sync_answered(queued(), ACCEPTED, NOW, 0.0, None)


def verifying() -> Remediation:
    return transitions.operation_answered(running(), answers.OperationSucceeded("job"), NOW, 0.0, None)


def healed() -> Remediation:
    return transitions.instance_answered(verifying(), read("ProtectionConfigured"), LATER, 0.0, None)


def read(state: str) -> answers.InstanceRead:
    return answers.InstanceRead(state, None if state == "ProtectionConfigured" else ERROR)
