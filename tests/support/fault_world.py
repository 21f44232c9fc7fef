"""One host of the app and all that calls it, on a clock that jumps to whatever comes next.

The queue delivers a job when it is visible, again after a failure, and gives up after five times; the timer runs when
something is due; Event Grid, Azure Monitor and the sweep's schedule bring a signal again until it is taken.
"""

from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import azure.functions as func
import requests
from azure.core.exceptions import AzureError
from azure.data.tables import TableClient
from azure.identity import ManagedIdentityCredential
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from shared.clients import credential
from shared.clients.arm import ArmClient
from shared.clients.arm_circuit import ArmCircuit
from shared.clients.arm_transport import ArmTransport
from shared.clients.credential import ManagedIdentity, TokenCache
from shared.clients.outcome_topic import OutcomeTopic
from shared.clients.resource_graph import ResourceGraph
from shared.domain.remediation import Remediation
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal
from shared.healing.sweep import Sweep
from shared.rate_limits.circuit_breaker import CircuitBreaker
from shared.rate_limits.rate_limiter import Gcra, RateLimiter
from shared.rate_limits.sweep_quota import SweepQuota
from shared.settings import Settings
from shared.storage.bucket_store import BucketStore
from shared.storage.conflicts import WriteConflict
from shared.storage.queues import ShardJob, SyncJob, SyncJobQueue
from shared.storage.remediation_store import RemediationStore
from shared.storage.shard_leases import ShardLeases
from tests.support.callers import Callers
from tests.support.clock import Clock
from tests.support.faulty_azure import GRAPH, QUEUE, STATUS, STORAGE, SYNC, TOPIC, FaultyAzure
from tests.support.gateway import Fault, Served
from tests.support.host import Host
from tests.support.memory_leases import MemoryLeases
from tests.support.memory_store import MemoryStore
from tests.support.simulator import ARM_AUDIENCE, SUBSCRIPTION

EVENT, ALERT, REQUEST, SWEEP = "event", "alert", "request", "sweep"
JOB, TIMER = "job", "timer"
_REPEATS = {EVENT: timedelta(seconds=30), ALERT: timedelta(seconds=30), SWEEP: timedelta(hours=1)}
"""When a signal that was not taken comes again."""
_TIMER_INTERVAL = timedelta(seconds=30)
_MAX_DELIVERIES = 5
"""Of a job; `maxDequeueCount`."""
_REDELIVERY = timedelta(seconds=30)
_PLENTY = Gcra(burst=100_000, rate=100_000)


class Delivery(NamedTuple):
    """A job in the queue."""

    message: str
    inserted_at: datetime
    visible_at: datetime
    deliveries: int = 0


class Met(NamedTuple):
    """A run of a trigger that met the fault."""

    trigger: str
    at: datetime
    requests: int


@dataclass(frozen=True)
class Storage:
    """Where a world keeps its records: in memory, but for the service whose faults are looked at."""

    store: RemediationStore
    buckets: BucketStore
    behind: RemediationStore
    """The same, without its gateway."""
    table: TableClient | None = None
    """The table of the store, for the lists; None in memory."""
    queue: QueueClient | None = None
    leases: ContainerClient | None = None

    @classmethod
    def in_memory(cls, queue: QueueClient | None = None, leases: ContainerClient | None = None) -> "Storage":
        """With a real queue or container, or neither."""
        store = MemoryStore()
        return cls(store, store.buckets, store, queue=queue, leases=leases)


@dataclass(frozen=True)
class Timeouts:
    """Seconds until an answer that stays away is given up."""

    arm: float = 30.0
    identity: float = 10.0


