"""Recovery: the way from a heal to a recovery point newer than the failure, as frozen data. `recovery_steps` moves it.

These structs are a part of the remediation's document (`remediation`).
"""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct, field

from shared.domain.arm_results import ArmError, OperationUrls
from shared.domain.document_fields import UNKNOWN, Time, UnknownFields
from shared.domain.recovery_mode import RecoveryMode


class BackupRun(Struct, frozen=True, kw_only=True, rename="camel"):
    """A backup on demand: the call, the operation that it started, and the job behind it."""

    requested_at: Time
    status: Annotated[
        str, Meta(description="`Accepted`, then the job's status as Azure says it; `Refused`; or `Unanswered`.")
    ]
    ended_at: Time | None = None
    operation_status_url: str | None = None
    operation_result_url: str | None = None
    job_id: str | None = None
    error: Annotated[ArmError | None, Meta(description="Azure's error, as it came.")] = None
    unknown: UnknownFields = field(default_factory=dict, name=UNKNOWN)

    @property
    def operation_urls(self) -> OperationUrls:
        """Where the operation can be followed."""
        return OperationUrls(self.operation_status_url, self.operation_result_url)


class Recovery(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether the data is protected again, and how long it was not."""

    mode: Annotated[RecoveryMode, Meta(description="As `RECOVERY` was when the remediation was opened.")]
    failed_at: Annotated[Time, Meta(description="Only a recovery point newer than this counts.")]
    backup_failed: Annotated[bool, Meta(description="Whether the signal told of a failed backup job.")] = False
    deadline: Annotated[Time | None, Meta(description="Until when a recovery point is waited for.")] = None
    interval_seconds: Annotated[float | None, Meta(description="Between two backups, by the instance's policy.")] = None
    rule: Annotated[str | None, Meta(description="The policy's rule for backups; null where backup is continuous.")] = (
        None
    )
    retention_tag: str | None = None
    is_continuous: bool = False
    point_before: Annotated[
        Time | None, Meta(description="The newest recovery point that is not newer than the failure.")
    ] = None
    point: Annotated[Time | None, Meta(description="The recovery point that proves the recovery.")] = None
    point_id: Annotated[str | None, Meta(description="Its id; null where backup is continuous.")] = None
    gap_seconds: Annotated[float | None, Meta(description="From the point before to the new one.")] = None
    looked_at: Annotated[Time | None, Meta(description="When the recovery points were read last.")] = None
    backup: BackupRun | None = None
    unanswered: Annotated[
        int, Meta(description="How many calls for a backup had no answer, and no recovery point in time.")
    ] = 0
    ended_at: Time | None = None
    published_at: Annotated[Time | None, Meta(description="When the topic took the outcome of the recovery.")] = None
    unknown: UnknownFields = field(default_factory=dict, name=UNKNOWN)

    @property
    def gap(self) -> timedelta | None:
        """How long there was no recovery point."""
        return timedelta(seconds=self.gap_seconds) if self.gap_seconds is not None else None
