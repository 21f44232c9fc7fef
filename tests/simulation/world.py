"""Hosts, storage, queue, topic and Resource Manager on one virtual clock, and the Functions runtime that joins them."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any, cast

from azure.core.exceptions import AzureError, ServiceResponseError
from azure.data.tables import TableClient

from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal
from shared.healing.intake import Dropped
from shared.rate_limits.circuit_breaker import CircuitBreaker
from shared.settings import Settings
from shared.storage.backup_slots import BackupSlots
from shared.storage.conflicts import WriteConflict
from shared.storage.queues import SyncJob
from shared.storage.table_rows import SHARDS
from tests.simulation.azure import HostArm, ResourceManager, Topic
from tests.simulation.backups import HostBackups
from tests.simulation.events import EventGrid
from tests.simulation.hosts import (
    HostTopic,
    LaterVersion,
    Limits,
    SimulatedHost,
    StorageClient,
    storage_parts,
)
from tests.simulation.operators import Operators
from tests.simulation.queue import HostQueue, Message, SimulatedQueue
from tests.simulation.record import Record, Violation
from tests.simulation.scheduler import Killed, Scheduler, Step, SwitchingLock
from tests.simulation.sharing import HostShards, SharedShards
from tests.simulation.sweeps import sweep_of
from tests.support.host import Host
from tests.support.memory_table import MemoryTable

MAX_RUNNING_JOBS = 24
"""Of a host: `batchSize` and `newBatchThreshold` of host.json."""
_LAST_LOOK = 1_500.0
"""Seconds after which whoever looks whether something is over has looked."""
_INCIDENT_INTERVAL = 300.0
"""Seconds from one poll run to the next where only an incident is left to be attended to."""
_LONG = 30.0
"""Seconds for one request, from which on others take the step for dead."""


@dataclass
class Chances:
    """How the world treats requests."""

    latency: tuple[float, float] = (0.002, 0.02)
    """Seconds, half of a request."""
    azure_seconds: float = 0.0
    """That a request to Resource Manager takes beside that."""
    stalls: float = 0.0
    """Probability that a request takes up to two minutes."""
    failures: float = 0.0
    """Probability that a request to storage gets no answer, whether it was carried out or not."""
    lost_answers: float = 0.0
    """Probability that a change of the table is made, its answer gets lost, and the SDK makes it again."""


class World:
    """Everything."""

    def __init__(self, random: Random, settings: Settings, limits: Limits) -> None:
        self.random = random
        self.settings = settings
        self.chances = Chances()
        self.scheduler = Scheduler()
        self.table = MemoryTable(self._storage_turn)
        self.azure = ResourceManager(self.scheduler, random)
        self.topic = Topic(random)
        self.queue = SimulatedQueue(self.scheduler, random)
        self.queue.consumer = self
        self.events = EventGrid(self.scheduler, random, self)
        self.operators = Operators(self)
        self.record = Record(self.scheduler, self.table, self.azure, self.topic, settings)
        self.hosts: list[SimulatedHost] = []
        self.storage_is_down = False
        self.requests = 0
        """To storage."""
        self.capacity = MAX_RUNNING_JOBS
        self.job_seconds = 0.0
        """Seconds of a sync job beside its requests."""
        self.request_seconds = 0.0
        """Seconds that each request takes of its host's one processor, for which they queue up."""
        self.poll_interval = 30.0
        self.max_due_per_host = 10_000
        self.shards = SharedShards(self.scheduler, self._wake_for)
        self.two_timers = False
        """Whether the timer runs on two hosts at once, against its nature."""
        self.mode = settings.mode
        """Of hosts that start from now on."""
        self.junk = 0
        """Messages that are no jobs."""
        self.kills = 0
        self._limits = limits
        self.scheduler.after(self.poll_interval, self._timer)

    # The hosts.

    def start_host(self, name: str, skew: float = 0.0, later: bool = False) -> SimulatedHost:
        """A fresh process, with nothing in its memory."""
        clock = lambda: self.scheduler.now + timedelta(seconds=skew)  # noqa: E731 # the host's own
        table = StorageClient(self.table, lambda: self._happens(self.chances.lost_answers))
        host = SimulatedHost(name, skew)
        shards = HostShards(self.shards, host, self._turn_of_queue)
        backups = HostBackups(self.azure, self.scheduler, self._turn)
        host.app = app = Host(
            **storage_parts(self.scheduler, LaterVersion(table) if later else table, self._limits, clock),
            arm=HostArm(self.azure, CircuitBreaker(clock, self.random.random), self._turn_of_azure),
            jobs=HostQueue(self.queue, self._turn_of_queue),
            shards=shards,
            leases=shards,
            topic=HostTopic(self.topic, self._turn),
            backups=backups,
            latest_points=backups,
            slots=BackupSlots(cast(TableClient, table), self.settings.backup_daily_cap, clock),
            settings=replace(self.settings, mode=self.mode),
            clock=clock,
            jitter=self.random.random(),
            max_due_per_host=self.max_due_per_host,
        )
        host.sweep = sweep_of(app, self.azure, table, self._limits, self.random, self._turn)
        app.poller._next_step.queue_front._lock = cast(Any, SwitchingLock(self.scheduler))
        self.hosts.append(host)
        self.queue.pump()
        return host

    def kill(self, host: SimulatedHost, restart_after: float, later: bool = False) -> None:
        """The process is gone at once; another takes its place."""
        if not host.is_alive:
            return
        host.is_alive, host.died_at = False, self.scheduler.time
        self.hosts.remove(host)
        self.kills += 1
        for step in list(host.steps):
            self.scheduler.kill(step)
        for message in host.jobs.values():
            self.queue.lost_its_host(message)
        self.scheduler.after(restart_after, lambda: self.start_host(host.name, host.skew, later))

    def tell(self, level: int, event: str, fields: Mapping[str, Any]) -> None:
        """Print a line of the app's log, with the time, the host and what it was doing."""
        step = self.scheduler.current
        who = f"{cast(SimulatedHost, step.owner).name}: {step.name}" if step else "-"
        print(f"{self.scheduler.time:10.3f} {who}: {event} {dict(fields)}")

    # What comes in.

    def signal(self, instance: BackupInstanceId, delay: float = 0.0) -> None:
        """The instance has failed, says an event that Event Grid will deliver, if it does not get lost."""
        if self._happens(self.events.lost):
            return
        signal = Signal(instance, "Event", "backup failed", self.scheduler.now, backup_failed=True)
        self.events.send("event", partial(self._take_in, signal), delay)

    def accepted(self, remediation_ids: Collection[str]) -> None:
        """Signals that led to these were acknowledged."""
        self.record.accepted.update(remediation_ids)

    def take(self, message: Message) -> bool:
        """A queue message for a host with room."""
        with_room = [host for host in self.hosts if host.takes_jobs and len(host.jobs) < self.capacity]
        if not with_room:
            return False
        host = self.random.choice(with_room)

        def then(failure: BaseException | None) -> None:
            host.jobs = {step: other for step, other in host.jobs.items() if other is not message}
            self.queue.ended(message, failure is not None)

        def work() -> None:
            if self.job_seconds:
                self.scheduler.pause(self.job_seconds)
            host.app.submit.run(message.text)

        host.jobs[self.run_step(host, _job_name(message.text), work, then)] = message
        return True

    def give_up(self, message: Message, delivery: int = 1) -> None:
        """A message in the poison queue, which is delivered a few times as well."""
        if not self.hosts or delivery > 5:
            return
        host = self.random.choice(self.hosts)

        def then(failure: BaseException | None) -> None:
            if failure is not None:
                self.scheduler.after(30, lambda: self.give_up(message, delivery + 1))

        self.run_step(host, "poison", lambda: host.app.submit.give_up(message.text), then)

    # The run.

    def run(self, seconds: float) -> None:
        """Go on for so long; raises `Violation`."""
        self.scheduler.run(self.scheduler.time + seconds)
        self._raise_violations()

    def run_until_over(self, seconds: float) -> None:
        """Go on until nothing is left to be done, at most for so long, and check everything."""
        deadline = self.scheduler.time + seconds
        while not self.is_over and self.scheduler.time < deadline:
            self.run(60.0)
        self.run(_LAST_LOOK)
        self.record.check_all_over()
        self._raise_violations()

    @property
    def is_over(self) -> bool:
        """Whether every signal is delivered, and what it began is ended and announced."""
        is_quiet = not self.events.undelivered and not self.operators.sweeps
        return is_quiet and not self.record.unfinished and self.record.accepted <= self.record.opened.keys()

    def _raise_violations(self) -> None:
        if self.record.violations:
            raise Violation(self.record.violations[0])

    def _take_in(self, signal: Signal, host: SimulatedHost) -> Collection[str]:
        result = host.app.intake.accept(signal)
        if result.job:
            # The output binding: the runtime sends the message once the function has returned.
            self._turn_of_queue()
            self.queue.put(result.job.to_message())
            self._turn_of_queue()
        return () if isinstance(result, Dropped) else (result.remediation.id,)

    def run_step(
        self,
        host: SimulatedHost,
        name: str,
        work: Callable[[], Any],
        then: Callable[[BaseException | None], Any] = lambda failure: None,
        killed: Callable[[], Any] = lambda: None,
        announced: type[Exception] = AzureError,
    ) -> Step:
        """A host runs a function; `then` hears how it ended, `killed` that its host died."""
        step = Step(host, name, self.scheduler.time)
        host.steps.add(step)

        def ended(failure: BaseException | None) -> None:
            host.steps.discard(step)
            step.is_disturbed = step.is_disturbed or failure is not None
            if failure is not None and not isinstance(failure, AzureError | WriteConflict | announced):
                self.record.violate("a step raises what it says", f"{name}: {failure!r}")
            if host.is_alive:
                then(failure)

        step.killed = killed
        self.scheduler.spawn(step, work, ended)
        return step

    def _timer(self) -> None:
        """Run the poller where something is due; a run without anything due changes nothing."""
        self.record.check_queue(self.queue.waiting - self.junk, self.queue.repeats)
        soonest, has_incidents = self._soonest(), self.record.has_incidents
        for host in self.hosts[: 2 if self.two_timers else 1]:
            if not host.is_polling and (has_incidents or soonest <= self.scheduler.time + host.skew):
                self._poll(host)
        interval = self.poll_interval
        idle = min(soonest - 301.0, self.scheduler.next_event_at) - self.scheduler.time
        if has_incidents:
            idle = min(idle, _INCIDENT_INTERVAL)
        self.scheduler.after(max(1.0, idle // interval) * interval if idle < float("inf") else interval, self._timer)

    def _poll(self, host: SimulatedHost) -> None:
        host.is_polling = True

        def then(failure: BaseException | None) -> None:
            host.is_polling = False

        self.run_step(host, "poll", host.app.poller.run, then)

    def _wake_for(self, message: str) -> None:
        """A shard is to be polled, says a message that somebody takes soon."""

        def deliver() -> None:
            if self.hosts:
                host = self.random.choice(self.hosts)
                self.run_step(host, "poll shard", lambda: host.app.poller.run_shard(message))

        self.scheduler.after(self.random.uniform(0.1, 2.0), deliver)

    def _soonest(self) -> float:
        """When the first due entry is due, in seconds since the begin."""
        start = self.scheduler.now - timedelta(seconds=self.scheduler.time)
        soonest = float("inf")
        for shard in SHARDS:
            key = self.table.first_key(shard, "d:")
            if key and key.startswith("d:"):
                with suppress(ValueError):
                    soonest = min(soonest, int(key.split(":")[1]) / 1000 - start.timestamp())
        return soonest

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    # Where steps take turns.

    def _turn(self) -> None:
        """Half of a request: others go on meanwhile, and the host may die."""
        step = self.scheduler.current
        if step is None:
            return
        host = cast(SimulatedHost, step.owner)
        if host.dies_in >= 0:
            host.dies_in -= 1
            if host.dies_in < 0:
                self.kill(host, self.random.uniform(1, 60))
        if not host.is_alive:
            raise Killed
        seconds = self.random.uniform(*self.chances.latency)
        if host.is_slow:
            seconds *= 100
        if self.request_seconds:
            host.busy_until = max(host.busy_until, self.scheduler.time) + self.request_seconds / 2
            seconds += host.busy_until - self.scheduler.time
        if self._happens(self.chances.stalls):
            seconds = self.random.uniform(1, 120)
        if seconds > _LONG:
            step.is_disturbed = True
        self.scheduler.pause(seconds)

    def _storage_turn(self) -> None:
        if self.scheduler.current is None:
            return
        self.requests += 1
        self._turn()
        self._fail_perhaps()

    def _turn_of_azure(self) -> None:
        self._turn()
        if self.chances.azure_seconds and self.scheduler.current:
            self.scheduler.pause(self.chances.azure_seconds / 2)

    def _turn_of_queue(self) -> None:
        self._turn()
        self._fail_perhaps()

    def _fail_perhaps(self) -> None:
        step = self.scheduler.current
        if self.storage_is_down or self._happens(self.chances.failures):
            if step is not None:
                step.is_disturbed = True
            raise ServiceResponseError("no answer, whatever was done")


def _job_name(text: str) -> str:
    try:
        job = SyncJob.from_message(text)
    except ValueError:
        return "junk"
    return f"{job.remediation_id}/{job.attempt}"
