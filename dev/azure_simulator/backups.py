"""Backups of the simulated instances: policy, jobs, recovery points. Times are seconds since 1970-01-01T00:00:00Z.

Nothing here runs by itself: whether a job has ended, and left its recovery point, is computed when it is asked for.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dev.azure_simulator.behaviour import Json

POINT_LIFETIME = 7 * 24 * 3600.0
"""Seconds: as long as the retention rule of the simulated policy keeps a point."""
_JOB_FAILED: Json = {"code": "UserErrorMaxConcurrentOperationLimitReached", "message": "Too many backups are running."}


class Policy(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The backup policy of an instance, as the control plane takes it."""

    name: str = "daily"
    rule_name: str = "BackupDaily"
    interval: str = "P1D"
    """ISO 8601, of the repeating interval of the schedule."""
    retention_tag: str = "Default"
    is_continuous: bool = False
    """Operational backup of blobs: no schedule and no jobs; restorable time ranges in place of recovery points."""


class JobDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A job that has already ended, as the control plane takes it."""

    status: Literal["Completed", "CompletedWithWarnings", "Failed", "Cancelled"] = "Failed"
    started: Annotated[datetime, Meta(tz=True)]
    seconds: Annotated[float, Meta(ge=0)] = 60
    error: Json | None = None
    is_user_triggered: bool = False


@dataclass(frozen=True, slots=True)
class RecoveryPoint:
    """A point to which the datasource can be restored."""

    id: str
    time: float


@dataclass(frozen=True, slots=True)
class Job:
    """A backup job: `InProgress` until it ends."""

    id: str
    started: float
    ends: float
    final_status: str
    error: Json | None
    is_user_triggered: bool
    point: RecoveryPoint | None
    """The point that it leaves."""

    def status(self, now: float) -> str:
        """Of the enumeration in "Jobs - Get" (2024-04-01)."""
        return "InProgress" if now < self.ends else self.final_status


@dataclass(slots=True)
class Backups:
    """The backups of one instance."""

    policy: Policy = field(default_factory=Policy)
    points: list[RecoveryPoint] = field(default_factory=list)
    """Those that were there from the beginning."""
    jobs: list[Job] = field(default_factory=list)

    @classmethod
    def of(cls, policy: Policy, points: list[datetime], jobs: list[JobDocument]) -> "Backups":
        """Backups with this history."""
        known = [RecoveryPoint(_new_id(), point.timestamp()) for point in points]
        return cls(policy, known, [_past_job(job) for job in jobs])

    def take(self, started: float, seconds: float, final_status: str, error: Json | None) -> Job:
        """A backup on demand begins; if it completes, its point is of when it began."""
        point = RecoveryPoint(_new_id(), started) if final_status.startswith("Completed") else None
        failure = None if point else error or _JOB_FAILED
        job = Job(str(uuid.uuid4()), started, started + seconds, final_status, failure, True, point)
        self.jobs.append(job)
        return job

    def points_at(self, now: float) -> list[RecoveryPoint]:
        """The recovery points that exist now, newest first."""
        from_jobs = [job.point for job in self.jobs if job.point and job.ends <= now]
        return sorted([*self.points, *from_jobs], key=lambda point: point.time, reverse=True)

    def latest(self, now: float) -> RecoveryPoint | None:
        """The newest recovery point."""
        return next(iter(self.points_at(now)), None)

    def job(self, job_id: str) -> Job | None:
        """The job of this id, in any casing."""
        return next((job for job in self.jobs if job.id == job_id.lower()), None)


def _past_job(document: JobDocument) -> Job:
    started = document.started.timestamp()
    point = RecoveryPoint(_new_id(), started) if document.status.startswith("Completed") else None
    error = document.error or (None if point else _JOB_FAILED)
    ends = started + document.seconds
    return Job(str(uuid.uuid4()), started, ends, document.status, error, document.is_user_triggered, point)


def _new_id() -> str:
    """Recovery points have UUIDs without dashes, as recordings of the CLI's tests show."""
    return uuid.uuid4().hex
