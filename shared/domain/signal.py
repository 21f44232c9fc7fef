"""A signal: the report that one backup instance failed, whichever way it came in."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.resource_ids import BackupInstanceId

REQUEST = "Request"
"""The `source` of a signal with which somebody asks for a sync."""
SWEEP = "Sweep"
"""The `source` of a signal that says nothing new: only how an instance stands."""


class SyncType(StrEnum):
    """`syncType` of the sync call: only in case of failure, or in all cases."""

    DEFAULT = "Default"
    FORCE_RESYNC = "ForceResync"


@dataclass(frozen=True, slots=True)
class Signal:
    """The report that one instance failed."""

    instance: BackupInstanceId
    source: str
    """Which way in it came: `Event`, `Alert`, `Request` or `Sweep`."""
    reason: str
    """For people: what failed, or why somebody asked."""
    occurred_at: datetime
    sync_type: SyncType | None = None
    """The sync asked for; None for the app's setting."""
    client_request_id: str | None = None
    """`x-ms-client-request-id` of the caller; printable ASCII."""
    backup_failed: bool = False
    """Whether it tells of a failed backup, which a sync does not make up for."""
    by: str | None = None
    """Who asked for it, as they signed in; None where nobody did."""
    is_forced: bool = False
    """Whether a person wants it whatever was tried lately: no cool-down, no daily cap."""
    seems_mended: bool = False
    """Whether a sweep looks for an instance that needed a person, and is no longer among the broken ones."""
    not_before: datetime | None = None
    """When its heal may begin; None for at once."""
    protection_state: str | None = None
    """`currentProtectionState` of the instance, where the signal says it."""
    latest_recovery_point: datetime | None = None
    """The instance's newest recovery point, where the signal says it."""
    datasource_id: str | None = None
    """The datasource that the instance protects, where the signal says it."""
    snapshot_group_id: str | None = None
    """The resource group of its snapshots, where the signal says it."""


@dataclass(frozen=True, slots=True)
class NoSignal:
    """An event that reports no failed instance."""

    reason: str


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


def forced_reason(reason: str) -> str:
    """The reason of a signal that overrides cool-down and daily cap."""
    return one_line(f"{reason} (at once)")


def one_line(text: str) -> str:
    """Foreign text on its way into log, storage and page: of bounded length, without what cannot be written."""
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return printable if len(printable) <= 500 else printable[:500] + "..."
