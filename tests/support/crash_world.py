"""Everything outside the app, in memory; at each boundary a process may die, or another one get ahead."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.clients.outcome_topic import PublishFailed
from shared.domain import arm_results
from shared.domain.arm_results import ArmError, OperationUrls, new_error
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
from shared.domain.incident import Incident, IncidentEvent, event_id
from shared.domain.mode import Mode
from shared.domain.remediation import Remediation
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType
from shared.storage.queues import ShardJob, SyncJob
from tests.support.memory_leases import MemoryLeases
from tests.support.memory_store import MemoryStore
from tests.support.remediations import NOW

ERROR: ArmError = new_error("UserError", "broken")


class Killed(BaseException):
    """The process is gone; nothing of it runs on."""


class QueuedJob(NamedTuple):
    """A sync job in the queue, or a copy of one."""

    message: str
    inserted_at: datetime
    visible_at: datetime


class World:
    """Everything outside the app, and the boundary between."""

    def __init__(self) -> None:
        self.now = NOW
        self.store = MemoryStore(self.boundary, lambda: self.now)
        self.queue: list[QueuedJob] = []
        self.shards: list[str] = []
        self.leases = MemoryLeases()
        self.published: list[tuple[str, str]] = []
        self.incidents: list[str] = []
        """Ids of the events about incidents."""
        self.outcomes: list[bool] = []
        self.throttled_calls = 0
        self.running_polls = 0
        self.conflicts = 0
        self.changing_reads = 0
        self.refuses = False
        self.error = ERROR
        self.accepted: set[str] = set()
        self.points: dict[BackupInstanceId, list[datetime]] = {}
        self.backups: Counter[str] = Counter()
        """Calls, by their client request id, which is the remediation's."""
        self.disturbances = 0
        self.delivered: set[QueuedJob] = set()
        self.synced: set[str] = set()
        self.sync_calls: set[str] = set()
        self.topic_is_down = False
        self.steps_until_event = -1
        self.event: Callable[[], None] = lambda: None

    def clock(self) -> datetime:
        """Time goes on by itself, a little."""
        self.now += timedelta(milliseconds=1)
        return self.now

    def enqueue(self, message: str, delay: timedelta = timedelta()) -> None:
        self.queue.append(QueuedJob(message, self.now, self.now + delay))

    def back_up_nightly(self, *instances: BackupInstanceId) -> None:
        for instance in instances:
            self.points.setdefault(instance, []).append(self.now)

    def boundary(self) -> None:
        """Here a process may die, or another host may get ahead."""
        self.steps_until_event -= 1
        if self.steps_until_event == 0:
            self.event()

    def disturb(self, after_steps: int, event: Callable[[], None]) -> None:
        self.disturbances += 1
        self.steps_until_event, self.event = after_steps, event

    def calm(self) -> None:
        self.steps_until_event = -1


class MemoryQueue:
    def __init__(self, world: World) -> None:
        self._world = world

    def send(self, job: SyncJob, delay: timedelta = timedelta()) -> None:
        self._world.boundary()
        self._world.enqueue(job.to_message(), delay)
        self._world.boundary()

    def oldest(self) -> datetime | None:
        visible = [job.inserted_at for job in self._world.queue if job.visible_at <= self._world.now]
        return min(visible, default=None)


class MemoryShards:
    def __init__(self, world: World) -> None:
        self._world = world

    def send(self, job: ShardJob) -> None:
        self._world.boundary()
        self._world.shards.append(job.to_message())


class MemoryTopic:
    def __init__(self, world: World) -> None:
        self._world = world

    def publish(self, ended: Sequence[Remediation]) -> None:
        self._world.boundary()
        if self._world.topic_is_down:
            raise PublishFailed("down")
        # The others are announced because their instance needs a person: they have not ended.
        over = [remediation for remediation in ended if remediation.status.is_terminal]
        self._world.published += [(remediation.id, remediation.status.value) for remediation in over]
        self._world.boundary()

    def publish_incident(self, incident: Incident, event: IncidentEvent) -> None:
        self._world.boundary()
        if self._world.topic_is_down:
            raise PublishFailed("down")
        self._world.incidents.append(event_id(incident, event))
        self._world.boundary()


class MemoryArm:
    """An operation ends when it is polled, as the world decides."""

    def __init__(self, world: World, mode: Mode) -> None:
        self._world = world
        self._mode = mode

    def sync(self, instance: BackupInstanceId, sync_type: SyncType, request_id: str) -> arm_results.SyncResult:
        assert self._mode is Mode.HEAL
        self._world.boundary()
        if self._world.throttled_calls > 0:
            self._world.throttled_calls -= 1
            return arm_results.TransientFailure(new_error("TooManyRequests", "later"), 1.0)
        if self._world.conflicts > 0:
            self._world.conflicts -= 1
            return arm_results.SyncConflict(ERROR, 1.0)
        if self._world.refuses:
            return arm_results.Refused(400, ERROR)
        self._world.synced.add(instance.key)
        self._world.sync_calls.add(request_id)
        self._world.boundary()
        return arm_results.SyncAccepted(OperationUrls("https://arm.example/x", None), 1.0)

    def operation(self, instance: BackupInstanceId, operation: OperationUrls) -> arm_results.OperationResult:
        self._world.boundary()
        if self._world.running_polls > 0:
            self._world.running_polls -= 1
            return arm_results.OperationRunning("Inprogress", 1.0)
        succeeds = self._world.outcomes.pop() if self._world.outcomes else True
        return (
            arm_results.OperationSucceeded("job")
            if succeeds
            else arm_results.OperationFailed("Failed", self._world.error)
        )

    def read(self, instance: BackupInstanceId) -> arm_results.InstanceResult:
        self._world.boundary()
        if self._world.changing_reads > 0:
            self._world.changing_reads -= 1
            return arm_results.InstanceRead("UpdatingProtection", None)
        healthy = self._world.outcomes.pop() if self._world.outcomes else instance.key in self._world.synced
        return arm_results.InstanceRead("ProtectionConfigured" if healthy else "ProtectionError", None)


class MemoryBackups:
    """A backup leaves its recovery point when its job is read; nothing else makes one, but the nightly backup."""

    def __init__(self, world: World) -> None:
        self._world = world

    def schedule(self, instance: BackupInstanceId) -> ScheduleResult:
        self._world.boundary()
        return Schedule("rule", "tag", timedelta(days=1), is_continuous=False)

    def points(self, instance: BackupInstanceId, is_continuous: bool) -> PointsResult:
        self._world.boundary()
        return PointsRead(tuple(RecoveryPoint(at, "point") for at in self._world.points.get(instance, ())))

    def back_up(
        self, instance: BackupInstanceId, rule: str, retention_tag: str | None, request_id: str
    ) -> BackupResult:
        self._world.boundary()
        self._world.backups[request_id] += 1
        self._world.boundary()
        return BackupAccepted(OperationUrls("https://arm.example/backup", None), 1.0)

    def job(self, instance: BackupInstanceId, job_id: str) -> JobResult:
        self._world.boundary()
        self._world.back_up_nightly(instance)
        return JobRead("Completed", None)

    def newest(self, instance: BackupInstanceId) -> datetime | None:
        return None
