"""A remediation: one episode of healing for one backup instance, as frozen data. `state_machine` moves it on.

These structs also define the JSON document that storage keeps and that the API and the outcome event show: its
fields, their order, and the descriptions in its JSON Schema. `remediation_json` reads and writes it.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import NAMESPACE_URL, uuid5

from msgspec import Meta, Struct, field

from shared.clock import from_millis, to_millis
from shared.domain.arm_error import MAX_ADVICE, MAX_ADVICE_CHARS
from shared.domain.arm_results import ArmError, OperationUrls
from shared.domain.attention import Attention
from shared.domain.document_fields import UNKNOWN, Time, UnknownFields
from shared.domain.recovery import Recovery
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType

ID_PATTERN = "^[0-9a-f]{12}-[0-9a-f]{16}$"
_ID_BITS = 48

Error = Annotated[
    ArmError,
    Meta(
        description="Resource Manager's error as it came: `code`, `message`, and whatever else it told. Where it tells,"
        " in whatever part, what can be done about it or which permission is missing, `advice` lists that.",
        extra_json_schema={
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "advice": {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1, "maxLength": MAX_ADVICE_CHARS},
                    "minItems": 1,
                    "maxItems": MAX_ADVICE,
                    "description": "What can be done about it, in Azure's words.",
                },
            },
            "required": ["code", "message"],
        },
    ),
]


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
    WOULD_HEAL = "WouldHeal"
    RECOVERING = "Recovering"
    RECOVERED = "Recovered"
    NOT_RECOVERED = "NotRecovered"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing but the announcement can follow."""
        return not self.is_healing and self is not Status.RECOVERING

    @property
    def is_healing(self) -> bool:
        """Whether the heal still goes on: then a new signal belongs to it."""
        return self in _HEALING

    @property
    def is_healed(self) -> bool:
        """Whether the heal ended well, whatever the recovery after it came to."""
        return self in _HEALED

    @property
    def is_unhealed(self) -> bool:
        """Whether it ended without what it was for, so that a person has to act, unless nobody wants it any more."""
        return self in _UNHEALED

    @property
    def ends_recovery(self) -> bool:
        """Whether it is the outcome of a recovery, which is announced after that of the heal."""
        return self in (Status.RECOVERED, Status.NOT_RECOVERED)

    @property
    def is_result(self) -> bool:
        """Whether healing was tried to its end, so that success rates count it: not cancelled, not only observed."""
        return not self.is_healing and self not in (Status.CANCELLED, Status.WOULD_HEAL)


class Resolution(StrEnum):
    """Whether a heal repaired anything."""

    REPAIRED = "Repaired"
    """The instance was in error, and is not."""
    NOTHING_TO_REPAIR = "NothingToRepair"
    """It was well: a `Default` sync changes nothing."""


_HEALING = frozenset({Status.QUEUED, Status.RUNNING, Status.VERIFYING, Status.WAITING_TO_RETRY})
_UNHEALED = frozenset({Status.UNHEALTHY, Status.FAILED, Status.REJECTED, Status.TIMED_OUT, Status.NOT_RECOVERED})
_HEALED = frozenset({Status.HEALED, Status.RECOVERING, Status.RECOVERED, Status.NOT_RECOVERED})


class Attempt(Struct, frozen=True, kw_only=True, rename="camel"):
    """One sync call and the operation that it started."""

    number: Annotated[int, Meta(ge=1)]
    sync_type: SyncType
    queued_at: Time
    submitted_at: Annotated[
        Time | None,
        Meta(
            description="When the sync call was accepted or refused. Null before that, and where a crash took the"
            " record of the call, the sync job got lost and the instance was found well, or no sync call was needed."
        ),
    ] = None
    withheld_at: Annotated[
        Time | None, Meta(description="When the app, in observe mode, would have made the sync call, and made none.")
    ] = None
    ended_at: Time | None = None
    polls: Annotated[
        int, Meta(ge=0, description="How often its operation was found running, or the instance was read instead.")
    ] = 0
    operation_status: Annotated[str | None, Meta(description="As Resource Manager says it.")] = None
    operation_status_url: str | None = None
    operation_result_url: str | None = None
    job_id: Annotated[str | None, Meta(description="The backup job behind the operation.")] = None
    error: Error | None = None
    unknown: UnknownFields = field(default_factory=dict, name=UNKNOWN)

    @property
    def operation_urls(self) -> OperationUrls:
        """Where the operation can be followed."""
        return OperationUrls(self.operation_status_url, self.operation_result_url)


class Transition(Struct, frozen=True, kw_only=True, rename="camel"):
    """One status change: from which status to which, when and why."""

    at: Time
    before: Status | None = field(name="from")
    after: Status = field(name="to")
    reason: str
    by: Annotated[
        str | None,
        Meta(description="Who asked for it, as they signed in. Null where a key was used, or the app did it itself."),
    ] = None
    times: Annotated[int, Meta(ge=1, description="How often it happened in turn; `at` is the last time.")] = 1
    unknown: UnknownFields = field(default_factory=dict, name=UNKNOWN)


