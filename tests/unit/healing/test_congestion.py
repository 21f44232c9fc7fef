"""A queue longer than its consumers can take for a while: the backlog drains, and each job is delivered about once.

The use cases run on a clock of the test's own: 2 jobs a second can be carried out, 360 signals come at once and one
each second after them, which is half of what the consumers can do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush

from shared.domain.arm_results import (
    InstanceRead,
    InstanceResult,
    OperationResult,
    OperationSucceeded,
    OperationUrls,
    SyncAccepted,
    SyncResult,
)
from shared.domain.remediation import Remediation
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal, SyncType
from shared.rate_limits.rate_limiter import Gcra, RateLimiter
from shared.settings import Settings
from shared.storage.queues import ShardJob, SyncJob
from tests.support.clock import Clock
from tests.support.host import Host
from tests.support.memory_store import MemoryStore

SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"


class Queue:
    """First in, first out by the time from which a job is visible."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: list[tuple[datetime, int, datetime, SyncJob]] = []
        self.sent = 0

    def send(self, job: SyncJob, delay: timedelta = timedelta()) -> None:
        self.sent += 1
        heappush(self._jobs, (self._clock() + delay, self.sent, self._clock(), job))

    def oldest(self) -> datetime | None:
        visible = [inserted_at for visible_at, _, inserted_at, _ in self._jobs if visible_at <= self._clock()]
        return min(visible, default=None)

    def receive(self) -> SyncJob | None:
        return heappop(self._jobs)[-1] if self._jobs and self._jobs[0][0] <= self._clock() else None

    def __len__(self) -> int:
        return len(self._jobs)


@dataclass
class Arm:
    """Heals at once."""

    synced: set[str] = field(default_factory=set)
    reads: int = 0

    def sync(self, instance: BackupInstanceId, sync_type: SyncType, request_id: str) -> SyncResult:
        self.synced.add(instance.key)
        return SyncAccepted(OperationUrls("https://arm.example/operation", None), 1.0)

    def operation(self, instance: BackupInstanceId, urls: OperationUrls) -> OperationResult:
        return OperationSucceeded(None)

    def read(self, instance: BackupInstanceId) -> InstanceResult:
        self.reads += 1
        return InstanceRead("ProtectionConfigured" if instance.key in self.synced else "ProtectionError", None)


class NoShards:
    def send(self, job: ShardJob) -> None:
        raise AssertionError("few enough for one host")


class NoTopic:
    def publish(self, ended: Sequence[Remediation]) -> None:
        pass


def test_a_backlog_drains_and_no_waiting_job_is_taken_for_lost() -> None:
    clock, store, arm = Clock(), MemoryStore(), Arm()
    queue = Queue(clock)
    unlimited = Gcra(burst=100_000, rate=1_000)
    host = Host(
        store=store,
        arm=arm,
        write_limit=RateLimiter("writes", unlimited, store.buckets, clock),
        read_limit=RateLimiter("reads", unlimited, store.buckets, clock),
        jobs=queue,
        shards=NoShards(),
        topic=NoTopic(),
        settings=Settings(),
        clock=clock,
    )
    opened = 0

    def fail(count: int) -> None:
        nonlocal opened
        for _ in range(count):
            opened += 1
            instance = BackupInstanceId(SUBSCRIPTION, "rg", "vault", f"bi-{opened}")
            result = host.intake.accept(Signal(instance, "Event", "failed", clock()))
            assert result.job is not None
            queue.send(result.job)

    fail(360)
    for second in range(600):
        fail(1)
        for _ in range(2):
            if job := queue.receive():
                host.submit.run(job.to_message())
        if second % 30 == 0:
            host.poller.run()
        clock.advance(seconds=1)
    assert len(queue) < 30
    assert queue.sent == opened
    assert arm.reads <= opened
