"""The parts of the outside world that the use cases of healing need, as protocols."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from shared.domain.arm_results import InstanceResult, OperationResult, OperationUrls, SyncResult
from shared.domain.backup_results import BackupResult, JobResult, PointsResult, Schedule, ScheduleResult
from shared.domain.backup_slot import BackupSlot
from shared.domain.finding import ScheduledJob, WellInstance
from shared.domain.incident import Incident, IncidentEvent
from shared.domain.remediation import Remediation
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType
from shared.storage.queues import ShardJob, SyncJob


class ArmReads(Protocol):
    """The calls to Azure Resource Manager that change nothing (`clients.arm.ArmClient`)."""

    def operation(self, instance: BackupInstanceId, urls: OperationUrls) -> OperationResult:
        """Poll the operation."""

    def read(self, instance: BackupInstanceId) -> InstanceResult:
        """Read the instance."""


class Arm(ArmReads, Protocol):
    """Azure Resource Manager (`clients.arm.ArmClient`, or `healing.observing_arm.ObservingArm`)."""

    def sync(self, instance: BackupInstanceId, sync_type: SyncType, request_id: str) -> SyncResult:
        """Make the sync call."""


class JobQueue(Protocol):
    """The queue of sync jobs (`storage.queues.SyncJobQueue`)."""

    def send(self, job: SyncJob, delay: timedelta = timedelta()) -> None:
        """Enqueue a job that becomes visible after the delay."""

    def oldest(self) -> datetime | None:
        """When the oldest job that is visible was put into the queue; None if none is visible."""


class Shards(Protocol):
    """The queue of shard jobs (`storage.queues.ShardQueue`)."""

    def send(self, job: ShardJob) -> None:
        """Wake another host for a shard."""


class Lease(Protocol):
    """A shard that this host works on (`storage.shard_leases.ShardLease`)."""

    def release(self) -> None:
        """Let other hosts have it."""


class Leases(Protocol):
    """Which host works on which shard (`storage.shard_leases.ShardLeases`)."""

    def take(self, shard: str) -> Lease | None:
        """Take the shard's lease; None if another host has it."""


class Topic(Protocol):
    """The topic of outcomes (`clients.outcome_topic.OutcomeTopic`)."""

    def publish(self, news: Sequence[Remediation]) -> None:
        """Announce how these ended, and whose instances need a person; raises `PublishFailed`."""

    def publish_incident(self, incident: Incident, event: IncidentEvent) -> None:
        """Announce that the incident was opened or closed; raises `PublishFailed`."""


class Backups(Protocol):
    """Calls about backups: policies, recovery points, jobs (`clients.arm_backups.ArmBackups`)."""

    def schedule(self, instance: BackupInstanceId) -> ScheduleResult:
        """Read the part of its policy that recovery needs."""

    def points(self, instance: BackupInstanceId, is_continuous: bool) -> PointsResult:
        """Read its recovery points, newest first."""

    def back_up(
        self, instance: BackupInstanceId, rule: str, retention_tag: str | None, request_id: str
    ) -> BackupResult:
        """Call for a backup on demand."""

    def job(self, instance: BackupInstanceId, job_id: str) -> JobResult:
        """Read a backup job."""


class LatestPoints(Protocol):
    """Newest recovery points by Resource Graph (`clients.latest_points.LatestPointCache`)."""

    def newest(self, instance: BackupInstanceId) -> datetime | None:
        """The newest recovery point as known some minutes ago; None if that is not known."""


class Slots(Protocol):
    """How many backups an instance may have a day (`storage.backup_slots.BackupSlots`)."""

    def look(self, instance: BackupInstanceId, remediation_id: str) -> BackupSlot:
        """The slot that the remediation has, or could take now."""

    def take(self, instance: BackupInstanceId, remediation_id: str) -> datetime | None:
        """Take a free slot, just before the call; returns when, None if there is none, or it is held already."""

    def give_back(self, instance: BackupInstanceId, remediation_id: str, called_at: datetime) -> None:
        """Free the slot, unless it was taken later: the call that was made then began no backup."""


class FindingTopic(Protocol):
    """The topic of findings (`clients.outcome_topic.OutcomeTopic`)."""

    def publish_findings(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Announce these findings; raises `PublishFailed`."""


class FirstPoints(Protocol):
    """Instances without any recovery point, by key (`storage.first_points.FirstPoints`)."""

    def waiting(self) -> Mapping[str, datetime]:
        """Since when each is known to have none."""

    def note(self, keys: Iterable[str], now: datetime) -> None:
        """These were met first now."""

    def forget(self, keys: Iterable[str]) -> None:
        """These have one now, or are gone."""


class Inventory(Protocol):
    """Resource Graph's rows about all backups (`clients.backup_inventory.BackupInventory`); raises `QueryFailed`."""

    def schedules(self, deadline: datetime) -> Mapping[str, Schedule]:
        """The schedules of all policies, by the policy's normalized id."""

    def jobs(self, deadline: datetime) -> Mapping[str, ScheduledJob]:
        """The newest scheduled job that did not complete, by the normalized id of its instance."""

    def instances(self, deadline: datetime) -> Iterator[list[WellInstance]]:
        """The instances that are well, a page at a time."""