class World:
    """One instance that has failed, in a vault of its own."""

    def __init__(self, azure: FaultyAzure, call: str, storage: Storage, session: requests.Session, timeouts: Timeouts):
        """The calls of one kind are those that can meet a fault."""
        self.azure, self.call, self.storage, self.clock = azure, call, storage, Clock()
        name = f"bi-{uuid4().hex[:12]}"
        self.instance = BackupInstanceId(SUBSCRIPTION, "testRG", "testVault", name)
        self.disk = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/diskRG/providers/Microsoft.Compute/disks/{name}"
        self.escaped: list[Exception] = []
        """Exceptions that triggers raised so that they are run again."""
        self.met: list[Met] = []
        self._fault: Fault | None = None
        self._runs_left: int | None = 0
        self._triggers: Collection[str] = ()
        self._jobs: list[Delivery] = []
        self._signal: tuple[str, datetime] | None = None
        self._last_timer = self.clock()
        self._assemble(session, timeouts)

    def _assemble(self, session: requests.Session, timeouts: Timeouts) -> None:
        azure, clock, buckets = self.azure, self.clock, self.storage.buckets
        settings = Settings(
            arm_endpoint=azure.arm,
            arm_allowed_hosts=(urlsplit(azure.gateways[STATUS].url).netloc,),
            outcome_topic_endpoint=azure.through(TOPIC, azure.simulator.ready["topicEndpoint"]),
        )
        options = {**credential._CLIENT_OPTIONS, "read_timeout": timeouts.identity}

        def identity() -> ManagedIdentity:
            return ManagedIdentity(
                lambda: ManagedIdentityCredential(**options), monotonic=lambda: self.clock().timestamp()
            )

        tokens = TokenCache(identity, ARM_AUDIENCE)
        transport = ArmTransport(tokens, session, (5.0, timeouts.arm))
        writes, reads = (RateLimiter(kind, _PLENTY, buckets, clock) for kind in ("writes", "reads"))
        self.jobs = WorldQueue(self, self.storage.queue)
        circuit = ArmCircuit(transport, CircuitBreaker(clock, lambda: 0.5))
        self.arm = ArmClient(azure.arm, settings.arm_allowed_hosts, circuit, writes, reads)
        container = self.storage.leases
        self.host = Host(
            store=self.storage.store,
            arm=self.arm,
            write_limit=writes,
            read_limit=reads,
            jobs=self.jobs,
            shards=_NobodyElse(),
            leases=ShardLeases(container.get_blob_client) if container else MemoryLeases(),
            max_due_per_host=0 if container else 10_000,
            topic=OutcomeTopic(settings.outcome_topic_endpoint or "", identity()),
            settings=settings,
            clock=clock,
        )
        graph = ResourceGraph(azure.gateways[GRAPH].url, (), transport, clock, clock.advance)
        quota = SweepQuota(_PLENTY, buckets, clock)
        self.sweep = Sweep(graph, self.host.intake, quota, self.jobs, clock, lambda: 0.5)
        self.callers = Callers(
            store=self.storage.store,
            buckets=self.storage.buckets,
            table=self.storage.table,
            host=self.host,
            sweep=self.sweep,
            jobs=self.jobs,
            arm=self.arm,
            tokens=tokens,
            clock=clock,
            settings=settings,
            enqueue=self.enqueue,
        )

    # What comes from outside

    def put(self, **behaviour: object) -> None:
        """The instance fails; its operation ends at once."""
        fast = {"operationSeconds": 0, "retryAfter": 5, **behaviour}
        self.azure.simulator.put(str(self.instance), dataSourceId=self.disk, behaviour=fast)

    def signal(self, source: str = EVENT) -> None:
        """A signal is on its way, and comes again until it is taken."""
        self._signal = (source, self.clock())

    def arm_fault(self, fault: Fault, triggers: Collection[str], runs: int | None = None) -> None:
        """The next so many runs of these triggers that make the call meet the fault; without a number, all do."""
        self._fault, self._triggers, self._runs_left = fault, triggers, runs

    def fault_passes(self) -> None:
        """No call meets it any more."""
        self._fault = None

    # What can be seen

    @property
    def remediation(self) -> Remediation | None:
        """How it stands in storage."""
        pointer = self.storage.behind.latest_pointer(self.instance)
        stored = self.storage.behind.load(pointer.remediation_id) if pointer else None
        return stored.remediation if stored else None

    @property
    def syncs(self) -> list[Served]:
        """The sync calls that Resource Manager accepted."""
        return [served for served in self.azure.served(SYNC) if served.status == 202]

    @property
    def queued(self) -> int:
        """How many messages the real queue took."""
        return sum(served.status == 201 for served in self.azure.served(QUEUE) if served.request.method == "POST")

    # How it goes on

    def settle(self, most: int = 500) -> Remediation | None:
        """Go on until nothing is left to do; how it stands then."""
        for _ in range(most):
            if not self.step():
                return self.remediation
        raise AssertionError(f"it runs on after {most} runs: {self.remediation}")

    def step(self) -> bool:
        """Run the trigger that is next, at its time; False where there is none."""
        coming: list[tuple[datetime, int, Callable[[], None]]] = []
        if self._signal:
            coming.append((self._signal[1], 0, self._deliver_signal))
        if self._jobs:
            coming.append((min(job.visible_at for job in self._jobs), 1, self._deliver_job))
        if (due_at := self._due_at()) is not None:
            coming.append((max(due_at, self._last_timer + _TIMER_INTERVAL), 2, self._run_timer))
        if not coming:
            return False
        at, _, run = min(coming, key=lambda each: each[:2])
        self.clock.now = max(self.clock.now, at)
        run()
        return True

    def enqueue(self, message: str, delay: timedelta = timedelta()) -> None:
        """A job is put into the queue."""
        self._jobs.append(Delivery(message, self.clock(), self.clock() + delay))

    def oldest_job(self) -> datetime | None:
        """When the oldest of the visible jobs was put into the queue."""
        return min((job.inserted_at for job in self._jobs if job.visible_at <= self.clock()), default=None)

    def run(self, trigger: str, action: Callable[[], func.HttpResponse | None]) -> func.HttpResponse | None:
        """Run a trigger, with the fault where it is armed; None too where it is to be run again.

        Only storage may make a trigger fail, and only those that are run again then.
        """
        fault = self._fault if trigger in self._triggers and self._runs_left != 0 else None
        before = len(self._faulty())
        with self.azure.fault(self.call, fault) if fault else nullcontext():
            try:
                return action()
            except (AzureError, WriteConflict) as failure:
                if self.call not in STORAGE or trigger in (ALERT, REQUEST):
                    raise
                self.escaped.append(failure)
                return None
            finally:
                self._count(trigger, fault, len(self._faulty()) - before)

    def _count(self, trigger: str, fault: Fault | None, requests: int) -> None:
        if fault and (requests or fault.how == "refuse"):
            self.met.append(Met(trigger, self.clock(), requests))
            if self._runs_left is not None:
                self._runs_left -= 1

    def _faulty(self) -> list[Served]:
        return [served for served in self.azure.served(self.call) if served.fault]

    def _due_at(self) -> datetime | None:
        remediation = self.remediation
        if remediation is None:
            # Claimed perhaps, so that its entry leads the poller to it.
            return self.clock() if self.storage.behind.latest_pointer(self.instance) else None
        return remediation.due_at

    def _deliver_signal(self) -> None:
        assert self._signal
        source, at = self._signal
        take = {EVENT: self._event, ALERT: self._alert, SWEEP: self._scheduled_sweep}[source]
        failures = len(self.escaped)
        response = self.run(source, take)
        is_taken = len(self.escaped) == failures and (response is None or response.status_code < 500)
        if source == SWEEP:
            is_taken = self.remediation is not None
        self._signal = None if is_taken else (source, at + _REPEATS[source])

    def _event(self) -> None:
        result = self.host.intake.accept(Signal(self.instance, "Event", "backup failed", self.clock()))
        if result.job:
            self.enqueue(result.job.to_message())

    def _alert(self) -> func.HttpResponse:
        return self.callers.post_alert(self.disk)

    def _scheduled_sweep(self) -> None:
        self.sweep.on_schedule()

    def _deliver_job(self) -> None:
        job = min(self._jobs, key=lambda each: each.visible_at)
        self._jobs.remove(job)
        failures = len(self.escaped)
        self.run(JOB, lambda: self.host.submit.run(job.message))
        if len(self.escaped) == failures:
            return
        again = job._replace(visible_at=self.clock() + _REDELIVERY, deliveries=job.deliveries + 1)
        if again.deliveries < _MAX_DELIVERIES:
            self._jobs.append(again)
        else:
            self.run(JOB, lambda: self.host.submit.give_up(job.message))

    def _run_timer(self) -> None:
        self._last_timer = self.clock()
        self.run(TIMER, self.host.poller.run)


class WorldQueue(SyncJobQueue):
    """The queue of a world: each call is made to the real one, too, where there is one."""

    def __init__(self, world: World, queue: QueueClient | None) -> None:
        """Jobs are delivered by the world, on its own clock."""
        self._world, self._real = world, SyncJobQueue(queue) if queue else None

    def send(self, job: SyncJob, delay: timedelta = timedelta()) -> None:
        """Enqueue it, if the real one takes it."""
        before = self._world.queued
        try:
            if self._real:
                self._real.send(job, delay)
        finally:
            # Whatever the sender heard of it: what the real queue took is delivered.
            taken = self._world.queued - before if self._real else 1
            for _ in range(taken):
                self._world.enqueue(job.to_message(), delay)

    def oldest(self) -> datetime | None:
        """As the world has it, if the real one answers."""
        if self._real:
            self._real.oldest()
        return self._world.oldest_job()

    def depth(self) -> int:
        """Of the real one."""
        return self._real.depth() if self._real else 0


class _NobodyElse:
    """No other host is there to be woken."""

    def send(self, job: ShardJob) -> None:
        pass
