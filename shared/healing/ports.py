"""The parts of the outside world that the use cases of healing need, as protocols."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.arm_results import InstanceResult, OperationResult, OperationUrls, SyncResult
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
        """Hand a shard over to another host."""


class Topic(Protocol):
    """The topic of outcomes (`clients.outcome_topic.OutcomeTopic`)."""

    def publish(self, ended: Sequence[Remediation]) -> None:
        """Announce how these remediations ended; raises `PublishFailed`."""
