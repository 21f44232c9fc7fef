"""A schedule: a world, what fails in it and what befalls it, all drawn from one seed."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random

from shared.domain.mode import Mode
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.resource_ids import BackupInstanceId
from shared.rate_limits.rate_limiter import Gcra
from shared.settings import Settings
from shared.storage.table_rows import SHARDS, shard_of
from tests.simulation.azure import UNKNOWN_CODE
from tests.simulation.hosts import Limits
from tests.simulation.record import Violation
from tests.simulation.world import MAX_RUNNING_JOBS, World
from tests.support.memory_table import damage

SUBSCRIPTIONS = ("04cf684a-d41f-4550-9f70-7708a3a2283b", "5ae1d7c2-08bb-4f3e-9a43-0f7e0c5c7a11")
_FAULTS_END = 7_200.0
"""Seconds after which nothing more goes wrong."""
_SWEEPS, _SWEEP_INTERVAL = 5, 3_600.0
_CODES = (UNKNOWN_CODE, "UserErrorMissingRequiredPermissions", "CloudInternalError")
"""Of errors: one that is not in the catalogue, one that a person mends, one that passes; the latter make incidents."""
_PATIENCE = 2 * 86_400.0
"""Seconds after which everything has ended: the ladder, and the longest back-off between two steps of it."""


class Schedule:
    """One seed's schedule."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random = Random(seed)
        self.faults: list[str] = []
        settings = Settings(
            max_attempts=random.randint(1, 4),
            retry_delays=(timedelta(minutes=5), timedelta(minutes=30)),
            cooldown=random.choice((timedelta(), timedelta(minutes=15))),
            daily_cap=99,
            force_resync_from_attempt=random.choice((0, 0, 2)),
            operation_timeout=random.choice((timedelta(minutes=20), timedelta(hours=6))),
            outcome_topic_endpoint="https://topic.example",
            recovery=random.choice((RecoveryMode.OFF, RecoveryMode.OFF, RecoveryMode.WATCH, RecoveryMode.BACKUP)),
            recovery_timeout=timedelta(hours=6),
        )
        writes = random.choice((Gcra(burst=200, rate=10), Gcra(burst=2, rate=1)))
        reads = random.choice((Gcra(burst=250, rate=25), Gcra(burst=2, rate=1)))
        self.world = World(random, settings, Limits(writes, reads))
        self.world.azure.code = random.choice(_CODES)
        self.world.record.incidents.calm_from = self.world.scheduler.now + timedelta(seconds=_FAULTS_END)
        self.world.max_due_per_host = random.choice((2, 10_000))
        for number in range(random.randint(1, 3)):
            skew = random.choice((0.0, random.uniform(-10, 10), random.uniform(-300, 300)))
            self.world.start_host(f"host {number}", skew)
        self._plan_failures()
        for fault in random.sample(list(_FAULTS), random.randint(0, 4)):
            begin = random.uniform(0, _FAULTS_END)
            seconds = min(random.choice((60.0, 600.0, 3_600.0)), _FAULTS_END - begin)
            self.faults.append(f"{fault} from {begin:.0f} s for {seconds:.0f} s")
            self._plan(_FAULTS[fault], begin, seconds)
        if random.random() < 0.5:
            self._plan_sweeps()

    def run(self) -> None:
        """Run it; raises `Violation` that tells how to have it again."""
        try:
            self.world.run(_FAULTS_END)
            self.world.run_until_over(_PATIENCE)
        except Violation as violation:
            raise Violation(f"seed {self.seed} at {self.world.scheduler.time:.1f} s: {violation}\n{self}") from None

    def __str__(self) -> str:
        hosts = ", ".join(f"{host.name} {host.skew:+.1f} s" for host in self.world.hosts)
        return "\n".join((f"  hosts: {hosts}", *(f"  {fault}" for fault in self.faults)))

    def _plan_failures(self) -> None:
        """Instances fail, some of them again and again."""
        random, world = self.random, self.world
        for number in range(random.randint(1, 6)):
            instance = BackupInstanceId(random.choice(SUBSCRIPTIONS), "rg", "vault", f"bi-{number}")
            for _ in range(random.choice((1, 1, 1, 2, 3))):
                begin, syncs_needed = random.uniform(0, _FAULTS_END), random.choice((1, 1, 1, 2, 3, 99))
                world.scheduler.after(begin, partial(self._fail, instance, syncs_needed))

    def _plan_sweeps(self) -> None:
        """A sweep each hour, as long as all cool-downs, and after the last fault too."""
        self.faults.append("a sweep each hour")
        self.world.record.is_swept = True
        for number in range(1, _SWEEPS + 1):
            self.world.operators.sweep(number * _SWEEP_INTERVAL)

    def _fail(self, instance: BackupInstanceId, syncs_needed: int) -> None:
        self.world.azure.breaks(instance, syncs_needed)
        self.world.signal(instance)

    def _plan(self, fault: "Fault", begin: float, seconds: float) -> None:
        def start() -> None:
            end = fault(self.world, self.random)
            self.world.scheduler.after(seconds, end)

        self.world.scheduler.after(begin, start)