class Remediation(Struct, frozen=True, kw_only=True, rename="camel"):
    """One episode of healing for one backup instance, from the accepted signal to one terminal status."""

    id: Annotated[str, Meta(pattern=ID_PATTERN, description="Sorts newest first as text.")]
    instance: Annotated[BackupInstanceId, Meta(description="Its ARM id, in the casing it came in.")] = field(
        name="backupInstanceId"
    )
    status: Status
    source: Annotated[str, Meta(description="Which way in the signal came.")]
    reason: str
    client_request_id: Annotated[
        str | None, Meta(description="`x-ms-client-request-id` of the request that opened it.")
    ] = None
    signals: Annotated[int, Meta(ge=1, description="How many signals came for it.")]
    opened_at: Time
    not_before: Annotated[
        Time | None,
        Meta(description="While it is queued or waits to retry: from when on its next sync call may be made."),
    ] = None
    due_at: Annotated[
        Time | None,
        Meta(
            description="When it is polled next; null once all is done. What is overdue is polled within half a"
            " minute, whose end the API shows."
        ),
    ] = None
    ladder_at: Annotated[
        Time | None,
        Meta(
            description="Where the newest attempt is brought forward: when the retry delays alone would have made one;"
            " if it fails before then, that is when the next one is made."
        ),
    ] = None
    wakes: Annotated[
        int,
        Meta(ge=0, description="Attempts that a repair in Azure brought forward, besides those of the delays."),
    ] = 0
    ended_at: Time | None = None
    published_at: Annotated[Time | None, Meta(description="When the outcome event was taken by the topic.")] = None
    slot_at: Annotated[
        Time | None,
        Meta(description="When the call that is waited for has its turn, within the rate limit."),
    ] = None
    deferrals: Annotated[int, Meta(ge=0, description="How often in a row Resource Manager gave no verdict.")] = 0
    incident_id: Annotated[
        str | None,
        Meta(description="The incident that it belongs to: several instances that fail for the same cause."),
    ] = None
    is_canary: Annotated[
        bool, Meta(description="Whether it is one of the few members of its incident that are tried first.")
    ] = False
    held_until: Annotated[
        Time | None,
        Meta(
            description="While it holds an attempt back for the canaries of its incident: until then, or until a"
            " member is healed."
        ),
    ] = None
    protection_state: Annotated[str | None, Meta(description="`currentProtectionState` as last read.")] = None
    protection_state_before: Annotated[
        str | None, Meta(description="`currentProtectionState` before the first sync call; null if it is not known.")
    ] = None
    latest_recovery_point_before: Annotated[
        Time | None,
        Meta(description="The newest recovery point before the first sync call; null if there is none, or none known."),
    ] = None
    datasource_id: Annotated[str | None, Meta(description="The ARM id of what the instance protects, as read.")] = None
    snapshot_group_id: Annotated[
        str | None, Meta(description="The ARM id of the resource group for snapshots, as read.")
    ] = None
    resolution: Annotated[
        Resolution | None,
        Meta(
            description="Of a heal: whether the instance was in error, or was well already. Null for every other end,"
            " and where the state before is not known."
        ),
    ] = None
    error: Annotated[Error | None, Meta(description="Why it did not heal, or the newest hindrance on the way.")] = None
    recovery: Annotated[
        Recovery | None,
        Meta(description="The way to a recovery point newer than the failure; null if `RECOVERY` is off."),
    ] = None
    attention: Annotated[
        Attention | None,
        Meta(description="Why the instance needs a person, also from earlier remediations; null if it needs nobody."),
    ] = None
    needed_attention_since: Annotated[
        Time | None,
        Meta(description="Since when the instance had needed a person when this remediation ended that; else null."),
    ] = None
    attempts: Annotated[tuple[Attempt, ...], Meta(min_length=1)]
    history: Annotated[tuple[Transition, ...], Meta(min_length=1)]
    unknown: UnknownFields = field(default_factory=dict, name=UNKNOWN)

    @property
    def attempt(self) -> Attempt:
        """The newest attempt."""
        return self.attempts[-1]

    @property
    def awaits_first_attempt(self) -> bool:
        """Whether it waits, and no attempt was made yet: the number of the next one is taken already."""
        is_first = self.attempt.number == 1 and self.attempt.ended_at is None
        return is_first and self.status is Status.WAITING_TO_RETRY

    @property
    def is_held(self) -> bool:
        """Whether it holds an attempt back for the canaries of its incident."""
        return self.status is Status.WAITING_TO_RETRY and self.held_until is not None

    @property
    def over_at(self) -> datetime | None:
        """When nothing was left to do: once its end was announced, or at its end without a topic; None before that."""
        if self.due_at is not None:
            return None
        if self.recovery and self.status.ends_recovery:
            return self.recovery.published_at or self.recovery.ended_at
        return self.published_at or self.ended_at

    @property
    def request_id(self) -> str:
        """`x-ms-client-request-id` of the newest attempt's sync call: the caller's, or a UUID that stays the same."""
        return self.client_request_id or str(uuid5(NAMESPACE_URL, f"{self.id}/{self.attempt.number}"))


def new_id(instance: BackupInstanceId, opened_at: datetime) -> str:
    """An id that sorts newest first as text and ends with the instance's key.

    Shape: 12 hex digits that count down with time (milliseconds), a dash, the 16 of `BackupInstanceId.key`.
    """
    return f"{id_prefix(opened_at)}-{instance.key}"


def id_prefix(opened_at: datetime) -> str:
    """The beginning that the ids of all remediations share that were opened in this millisecond."""
    return f"{(1 << _ID_BITS) - 1 - to_millis(opened_at):012x}"


def opened_at_of(remediation_id: str) -> datetime:
    """When the remediation with this id was opened, to the millisecond."""
    return from_millis((1 << _ID_BITS) - 1 - int(remediation_id[:12], 16))


def instance_key_of(remediation_id: str) -> str:
    """The `BackupInstanceId.key` of the instance to which the remediation with this id belongs."""
    return remediation_id[_ID_BITS // 4 + 1 :]


def is_remediation_id(value: object) -> bool:
    """Whether a value has the shape of a remediation's id; such a text is safe in keys and queries."""
    return isinstance(value, str) and re.fullmatch(ID_PATTERN, value) is not None
