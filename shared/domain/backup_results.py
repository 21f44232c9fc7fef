"""Results of calls about backups, as plain data: the schedule of an instance, its recovery points, backups, jobs."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.arm_results import ArmError, OperationUrls, Refused, SyncConflict, TransientFailure


@dataclass(frozen=True, slots=True)
class Schedule:
    """The part of an instance's backup policy that recovery needs."""

    rule: str | None
    """Name of the rule that makes backups; None where backup is continuous."""
    retention_tag: str | None
    """The tag that the rule gives by default."""
    interval: timedelta | None
    """Between two scheduled backups; None where the policy does not say."""
    is_continuous: bool
    """Operational backup of blobs: no jobs and no recovery points, but time ranges to which it can be restored."""


ScheduleResult = Schedule | Refused | TransientFailure


@dataclass(frozen=True, slots=True)
class RecoveryPoint:
    """A point to which the datasource can be restored."""

    time: datetime
    id: str | None
    """None where backup is continuous: then the time is the end of the newest time range."""


@dataclass(frozen=True, slots=True)
class PointsRead:
    """The recovery points of an instance, newest first."""

    points: tuple[RecoveryPoint, ...]


PointsResult = PointsRead | Refused | TransientFailure


@dataclass(frozen=True, slots=True)
class BackupAccepted:
    """`202`: the operation of a backup on demand runs."""

    operation: OperationUrls
    retry_after: float | None


BackupResult = BackupAccepted | Refused | SyncConflict | TransientFailure


@dataclass(frozen=True, slots=True)
class JobRead:
    """A backup job as ARM shows it."""

    status: str
    """`InProgress`, `Completed`, `CompletedWithWarnings`, `Failed`, `Cancelled` or another."""
    error: ArmError | None
    """The first of its `errorDetails`."""


JobResult = JobRead | Refused | TransientFailure
