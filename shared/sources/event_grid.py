"""Events of Event Grid become a Signal that a backup instance failed, or the reason why they are none."""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from shared.clock import foreign_time
from shared.domain.repair import Repair
from shared.domain.resource_ids import BackupInstanceId, InvalidResourceId
from shared.domain.signal import NoSignal, Signal, one_line, read_sync_type
from shared.sources.json_text import parse_object
from shared.sources.operation_filter import OperationFilter
from shared.sources.repair_event import is_success, read_repair
from shared.sources.row_verdict import Verdict, field_name, judge

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
_OUTCOMES = {event_type.lower(): outcome for event_type, outcome in RESOURCE_FAILURES.items()}
_OWN_OUTCOMES = "backupautoheal."
"""How the types of this app's own events begin, in lower case."""


def read_event(
    text: str, now: datetime, operation_filter: OperationFilter = _ALL_OPERATIONS
) -> Signal | NoSignal | Repair:
    """Read the JSON of one event, in the Event Grid schema or as a CloudEvent 1.0.

    Args:
        text: as it came; anything at all.
        now: when an event happened that tells no time, or one that cannot be read or lies ahead.
    """
    try:
        event = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        return NoSignal(f"the event is not JSON: {one_line(str(error))}")
    if not isinstance(event, Mapping):
        return NoSignal(f"the event is no JSON object but a {type(event).__name__}")
    event_type = event.get("eventType") or event.get("type")
    occurred_at = foreign_time(event.get("eventTime") or event.get("time"))
    occurred_at = min(occurred_at, now) if occurred_at else now
    data = event["data"] if "data" in event else _binary_data(event.get("data_base64"))
    return read_event_fields(event_type, event.get("subject"), data, occurred_at, operation_filter)


def _binary_data(encoded: object) -> str | None:
    """The text in `data_base64` (CloudEvents 1.0 JSON format, section 3.1); None if there is none."""
    if not isinstance(encoded, str):
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8-sig")
    except ValueError:
        return None


def read_event_fields(
    event_type: object,
    subject: object,
    data: object,
    occurred_at: datetime,
    operation_filter: OperationFilter = _ALL_OPERATIONS,
) -> Signal | NoSignal | Repair:
    """Read an event of either schema (Event Grid or CloudEvents 1.0).

    Two kinds are signals: those of Resource Manager that an operation on a backup instance failed or was canceled,
    where the filter counts that operation; and any other event whose data carries `backupInstanceId` (with
    optional `syncType` and `reason`). Neither is one where the data says that nothing failed (`status` is `Succeeded`).
    Of the operations that succeeded, some are repairs (`repair_event`).
    """
    if not isinstance(event_type, str) or not event_type:
        return NoSignal("the event has no type")
    if event_type.lower().startswith(_OWN_OUTCOMES):
        return NoSignal(f"the {one_line(event_type)} event is this app's own")
    data = parse_object(data) or data
    if not isinstance(data, Mapping):
        return NoSignal(f"the data of the {one_line(event_type)} event is not an object")
    outcome = _OUTCOMES.get(event_type.lower())
    if outcome:
        return _read_resource_failure(outcome, subject, data, occurred_at, operation_filter)
    if is_success(event_type):
        return read_repair(subject, data, occurred_at, operation_filter)
    if "backupInstanceId" in data:
        return _read_custom_event(event_type, data, occurred_at, operation_filter)
    name = one_line(event_type)
    return NoSignal(f"the {name} event is no failure of Resource Manager and has no data.backupInstanceId")


def _read_resource_failure(
    outcome: str, subject: object, data: Mapping[str, Any], occurred_at: datetime, operation_filter: OperationFilter
) -> Signal | NoSignal:
    operation = data.get("operationName")
    if not isinstance(operation, str):
        return NoSignal("data.operationName is missing or not text")
    verdict = _verdict(data, operation_filter)
    ignore_reason = operation_filter.ignore_reason(operation, data) or verdict.ignore_reason
    if ignore_reason:
        return NoSignal(ignore_reason)
    try:
        instance = _read_instance(data.get("resourceUri"), subject)
    except InvalidResourceId as invalid:
        return NoSignal(f"data.resourceUri: {invalid}")
    reason = f"{one_line(operation)} {outcome}"
    return Signal(instance, "Event", reason, occurred_at, backup_failed=verdict.names_backup)


def _verdict(data: Mapping[str, Any], operation_filter: OperationFilter) -> Verdict:
    return judge([(field_name(str(name)), value) for name, value in data.items()], operation_filter)


def _read_instance(resource_uri: object, subject: object) -> BackupInstanceId:
    """The instance in `resource_uri`; where that is nothing or names no instance, the one in `subject`."""
    try:
        return BackupInstanceId.parse(resource_uri or subject)
    except InvalidResourceId:
        with suppress(InvalidResourceId):
            return BackupInstanceId.parse(subject)
        raise


def _read_custom_event(
    event_type: str, data: Mapping[str, Any], occurred_at: datetime, operation_filter: OperationFilter
) -> Signal | NoSignal:
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
    verdict = _verdict(data, operation_filter)
    if verdict.ignore_reason:
        return NoSignal(verdict.ignore_reason)
    return Signal(instance, "Event", one_line(reason), occurred_at, sync_type, backup_failed=verdict.names_backup)
