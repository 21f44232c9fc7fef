"""Backups of the simulated Azure, as one host reaches them: policies, recovery points, backups on demand, jobs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.arm_results import OperationUrls
from shared.domain.backup_results import (
    BackupAccepted,
    BackupResult,
    JobRead,
    JobResult,
    PointsRead,
    PointsResult,
    RecoveryPoint,
    Schedule,
    ScheduleResult,
)
from shared.domain.resource_ids import BackupInstanceId
from tests.simulation.azure import BACKUP_URL, WELL, Backup, ResourceManager
from tests.simulation.scheduler import Scheduler

_INTERVAL = 4 * 3_600.0
"""Seconds between two scheduled backups, of all instances at once."""
_MAX_POINTS = 50
_GRAPH_LAG = 600.0
"""Seconds by which Resource Graph is behind."""


@dataclass(frozen=True)
class HostBackups:
    """`turn` is called before and after each call, where others may go on."""

    azure: ResourceManager
    scheduler: Scheduler
    turn: Callable[[], None]

    def schedule(self, instance: BackupInstanceId) -> ScheduleResult:
        self.turn()
        found = Schedule("rule", "tag", timedelta(seconds=_INTERVAL), is_continuous=False)
        self.turn()
        return self.azure.outage_now(is_sync=False) or found

    def points(self, instance: BackupInstanceId, is_continuous: bool) -> PointsResult:
        self.turn()
        found = PointsRead(tuple(RecoveryPoint(at, "point") for at in self._points(instance)))
        self.turn()
        return self.azure.outage_now(is_sync=False) or found

    def back_up(
        self, instance: BackupInstanceId, rule: str, retention_tag: str | None, request_id: str
    ) -> BackupResult:
        self.turn()
        outage = self.azure.outage_now()
        if outage is not None and not outage.may_have_acted:
            self.turn()
            return outage
        now = self.scheduler.time
        ends = now + self.azure.random.uniform(*self.azure.duration)
        self.azure.backups.append(Backup(instance.key, request_id, self.scheduler.current, ends, outage is not None))
        self.turn()
        urls = OperationUrls(f"{BACKUP_URL}{len(self.azure.backups)}", None)
        return outage or BackupAccepted(urls, self.azure.random.choice((None, 5.0)))

    def job(self, instance: BackupInstanceId, job_id: str) -> JobResult:
        self.turn()
        backup = self.azure.backups[int(job_id) - 1]
        found = JobRead("Completed" if backup.ends <= self.scheduler.time else "InProgress", None)
        self.turn()
        return self.azure.outage_now(is_sync=False) or found

    def newest(self, instance: BackupInstanceId) -> datetime | None:
        points = [at for at in self._points(instance) if at <= self.scheduler.now - timedelta(seconds=_GRAPH_LAG)]
        return points[0] if points else None

    def _points(self, instance: BackupInstanceId) -> list[datetime]:
        """Newest first: scheduled backups since the instance is well, and those on demand."""
        known, now = self.azure.instances[instance.key], self.scheduler.time
        known.settle(now)
        scheduled = [number * _INTERVAL for number in range(_MAX_POINTS)]
        times = [backup.ends for backup in self.azure.backups if backup.instance_key == instance.key]
        if known.state == WELL:
            times += [at for at in scheduled if at >= (known.healed_at or 0.0)]
        return [self.scheduler.now + timedelta(seconds=at - now) for at in sorted(times, reverse=True) if at <= now]