Fault = Callable[[World, Random], Callable[[], None]]
"""Begins, and gives what ends it."""


def _kills(world: World, random: Random) -> Callable[[], None]:
    """Hosts die in the middle of their requests, again and again."""
    return _keep_killing(world, random, later=False)


def _redeploy(world: World, random: Random) -> Callable[[], None]:
    """Hosts of a later version take the places of those of this one, and are taken back."""
    return _keep_killing(world, random, later=True)


def _keep_killing(world: World, random: Random, later: bool) -> Callable[[], None]:
    def kill_one() -> None:
        if world.hosts:
            host = random.choice(world.hosts)
            if later:
                world.kill(host, random.uniform(1, 60), later=random.random() < 0.5)
            elif host.dies_in < 0:
                host.dies_in = random.randint(1, 40)

    return _again_and_again(world, random, 120, kill_one)


def _setting(target: Callable[[World], object], name: str, value: object, normally: object = 0.0) -> Fault:
    def begin(world: World, random: Random) -> Callable[[], None]:
        setattr(target(world), name, value)
        return lambda: setattr(target(world), name, normally)

    return begin


def _outage(kind: str) -> Fault:
    return _setting(lambda world: world.azure, "outage", kind, normally="")


def _slow_host(world: World, random: Random) -> Callable[[], None]:
    slow = world.hosts[:1]
    for host in slow:
        host.is_slow = True

    def end() -> None:
        for host in slow:
            host.is_slow = False

    return end


def _sick_partition(world: World, random: Random) -> Callable[[], None]:
    sick = random.choice(SHARDS)
    refused = random.choice(([world.table.unreadable], [world.table.unwritable]))
    for kind in refused:
        kind.add(sick)

    def end() -> None:
        for kind in refused:
            kind.discard(sick)

    return end


def _storage_outage(world: World, random: Random) -> Callable[[], None]:
    world.storage_is_down = world.queue.is_down = True

    def end() -> None:
        world.storage_is_down = world.queue.is_down = False
        world.queue.pump()

    return end


def _table_outage(world: World, random: Random) -> Callable[[], None]:
    """The table is away while the queue works."""
    world.storage_is_down = True
    return lambda: setattr(world, "storage_is_down", False)


def _busy_instances(world: World, random: Random) -> Callable[[], None]:
    """A restore runs on some instances."""
    busy = [each for each in world.azure.instances.values() if random.random() < 0.5]
    for instance in busy:
        instance.busy_until = float("inf")

    def end() -> None:
        for instance in busy:
            instance.busy_until = 0.0

    return end


def _operator(world: World, random: Random) -> Callable[[], None]:
    for remediation_id in sorted(world.record.unfinished):
        if random.random() < 0.5:
            world.operators.cancel(remediation_id)
    return lambda: None


def _damage(world: World, random: Random) -> Callable[[], None]:
    """Rows turn into what nobody can read."""
    damage(world.table, random.choice(SHARDS), "d:junk")
    damage(world.table, "pacing", f"writes:{random.choice(SUBSCRIPTIONS)}", Horizon="junk")
    for key in sorted(each.id.key for each in world.azure.instances.values()):
        if random.random() < 0.3:
            damage(world.table, SHARDS[int(key[0], 16) % len(SHARDS)], f"o:{key}", Remediation=7)
    for remediation_id in sorted(world.record.unfinished):
        if random.random() < 0.3:
            world.record.damaged.add(remediation_id)
            damage(world.table, shard_of(remediation_id), f"r:{remediation_id}", Document0='{"id":"text"}')
    return lambda: None


def _few_consumers(world: World, random: Random) -> Callable[[], None]:
    """Hosts carry out one job at a time, each takes long, and many instances fail."""
    world.capacity, world.job_seconds = 1, 10.0
    _burst(world, random)

    def end() -> None:
        world.capacity, world.job_seconds = MAX_RUNNING_JOBS, 0.0
        world.queue.pump()

    return end


def _no_host(world: World, random: Random) -> Callable[[], None]:
    """The app is stopped for 40 minutes, longer than the shorter operation time-out."""
    for host in list(world.hosts):
        world.kill(host, restart_after=2_400.0)
    return lambda: None


