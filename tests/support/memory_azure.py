"""Resource Manager, topic and shard queue in memory, for a host on a table in memory."""

from collections.abc import Callable, Sequence
from typing import Any

from shared.clients.outcome_topic import PublishFailed, attention_event
from shared.domain import arm_results
from shared.domain.arm_results import OperationUrls
from shared.domain.attention import is_unannounced
from shared.domain.incident import Incident, IncidentEvent, event_id
from shared.domain.remediation import Remediation
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal, SyncType
from shared.domain.state_machine import DEFAULT_POLL_INTERVAL
from shared.healing.intake import Coalesced, Dropped, Opened
from shared.rate_limits.rate_limiter import Gcra, RateLimiter
from shared.settings import Settings
from shared.storage.queues import ShardJob, SyncJob
from shared.storage.table_rows import shard_of
from tests.support.clock import Clock
from tests.support.host import Host
from tests.support.memory_queue import MemoryQueue
from tests.support.memory_store import MemoryStore
from tests.support.remediations import instance_named, read


class HealingArm:
    """Takes each sync call, which heals the instance by the first poll."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        accepted = arm_results.SyncAccepted(OperationUrls("https://arm.example/x", None), 1.0)
        self.synced: arm_results.SyncResult = accepted
        self.polled: arm_results.OperationResult = arm_results.OperationSucceeded("job")
        self.before: arm_results.InstanceResult = read("ProtectionError")
        self.instance: arm_results.InstanceResult = read("ProtectionConfigured")
        self._synced: set[BackupInstanceId] = set()

    def sync(self, instance: BackupInstanceId, sync_type: SyncType, request_id: str) -> arm_results.SyncResult:
        self.calls.append("sync")
        self._synced.add(instance)
        return self.synced

    def break_again(self) -> None:
        """Every instance is as it was before it was healed."""
        self._synced.clear()

    def operation(self, instance: BackupInstanceId, urls: OperationUrls) -> arm_results.OperationResult:
        self.calls.append("operation")
        return self.polled

    def read(self, instance: BackupInstanceId) -> arm_results.InstanceResult:
        self.calls.append("read")
        return self.instance if instance in self._synced else self.before


class MemoryTopic:
    """Remembers what was announced."""

    def __init__(self) -> None:
        self.announced: list[str] = []
        """Ids of remediations that ended."""
        self.attention: list[str] = []
        """Ids of the events that an instance needs a person."""
        self.incidents: list[str] = []
        """Ids of the events about incidents."""
        self.is_down = False

    def publish(self, news: Sequence[Remediation]) -> None:
        if self.is_down:
            raise PublishFailed("down")
        self.announced += [remediation.id for remediation in news if remediation.status.is_terminal]
        self.attention += [attention_event(remediation).id for remediation in news if is_unannounced(remediation)]

    def publish_incident(self, incident: Incident, event: IncidentEvent) -> None:
        if self.is_down:
            raise PublishFailed("down")
        self.incidents.append(event_id(incident, event))


class NoShards:
    """Hands over to nobody."""

    def send(self, job: ShardJob) -> None:
        raise AssertionError(job)


class MemoryApp:
    """One host on storage, queue, topic and Resource Manager in memory, with a clock to be set."""

    def __init__(
        self,
        has_topic: bool = True,
        arm: Callable[["MemoryApp"], "HealingArm"] = lambda _: HealingArm(),
        **settings: Any,
    ) -> None:
        self.clock = Clock()
        self.store = MemoryStore(now=self.clock)
        self.jobs = MemoryQueue()
        self.topic = MemoryTopic()
        self.arm = arm(self)
        plenty = Gcra(burst=100_000, rate=100_000)
        self.host = Host(
            store=self.store,
            arm=self.arm,
            write_limit=RateLimiter("writes", plenty, self.store.buckets, self.clock),
            read_limit=RateLimiter("reads", plenty, self.store.buckets, self.clock),
            jobs=self.jobs,
            shards=NoShards(),
            topic=self.topic if has_topic else None,
            settings=Settings(**settings),
            clock=self.clock,
        )

    def signal(self, name: str) -> Signal:
        """The instance of this name has failed."""
        return Signal(instance_named(name), "Event", "backup failed", self.clock())

    def open(self, name: str) -> Remediation:
        """The instance of this name has failed; its job is still to be carried out."""
        result = self.accept(name)
        assert not isinstance(result, Dropped)
        return result.remediation

    def accept(self, name: str) -> Opened | Coalesced | Dropped:
        """The result of the signal that the instance of this name has failed."""
        return self.host.intake.accept(self.signal(name))

    def start(self, name: str) -> Remediation:
        """The instance of this name has failed, and its sync call was accepted; its operation is due in a second."""
        opened = self.open(name)
        self.host.submit.run(f'{{"v":1,"remediationId":"{opened.id}","attempt":1}}')
        return opened

    def start_many(self, count: int) -> dict[str, list[Remediation]]:
        """So many have failed and are due a minute later; by shard."""
        by_shard: dict[str, list[Remediation]] = {}
        for number in range(count):
            started = self.start(f"bi-{number}")
            by_shard.setdefault(shard_of(started.id), []).append(started)
        self.clock.advance(minutes=1)
        return by_shard

    def follow(self, name: str) -> Remediation:
        """The instance of this name has failed; its remediation, once it has ended."""
        opened = self.open(name)
        self.jobs.send(SyncJob(opened.id, 1))
        while not (current := self.now(opened)).status.is_terminal:
            if self.jobs.sent:
                job, delay = self.jobs.sent.pop(0)
                self.clock.advance(delay.total_seconds())
                self.host.submit.run(job.to_message())
            elif current.due_at:
                # A poll that finds an operation running is kept in the host's cache only.
                is_cached = current.due_at <= self.clock()
                self.clock.now = self.clock() + DEFAULT_POLL_INTERVAL if is_cached else current.due_at
                self.host.poller.run()
        return current

    def now(self, remediation: Remediation) -> Remediation:
        """How it stands in storage."""
        stored = self.store.load(remediation.id)
        assert stored is not None
        return stored.remediation

    def row(self, remediation: Remediation) -> dict[str, Any]:
        """Its row."""
        return dict(self.store.table.get_entity(shard_of(remediation.id), f"r:{remediation.id}"))
