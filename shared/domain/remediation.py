"""A remediation: one episode for one instance, as frozen data. How it moves on is in `transitions`."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.clock import from_millis, to_millis
from shared.domain import arm_results
from shared.domain.arm_results import ArmError
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType

_ID_BITS = 48
_ID = re.compile(r"[0-9a-f]{12}-[0-9a-f]{16}")


class Status(StrEnum):
    """Where a remediation stands; the words that API, log and events show."""

    QUEUED = "Queued"
    RUNNING = "Running"
    VERIFYING = "Verifying"
    WAITING_TO_RETRY = "WaitingToRetry"
    HEALED = "Healed"
    UNHEALTHY = "Unhealthy"
    FAILED = "Failed"
    REJECTED = "Rejected"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing but the announcement can follow."""
        return self not in _ACTIVE


_ACTIVE = frozenset({Status.QUEUED, Status.RUNNING, Status.VERIFYING, Status.WAITING_TO_RETRY})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sync call and the operation that it started."""

    number: int
    sync_type: SyncType
    queued_at: datetime
    submitted_at: datetime | None = None
    operation: arm_results.OperationUrls | None = None
    operation_status: str | None = None
    """As ARM says it, or None while no operation has answered."""
    job_id: str | None = None
    ended_at: datetime | None = None
    error: ArmError | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of the story: from which status to which, when and why."""

    at: datetime
    before: Status | None
    after: Status
    reason: str


@dataclass(frozen=True, slots=True)
class Remediation:
    """One episode for one instance, from the accepted signal to one terminal status."""

    id: str
    instance: BackupInstanceId
    status: Status
    source: str
    reason: str
    signals: int
    opened_at: datetime
    due_at: datetime | None
    """When to look next; None when nothing is left to do."""
    attempts: tuple[Attempt, ...]
    history: tuple[Transition, ...]
    slot_at: datetime | None = None
    """When the call that is waited for may be made: a slot of the subscription's budget, taken already."""
    deferrals: int = 0
    """How often in a row the current question to ARM got no verdict."""
    protection_state: str | None = None
    error: ArmError | None = None
    """Why it did not heal, or the newest hindrance on the way."""
    ended_at: datetime | None = None
    published_at: datetime | None = None
    client_request_id: str | None = None
    """What the caller who opened it calls the request (`x-ms-client-request-id`), when there was one."""

    @property
    def attempt(self) -> Attempt:
        """The newest attempt."""
        return self.attempts[-1]


def new_id(instance: BackupInstanceId, opened_at: datetime) -> str:
    """An id that sorts newest first as text and ends with the instance's key.

    Shape: 12 hex digits that count down with time (milliseconds), a dash, the 16 of `BackupInstanceId.key`.
    """
    return f"{id_prefix(opened_at)}-{instance.key}"


def id_prefix(opened_at: datetime) -> str:
    """How the ids begin of all remediations that were opened in this millisecond."""
    return f"{(1 << _ID_BITS) - 1 - to_millis(opened_at):012x}"


def opened_at_of(remediation_id: str) -> datetime:
    """When the remediation with this id was opened, to the millisecond."""
    return from_millis((1 << _ID_BITS) - 1 - int(remediation_id[:12], 16))


def instance_key_of(remediation_id: str) -> str:
    """The `BackupInstanceId.key` of the instance to which the remediation with this id belongs."""
    return remediation_id[_ID_BITS // 4 + 1 :]


def is_remediation_id(value: object) -> bool:
    """Whether a value has the shape of a remediation's id; such a text is safe in keys and queries."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None
