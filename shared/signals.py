"""What says "this backup instance failed": events and requests become a Signal, or the reason why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from shared.resource_id import BackupInstanceId, InvalidResourceId

RESOURCE_FAILURES = frozenset({"Microsoft.Resources.ResourceActionFailure", "Microsoft.Resources.ResourceWriteFailure"})
"""The Resource Manager events that are read (Event Grid, "Azure subscription as a source")."""

_PROVIDER = "microsoft.dataprotection"
_INSTANCES = f"{_PROVIDER}/backupvaults/backupinstances/"
# A failing sync is itself a failed action on the instance: healing it would go round in circles.
# Restores and validations fail for reasons of their own and leave the instance's protection as it was.
_NOT_BACKUP = ("sync/", "restore/", "rehydrate/", "validate", "findrestorabletimeranges/")


class SyncType(StrEnum):
    """`syncType` of the sync call: only in case of failure, or in all cases."""

    DEFAULT = "Default"
    FORCE_RESYNC = "ForceResync"


@dataclass(frozen=True, slots=True)
class Signal:
    """One word that one instance failed."""

    instance: BackupInstanceId
    source: str
    """Which way in it came: `Event`, `Request` or `Sweep`."""
    reason: str
    """For people: what failed, or why somebody asked."""
    occurred_at: datetime
    sync_type: SyncType | None = None
    """The sync asked for; None for the app's setting."""
    not_before: datetime | None = None
    """When its heal may begin; None for at once."""


@dataclass(frozen=True, slots=True)
class NoSignal:
    """What came is no word of a failed instance."""

    reason: str


class GridEvent(Protocol):
    """What both event classes of `azure.functions` have: EventGridEvent and CloudEvent."""

    @property
    def subject(self) -> str | None:
        """The resource that the event is about."""

    def get_json(self) -> Any:
        """The event's data."""


def from_grid_event(event: GridEvent, now: datetime) -> Signal | NoSignal:
    """Read what the Event Grid trigger hands over; `now` stands in for an event that tells no time.

    An Event Grid event has `event_type` and `event_time`, a CloudEvent `type` and `time`.
    """
    event_type = getattr(event, "event_type", None) or getattr(event, "type", None)
    occurred_at = getattr(event, "event_time", None) or getattr(event, "time", None) or now
    if occurred_at.tzinfo is None:
        occurred_at = occurred_at.replace(tzinfo=UTC)
    return from_event(event_type, event.subject, event.get_json(), occurred_at)


def from_event(event_type: object, subject: object, data: object, occurred_at: datetime) -> Signal | NoSignal:
    """Read an event of either schema (Event Grid or CloudEvents 1.0).

    Two kinds are signals: Resource Manager's failures of an operation on a backup instance, and any other
    event whose data carries `backupInstanceId` (with optional `syncType` and `reason`).
    """
    if not isinstance(event_type, str) or not event_type:
        return NoSignal("the event has no type")
    if not isinstance(data, Mapping):
        return NoSignal(f"the data of the {event_type} event is not an object")
    if event_type in RESOURCE_FAILURES:
        return _from_resource_failure(event_type, subject, data, occurred_at)
    if "backupInstanceId" not in data:
        return NoSignal(f"the {event_type} event is no failure of Resource Manager and has no data.backupInstanceId")
    return _from_custom_event(event_type, data, occurred_at)


def read_sync_type(value: object) -> SyncType | None:
    """`Default` or `ForceResync` in any casing; None stays None.

    Raises:
        ValueError: anything else.
    """
    if value is None:
        return None
    for sync_type in SyncType:
        if isinstance(value, str) and value.lower() == sync_type.lower():
            return sync_type
    raise ValueError(f"syncType must be one of {', '.join(SyncType)}, got {ascii(value)[:100]}")


def _from_resource_failure(
    event_type: str, subject: object, data: Mapping[str, Any], occurred_at: datetime
) -> Signal | NoSignal:
    operation = data.get("operationName")
    if not isinstance(operation, str):
        return NoSignal("data.operationName is missing or not text")
    if not operation.lower().startswith(_INSTANCES):
        return NoSignal(f"{_short(operation)} is no operation on a backup instance")
    if operation.lower().removeprefix(_INSTANCES).startswith(_NOT_BACKUP):
        return NoSignal(f"{_short(operation)} says nothing about the protection of the instance")
    named = data.get("resourceUri") or subject
    try:
        instance = BackupInstanceId.parse(named)
    except InvalidResourceId as invalid:
        return NoSignal(f"data.resourceUri: {invalid}")
    reason = f"{_short(operation)} failed"
    return Signal(instance, "Event", reason, occurred_at)


def _from_custom_event(event_type: str, data: Mapping[str, Any], occurred_at: datetime) -> Signal | NoSignal:
    try:
        instance = BackupInstanceId.parse(data["backupInstanceId"])
        sync_type = read_sync_type(data.get("syncType"))
    except InvalidResourceId as invalid:
        return NoSignal(f"data.backupInstanceId: {invalid}")
    except ValueError as invalid:
        return NoSignal(f"data.{invalid}")
    reason = data.get("reason", f"{_short(event_type)} event")
    if not isinstance(reason, str):
        return NoSignal("data.reason is not text")
    return Signal(instance, "Event", _short(reason), occurred_at, sync_type)


def _short(text: str) -> str:
    """Foreign text on its way into log, storage and page: of bounded length, without what cannot be written."""
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return printable if len(printable) <= 500 else printable[:500] + "..."
