"""Events of Event Grid become a Signal that a backup instance failed, or the reason why they are none."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

from shared.domain.resource_ids import BackupInstanceId, InvalidResourceId
from shared.domain.signal import NoSignal, Signal, one_line, read_sync_type
from shared.sources.operation_filter import OperationFilter

_ALL_OPERATIONS = OperationFilter()
RESOURCE_FAILURES = {
    "Microsoft.Resources.ResourceActionFailure": "failed",
    "Microsoft.Resources.ResourceWriteFailure": "failed",
    "Microsoft.Resources.ResourceActionCancel": "was canceled",
    "Microsoft.Resources.ResourceWriteCancel": "was canceled",
}
"""The Resource Manager events that are read (Event Grid, "Azure subscription as a source"), in any casing.

Canceled operations count too: the instance is without that backup, or half configured, and a `Default` sync of
an instance that is well does nothing.
"""
_BACKUP_OPERATION = "/backupinstances/backup/action"
"""Of a backup on demand, in lower case: where it failed, a recovery point is missing."""
_OUTCOMES = {event_type.lower(): outcome for event_type, outcome in RESOURCE_FAILURES.items()}


class GridEvent(Protocol):
    """The common part of `azure.functions.EventGridEvent` and `azure.functions.CloudEvent`."""

    @property
    def subject(self) -> str | None:
        """The resource that the event is about."""

    def get_json(self) -> Any:
        """The event's data."""


def read_event(
    event: GridEvent, now: datetime, operation_filter: OperationFilter = _ALL_OPERATIONS
) -> Signal | NoSignal:
    """Read what the Event Grid trigger hands over; `now` stands in for an event that has no time.

    An Event Grid event has `event_type` and `event_time`, a CloudEvent `type` and `time`.
    """
    event_type = getattr(event, "event_type", None) or getattr(event, "type", None)
    occurred_at = getattr(event, "event_time", None) or getattr(event, "time", None) or now
    if occurred_at.tzinfo is None:
        occurred_at = occurred_at.replace(tzinfo=UTC)
    return read_event_fields(event_type, event.subject, event.get_json(), occurred_at, operation_filter)


def read_event_fields(
    event_type: object,
    subject: object,
    data: object,
    occurred_at: datetime,
    operation_filter: OperationFilter = _ALL_OPERATIONS,
) -> Signal | NoSignal:
    """Read an event of either schema (Event Grid or CloudEvents 1.0).

    Two kinds are signals: those of Resource Manager that an operation on a backup instance failed or was canceled,
    where the filter counts that operation; and any other event whose data carries `backupInstanceId` (with
    optional `syncType` and `reason`).
    """
    if not isinstance(event_type, str) or not event_type:
        return NoSignal("the event has no type")
    if not isinstance(data, Mapping):
        return NoSignal(f"the data of the {one_line(event_type)} event is not an object")
    outcome = _OUTCOMES.get(event_type.lower())
    if outcome:
        return _read_resource_failure(outcome, subject, data, occurred_at, operation_filter)
    if "backupInstanceId" in data:
        return _read_custom_event(event_type, data, occurred_at)
    name = one_line(event_type)
    return NoSignal(f"the {name} event is no failure of Resource Manager and has no data.backupInstanceId")


def _read_resource_failure(
    outcome: str, subject: object, data: Mapping[str, Any], occurred_at: datetime, operation_filter: OperationFilter
) -> Signal | NoSignal:
    operation = data.get("operationName")
    if not isinstance(operation, str):
        return NoSignal("data.operationName is missing or not text")
    ignore_reason = operation_filter.ignore_reason(operation, data)
    if ignore_reason:
        return NoSignal(ignore_reason)
    try:
        instance = _read_instance(data.get("resourceUri"), subject)
    except InvalidResourceId as invalid:
        return NoSignal(f"data.resourceUri: {invalid}")
    backup_failed = operation.lower().endswith(_BACKUP_OPERATION)
    return Signal(instance, "Event", f"{one_line(operation)} {outcome}", occurred_at, backup_failed=backup_failed)


def _read_instance(resource_uri: object, subject: object) -> BackupInstanceId:
    """The instance in `resource_uri`; where that is nothing or names no instance, the one in `subject`."""
    try:
        return BackupInstanceId.parse(resource_uri or subject)
    except InvalidResourceId:
        with suppress(InvalidResourceId):
            return BackupInstanceId.parse(subject)
        raise


def _read_custom_event(event_type: str, data: Mapping[str, Any], occurred_at: datetime) -> Signal | NoSignal:
    try:
        instance = BackupInstanceId.parse(data["backupInstanceId"])
        sync_type = read_sync_type(data.get("syncType"))
    except InvalidResourceId as invalid:
        return NoSignal(f"data.backupInstanceId: {invalid}")
    except ValueError as invalid:
        return NoSignal(f"data.{invalid}")
    reason = data.get("reason", f"{one_line(event_type)} event")
    if not isinstance(reason, str):
        return NoSignal("data.reason is not text")
    return Signal(instance, "Event", one_line(reason), occurred_at, sync_type)
