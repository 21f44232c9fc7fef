"""A finding of the sweep: an instance that is well, but whose backups are not. Pure.

`ProtectionConfigured` says only that the configuration arrived. Whether data is protected, its newest recovery point
tells, and the job that should have made a newer one.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.clock import to_iso
from shared.domain.backup_results import Schedule
from shared.domain.duration_text import duration_text
from shared.domain.protection_state import VALID
from shared.domain.resource_ids import BackupInstanceId, InvalidResourceId, normalize
from shared.domain.signal import SWEEP, Signal, one_line


class FindingKind(StrEnum):
    """Why an instance that is well is a finding."""

    JOB_FAILED = "JobFailed"
    STALE = "Stale"


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A scheduled backup job that did not complete: the newest one of its instance."""

    id: str
    """Its name in the vault."""
    started_at: datetime
    ended_at: datetime
    """When it started, where nothing tells."""
    has_failed: bool
    """False while it runs."""
    error_code: str | None


@dataclass(frozen=True, slots=True)
class WellInstance:
    """An instance in `ProtectionConfigured`."""

    id: str
    """Not parsed: of a million instances, few are findings."""
    policy_id: str
    """As `resource_ids.normalize` writes it."""
    latest_point: datetime | None
    """Time of its newest recovery point; None if there was none ever."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An instance that is well, but whose last scheduled backup failed, or whose newest point is too old."""

    instance: BackupInstanceId
    kind: FindingKind
    failed_at: datetime
    """When the job ended, or when the newest point became too old."""
    latest_point: datetime | None
    interval: timedelta | None
    """Of its policy; None where that is not known."""
    job_id: str | None = None
    error_code: str | None = None

    @property
    def id(self) -> str:
        """The same for the same failure of the same instance, whoever finds it: its key and the failure's hash."""
        failure = self.job_id or f"{self.kind} {self.latest_point and to_iso(self.latest_point)}"
        return f"{self.instance.key}-{hashlib.sha256(failure.encode()).hexdigest()[:16]}"

    @property
    def reason(self) -> str:
        """The finding in words."""
        point = f"the newest recovery point is of {to_iso(self.latest_point)}" if self.latest_point else "no point yet"
        if self.kind is FindingKind.JOB_FAILED:
            code = f" with {one_line(self.error_code)}" if self.error_code else ""
            return f"JobFailed: the last scheduled backup failed{code}, {point}"
        interval = duration_text(self.interval) if self.interval else "not known"
        return f"Stale: {point}, the policy's interval is {interval}"

    @property
    def signal(self) -> Signal:
        """The signal that it is: of a failed backup, at the time of the failure, so that it can be known to be old."""
        return Signal(
            self.instance,
            SWEEP,
            self.reason,
            self.failed_at,
            backup_failed=True,
            protection_state=VALID,
            latest_recovery_point=self.latest_point,
        )


def finding_document(finding: Finding) -> dict[str, Any]:
    """The finding as API, event and storage show it."""
    return {
        "id": finding.id,
        "backupInstanceId": str(finding.instance),
        "kind": finding.kind,
        "reason": finding.reason,
        "failedAt": to_iso(finding.failed_at),
        "latestRecoveryPoint": to_iso(finding.latest_point) if finding.latest_point else None,
        "intervalSeconds": finding.interval.total_seconds() if finding.interval else None,
        "jobId": finding.job_id,
        "errorCode": finding.error_code,
    }


def may_wait_for_first_point(instance: WellInstance, schedule: Schedule | None) -> bool:
    """Whether it has no recovery point at all, though its policy makes some."""
    return instance.latest_point is None and schedule is not None and schedule.interval is not None


def assess(
    instance: WellInstance,
    job: ScheduledJob | None,
    schedule: Schedule | None,
    grace: timedelta,
    now: datetime,
    waiting_since: datetime | None = None,
) -> Finding | None:
    """The finding about an instance, if it is one.

    Args:
        job: its newest scheduled job that did not complete; a completed one after it has left a newer point.
        schedule: of its policy; None if that is not known.
        grace: how much older than the policy's interval a point may be.
        waiting_since: since when it is known to have no recovery point at all.
    """
    point, interval = instance.latest_point, schedule.interval if schedule else None
    if schedule and schedule.is_continuous:
        return None
    if job and job.has_failed and (point is None or point < job.started_at):
        kind, failed_at = FindingKind.JOB_FAILED, job.ended_at
    else:
        since = point or _begin_of_wait(waiting_since, job)
        if since is None or interval is None or now - since <= interval + grace:
            return None
        kind, failed_at, job = FindingKind.STALE, since + interval + grace, None
    instance_id = _parse(instance.id)
    if instance_id is None:
        return None
    job_id, code = (job.id, job.error_code) if job else (None, None)
    return Finding(instance_id, kind, failed_at, point, interval, job_id, code)


def _begin_of_wait(waiting_since: datetime | None, job: ScheduledJob | None) -> datetime | None:
    """Since when the first recovery point is waited for; a first backup that runs may take long."""
    is_running = job is not None and not job.has_failed
    return max(waiting_since, job.started_at) if waiting_since and job and is_running else waiting_since


def _parse(text: str) -> BackupInstanceId | None:
    """The instance that an id names, if it names nothing below one."""
    try:
        instance_id = BackupInstanceId.parse(text)
    except InvalidResourceId:
        return None
    return instance_id if normalize(str(instance_id)) == normalize(text) else None
