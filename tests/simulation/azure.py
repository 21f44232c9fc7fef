"""Azure on a virtual clock: Resource Manager with instances that break and operations that take time, and a topic."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from dev.azure_simulator.throttling import Throttling
from shared.clients.outcome_topic import PublishFailed, attention_event, incident_event, outcome_event
from shared.domain import arm_results
from shared.domain.arm_results import ArmError, OperationUrls, new_error
from shared.domain.attention import is_unannounced
from shared.domain.incident import Incident, IncidentEvent
from shared.domain.remediation import Remediation
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType
from shared.rate_limits.circuit_breaker import CircuitBreaker
from tests.simulation.scheduler import Scheduler, Step

BROKEN = "ProtectionError"
WELL = "ProtectionConfigured"
CHANGING = "UpdatingProtection"
UNKNOWN_CODE = "UserErrorBroken"
"""That the catalogue does not have."""
Result = TypeVar("Result")
_URL = "https://arm.example/operations/"
BACKUP_URL = "https://arm.example/backups/"


@dataclass(frozen=True, slots=True)
class Operation:
    """One sync as Azure carries it out."""

    number: int
    begins: float
    ends: float
    succeeds: bool
    heals: bool
    known_from: float
    """Before that its status URL answers 404."""


@dataclass(slots=True)
class Instance:
    """A backup instance as Azure has it."""

    id: BackupInstanceId
    state: str = WELL
    syncs_needed: int = 1
    """Operations until one heals; the others fail, or succeed and change nothing."""
    operations: list[Operation] = field(default_factory=list)
    busy_until: float = 0.0
    """Something else, a restore for example, runs on it so long."""
    healed_at: float | None = None
    broken_at: float | None = None
    """When it broke last."""

    def settle(self, now: float) -> None:
        """Let an operation that is over have had its effect."""
        for operation in self.operations:
            if operation.ends <= now and operation.heals and self.state == BROKEN:
                self.state, self.healed_at = WELL, operation.ends

    def is_busy(self, now: float) -> bool:
        """Whether a sync call is answered with a conflict."""
        return now < self.busy_until or bool(self.operations and now < self.operations[-1].ends)


@dataclass(frozen=True, slots=True)
class SyncCall:
    """A sync call, and what came back."""

    instance_key: str
    step: Step | None
    at: float
    result: arm_results.SyncResult

    @property
    def has_verdict(self) -> bool:
        """Whether it uses up its attempt: accepted, done at once or refused."""
        return isinstance(self.result, arm_results.SyncAccepted | arm_results.SyncDone | arm_results.Refused)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup on demand that was begun."""

    instance_key: str
    request_id: str
    step: Step | None
    ends: float
    is_unheard_of: bool
    """The answer to its call got lost."""


@dataclass
class ResourceManager:
    """The Azure that all hosts call."""

    scheduler: Scheduler
    random: Random
    duration: tuple[float, float] = (1.0, 300.0)
    """Seconds that an operation takes."""
    unknown_for: float = 0.0
    """Seconds for which a new operation's status is not found."""
    outage: str = ""
    """`503`; `429`; `silent`, where the answers to sync calls get lost; empty while there is none."""
    refusals: float = 0.0
    """Probability that a sync call is refused for want of a permission."""
    code: str = UNKNOWN_CODE
    """Of the error with which instances break, operations fail and calls are refused."""
    writes: Throttling = field(default_factory=Throttling)
    """Resource Manager's own count of sync calls; off until it is set up."""
    throttled: int = 0
    """Sync calls that were answered with 429 by that count."""
    instances: dict[str, Instance] = field(default_factory=dict)
    calls: list[SyncCall] = field(default_factory=list)
    backups: list[Backup] = field(default_factory=list)
    """Each is its job's and its operation's number, from 1."""
    polls: int = 0
    reads: int = 0
    _numbers: int = 0

    @property
    def error(self) -> ArmError:
        """The error, as Azure says it."""
        return new_error(self.code, "the instance is broken")

    def breaks(self, instance: BackupInstanceId, syncs_needed: int = 1) -> Instance:
        """The instance fails, now."""
        known = self.instances.setdefault(instance.key, Instance(instance))
        known.settle(self.scheduler.time)
        known.state, known.syncs_needed, known.healed_at = BROKEN, syncs_needed, None
        known.broken_at = self.scheduler.time
        known.operations = [each for each in known.operations if each.ends > self.scheduler.time]
        return known

    def sync(self, instance: BackupInstanceId) -> arm_results.SyncResult:
        """Carry out a sync call; in a silent outage that is done too, and nobody hears of it."""
        throttled = self._throttle(instance)
        done = self._sync(self.instances[instance.key]) if self.outage in ("", "silent") and not throttled else None
        result = throttled or self.outage_now() or done
        assert result is not None
        self.calls.append(SyncCall(instance.key, self.scheduler.current, self.scheduler.time, result))
        return result

    def operation(self, instance: BackupInstanceId, urls: OperationUrls) -> arm_results.OperationResult:
        """How the operation stands."""
        self.polls += 1
        if outage := self.outage_now(is_sync=False):
            return outage
        known, now = self.instances[instance.key], self.scheduler.time
        if urls.status_url and urls.status_url.startswith(BACKUP_URL):
            return arm_results.OperationSucceeded(urls.status_url.removeprefix(BACKUP_URL))
        number = (urls.status_url or "").removeprefix(_URL)
        found = [each for each in known.operations if str(each.number) == number]
        if not found or now < found[0].known_from:
            return arm_results.OperationUnknown()
        if now < found[0].ends:
            return arm_results.OperationRunning("Inprogress", self.random.choice((None, 5.0, 60.0)))
        if found[0].succeeds:
            return arm_results.OperationSucceeded("job")
        return arm_results.OperationFailed("Failed", self.error)

    def read(self, instance: BackupInstanceId) -> arm_results.InstanceResult:
        """How the instance stands."""
        self.reads += 1
        if outage := self.outage_now(is_sync=False):
            return outage
        known = self.instances[instance.key]
        known.settle(self.scheduler.time)
        if known.state == BROKEN and known.is_busy(self.scheduler.time) and self.random.random() < 0.5:
            return arm_results.InstanceRead(CHANGING, None)
        return arm_results.InstanceRead(known.state, None if known.state == WELL else self.error)

    def _sync(self, instance: Instance) -> arm_results.SyncResult:
        now = self.scheduler.time
        instance.settle(now)
        if instance.is_busy(now):
            return arm_results.SyncConflict(self.error, self.random.choice((None, 30.0)))
        if self.random.random() < self.refusals:
            return arm_results.Refused(403, self.error)
        self._numbers += 1
        instance.syncs_needed -= 1
        heals = instance.syncs_needed <= 0
        duration = self.random.uniform(*self.duration)
        known_from = now + self.unknown_for
        succeeds = heals or self.random.random() < 0.5
        operation = Operation(self._numbers, now, now + duration, succeeds, heals, known_from)
        instance.operations.append(operation)
        return arm_results.SyncAccepted(
            OperationUrls(f"{_URL}{operation.number}", None), self.random.choice((None, 5.0))
        )

    def _throttle(self, instance: BackupInstanceId) -> arm_results.TransientFailure | None:
        admission = self.writes.admit(instance.subscription_id, self.scheduler.time)
        if admission is None or admission.retry_after is None:
            return None
        self.throttled += 1
        return arm_results.TransientFailure(new_error("SubscriptionRequestsThrottled", "429"), admission.retry_after)

    def outage_now(self, is_sync: bool = True) -> arm_results.TransientFailure | None:
        """The answer while there is an outage."""
        if not self.outage or (self.outage == "silent" and not is_sync):
            return None
        retry_after = self.random.choice((1.0, 30.0)) if self.outage == "429" else None
        is_lost = self.outage == "silent"
        return arm_results.TransientFailure(new_error("Outage", self.outage), retry_after, may_have_acted=is_lost)


