"""One host: the use cases of healing as `composition` puts them together, on the parts that a test gives."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.backup_results import BackupResult, JobResult, PointsResult, ScheduleResult
from shared.domain.backup_slot import BackupSlot
from shared.domain.resource_ids import BackupInstanceId
from shared.healing.acknowledge import Acknowledge
from shared.healing.cancel import Cancel
from shared.healing.dry_run import DryRun
from shared.healing.first_holds import FirstHolds
from shared.healing.incident_watch import IncidentWatch
from shared.healing.incidents import Incidents
from shared.healing.intake import Intake
from shared.healing.next_step import NextStep
from shared.healing.observing_arm import arm_in_mode, recovery_in_mode
from shared.healing.outcome_publisher import OutcomePublisher
from shared.healing.pausing import PauseOf, never_paused
from shared.healing.poll_cache import PollCache
from shared.healing.poller import Poller
from shared.healing.ports import Arm, Backups, JobQueue, LatestPoints, Leases, Shards, Slots, Topic
from shared.healing.queue_front import QueueFront
from shared.healing.recorder import Recorder
from shared.healing.recovery_step import RecoveryStep
from shared.healing.submit import Submit
from shared.healing.wake import Wake
from shared.rate_limits.rate_limiter import RateLimiter
from shared.settings import Settings
from shared.storage.remediation_list import RemediationReader
from shared.storage.remediation_store import RemediationStore
from tests.support.memory_leases import MemoryLeases


class NoBackups:
    """For tests without a recovery: nothing about backups is asked."""

    def schedule(self, instance: BackupInstanceId) -> ScheduleResult:
        raise AssertionError("no recovery is expected")

    def points(self, instance: BackupInstanceId, is_continuous: bool) -> PointsResult:
        raise AssertionError("no recovery is expected")

    def back_up(
        self, instance: BackupInstanceId, rule: str, retention_tag: str | None, request_id: str
    ) -> BackupResult:
        raise AssertionError("no recovery is expected")

    def job(self, instance: BackupInstanceId, job_id: str) -> JobResult:
        raise AssertionError("no recovery is expected")

    def newest(self, instance: BackupInstanceId) -> datetime | None:
        raise AssertionError("no recovery is expected")

    def look(self, instance: BackupInstanceId, remediation_id: str) -> BackupSlot:
        raise AssertionError("no recovery is expected")

    def take(self, instance: BackupInstanceId, remediation_id: str) -> datetime | None:
        raise AssertionError("no recovery is expected")

    def give_back(self, instance: BackupInstanceId, remediation_id: str, called_at: datetime) -> None:
        raise AssertionError("no recovery is expected")


@dataclass(kw_only=True)
class Host:
    """A process. `dataclasses.replace` gives one with other parts and the same cache."""

    store: RemediationStore
    arm: Arm
    write_limit: RateLimiter
    read_limit: RateLimiter
    jobs: JobQueue
    shards: Shards
    topic: Topic | None
    settings: Settings
    clock: Callable[[], datetime]
    backups: Backups = field(default_factory=NoBackups)
    latest_points: LatestPoints = field(default_factory=NoBackups)
    slots: Slots = field(default_factory=NoBackups)
    pause_of: PauseOf = never_paused
    jitter: float = 0.0
    concurrency: int = 1
    max_due_per_host: int = 10_000
    record_run: Callable[[int, int], None] = lambda due, polled: None
    leases: Leases = field(default_factory=MemoryLeases)
    cache: PollCache = field(default_factory=PollCache)

    def __post_init__(self) -> None:
        arm = arm_in_mode(self.settings.mode, self.arm)
        policy, timeout = self.settings.policy(), self.settings.operation_timeout
        incidents = Incidents(self.store, policy, self.settings.canary_timeout, self.clock)
        recorder = Recorder(self.store, self.cache, incidents, announces=self.topic is not None)
        first_holds = FirstHolds(self.store.incidents, policy, self.settings.canary_timeout, self.clock)
        publisher = OutcomePublisher(self.store, self.topic, self.clock, self._random) if self.topic else None
        self.intake = Intake(self.store, self.jobs, self.cache, policy, self.clock, self.pause_of, first_holds)
        self.dry_run = DryRun(self.intake, self.arm, self.read_limit, self.clock)
        self.wake = Wake(self.store, self.settings.wake_delay, self.clock)
        self.cancel = Cancel(self.store, recorder, self.clock)
        self.acknowledge = Acknowledge(self.store, recorder, self.clock)
        self.submit = Submit(
            store=self.store,
            arm=arm,
            write_limit=self.write_limit,
            read_limit=self.read_limit,
            jobs=self.jobs,
            cache=self.cache,
            recorder=recorder,
            policy=policy,
            now=self.clock,
            random=self._random,
            pause_of=self.pause_of,
        )
        reader = RemediationReader(self.store._table, self.store, self.clock)
        watch = IncidentWatch(self.store, reader, incidents, self.topic, self.clock, self._random)
        self.poller = Poller(
            store=self.store,
            next_step=NextStep(
                arm=arm,
                queue_front=QueueFront(self.jobs, self.clock),
                recovery=RecoveryStep(
                    arm=self.arm,
                    backups=self.backups,
                    latest_points=self.latest_points,
                    slots=self.slots,
                    write_limit=self.write_limit,
                    read_limit=self.read_limit,
                    mode=recovery_in_mode(self.settings.mode, self.settings.recovery),
                    timeout=self.settings.recovery_timeout,
                    now=self.clock,
                    random=self._random,
                ),
                read_limit=self.read_limit,
                policy=policy,
                operation_timeout=timeout,
                now=self.clock,
                random=self._random,
            ),
            cache=self.cache,
            incidents=incidents,
            jobs=self.jobs,
            shards=self.shards,
            leases=self.leases,
            publisher=publisher,
            now=self.clock,
            concurrency=self.concurrency,
            max_due_per_host=self.max_due_per_host,
            attend_incidents=watch.run,
            record_run=self.record_run,
        )

    def _random(self) -> float:
        return self.jitter