def _burst(world: World, random: Random) -> Callable[[], None]:
    """Many instances fail at once, and a sync or two mend each."""
    _break_many(world, 40, "burst", syncs_needed=lambda: random.choice((1, 1, 2)))
    return lambda: None


def _break_many(world: World, count: int, name: str, syncs_needed: Callable[[], int] = lambda: 1) -> None:
    for number in range(count):
        broken = BackupInstanceId(SUBSCRIPTIONS[0], "rg", "vault", f"{name}-{number}")
        world.azure.breaks(broken, syncs_needed())
        world.signal(broken)


def _sweeps(world: World, random: Random) -> Callable[[], None]:
    """Sweeps, some of them at once."""
    return _again_and_again(world, random, 300, lambda: world.operators.sweep(random.choice((0.0, 0.0, 5.0))))


def _observe(world: World, random: Random) -> Callable[[], None]:
    """The app is deployed to observe, host by host, and then to heal again."""
    _deploy(world, random, Mode.OBSERVE)
    return lambda: _deploy(world, random, Mode.HEAL)


def _deploy(world: World, random: Random, mode: Mode) -> None:
    world.mode = mode
    for host in list(world.hosts):
        world.scheduler.after(random.uniform(0, 60), partial(world.kill, host, restart_after=random.uniform(1, 60)))


def _missing_role(world: World, random: Random) -> Callable[[], None]:
    """Many instances fail, and all syncs are refused, until somebody assigns the role, as its event says."""
    world.azure.refusals = 1.0
    _break_many(world, random.randint(5, 20), "role")

    def end() -> None:
        world.azure.refusals = 0.0
        for subscription in SUBSCRIPTIONS:
            world.operators.repair(f"/subscriptions/{subscription}")

    return end


def _repairs(world: World, random: Random) -> Callable[[], None]:
    scopes = [f"/subscriptions/{each}" for each in SUBSCRIPTIONS]
    scopes += [f"{each}/resourcegroups/rg" for each in scopes]
    return _again_and_again(world, random, 120, lambda: world.operators.repair(random.choice(scopes)))


def _again_and_again(world: World, random: Random, interval: float, act: Callable[[], object]) -> Callable[[], None]:
    """At random times, so many seconds from each other on average."""
    state = {"on": True}

    def next_one() -> None:
        if state["on"]:
            act()
            world.scheduler.after(random.expovariate(1 / interval), next_one)

    next_one()
    return lambda: state.update(on=False)


_FAULTS: dict[str, Fault] = {
    "hosts are killed": _kills,
    "no host for 40 minutes": _no_host,
    "another version comes and goes": _redeploy,
    "a slow host": _slow_host,
    "requests stall": _setting(lambda world: world.chances, "stalls", 0.02),
    "storage fails at times": _setting(lambda world: world.chances, "failures", 0.05),
    "storage is away": _storage_outage,
    "the table is away": _table_outage,
    "storage's answers get lost": _setting(lambda world: world.chances, "lost_answers", 0.2),
    "rows are damaged": _damage,
    "a sick partition": _sick_partition,
    "messages are lost": _setting(lambda world: world.queue, "lost", 0.3),
    "messages are repeated": _setting(lambda world: world.queue, "repeated", 0.5),
    "messages are late": _setting(lambda world: world.queue, "late", 0.5),
    "events are repeated": _setting(lambda world: world.events, "repeated", 0.5),
    "events get lost": _setting(lambda world: world.events, "lost", 0.7),
    "sweeps": _sweeps,
    "the app observes": _observe,
    "a role is missing": _missing_role,
    "roles are assigned that mend nothing": _repairs,
    "few consumers": _few_consumers,
    "a burst of failures": _burst,
    "two timers": _setting(lambda world: world, "two_timers", True, False),
    "Resource Manager answers 503": _outage("503"),
    "Resource Manager answers 429": _outage("429"),
    "Resource Manager's answers get lost": _outage("silent"),
    "Resource Manager refuses": _setting(lambda world: world.azure, "refusals", 0.5),
    "operations are not known yet": _setting(lambda world: world.azure, "unknown_for", 300.0),
    "operations take hours": _setting(lambda world: world.azure, "duration", (3_600.0, 20_000.0), (1.0, 300.0)),
    "operations run on instances": _busy_instances,
    "the topic is down": _setting(lambda world: world.topic, "is_down", True, False),
    "the topic's answers get lost": _setting(lambda world: world.topic, "lost_answers", 0.5),
    "an operator cancels": _operator,
}