@dataclass
class Topic:
    """The topic of outcomes."""

    random: Random
    is_down: bool = False
    lost_answers: float = 0.0
    """Probability that it takes what it is told, and nobody hears of that."""
    announced: list[tuple[str, str]] = field(default_factory=list)
    """Ids of remediations, and the status that was told."""

    attention: list[tuple[str, str]] = field(default_factory=list)
    """Instances that were said to need a person, and the ids of those events."""

    outcomes: dict[str, list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """Events about ends, by id, as often as they were told."""
    incidents: dict[str, list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """Events about incidents, by id, as often as they were told."""

    def publish(self, news: Sequence[Remediation]) -> None:
        """Take these events, or none."""
        if self.is_down:
            raise PublishFailed("down")
        self.announced += [(each.id, each.status.value) for each in news if each.status.is_terminal]
        self.attention += [(each.instance.key, attention_event(each).id) for each in news if is_unannounced(each)]
        for told in (outcome_event(each) for each in news if each.status.is_terminal):
            self.outcomes[told.id].append({"type": told.type, "time": told.time, **(told.data or {})})
        self._answer()

    def publish_incident(self, incident: Incident, event: IncidentEvent) -> None:
        """Take this event, or not."""
        if self.is_down:
            raise PublishFailed("down")
        told = incident_event(incident, event)
        self.incidents[told.id].append({"type": told.type, "time": told.time, **(told.data or {})})
        self._answer()

    def _answer(self) -> None:
        if self.lost_answers > 0 and self.random.random() < self.lost_answers:
            raise PublishFailed("no answer")


class HostArm:
    """Resource Manager as one host reaches it: behind its circuit breaker (`clients.arm_circuit`)."""

    def __init__(self, azure: ResourceManager, breaker: CircuitBreaker, turn: Callable[[], None]) -> None:
        """`turn` is called before and after each call, where others may go on."""
        self._azure = azure
        self._breaker = breaker
        self._turn = turn

    def sync(self, instance: BackupInstanceId, sync_type: SyncType, request_id: str) -> arm_results.SyncResult:
        return self._call(instance, lambda: self._azure.sync(instance))

    def operation(self, instance: BackupInstanceId, urls: OperationUrls) -> arm_results.OperationResult:
        return self._call(instance, lambda: self._azure.operation(instance, urls))

    def read(self, instance: BackupInstanceId) -> arm_results.InstanceResult:
        return self._call(instance, lambda: self._azure.read(instance))

    def _call(self, instance: BackupInstanceId, call: Callable[[], Result]) -> Result | arm_results.TransientFailure:
        subscription_id = instance.subscription_id
        wait = self._breaker.admit(subscription_id)
        if wait is not None:
            return arm_results.TransientFailure(new_error("CircuitOpen", "no call was made"), wait.total_seconds())
        self._turn()
        result = call()
        self._turn()
        if isinstance(result, arm_results.TransientFailure) and self._azure.outage != "429":
            self._breaker.failed(subscription_id)
        else:
            self._breaker.succeeded(subscription_id)
        return result
