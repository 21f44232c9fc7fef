"""The sweep: heals what no signal told of, and what was broken before the app came.

Resource Graph names the broken instances; each is a signal like any other, through the same policy, and its heal
begins at its turn (see `turns`). What is being healed already is left alone: to count the finding there would
write a row for each instance that waits for its next attempt, each hour.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from azure.core.exceptions import AzureError

from shared import logs
from shared.clients.resource_graph import BrokenInstances, Finding, GraphRefused, ResourceGraph
from shared.domain.arm_results import ArmError, TransientFailure
from shared.domain.policy import Coalesce, Drop
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SWEEP, Signal
from shared.domain.state_machine import job_delay
from shared.healing.healer import Healer
from shared.logs import LogRelay
from shared.rate_limits.sweep_quota import MAX_AHEAD, SweepQuota
from shared.storage.queues import SyncJobQueue
from shared.storage.remediation_store import WriteConflict

_QUERY_BUDGET = timedelta(seconds=60)
_BUDGET = timedelta(minutes=3)
"""A sweep ends by then: below `functionTimeout`, and below the 230 s in which Azure's load balancer wants an answer
to a request ("Azure Functions scale and hosting", function app time-out duration)."""
_SIDE_BY_SIDE = 4
"""Threads: enough to hide storage's latency, few enough to leave the processor to events."""
_TOGETHER = 200
"""Findings that are weighed before those of them that are to be healed get their turns."""

TakeTurns = Callable[[str, int], Sequence[datetime]]
"""Turns in a subscription, at most so many."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An instance that is healed because of the sweep."""

    instance: BackupInstanceId
    begins_at: datetime
    remediation_id: str | None
    """None when it was only asked what would be opened."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A broken instance that the sweep leaves alone."""

    instance: BackupInstanceId
    code: str
    """The policy's `Drop.code`, or `AlreadyActive`, `NoTurn`, `NoTime`, `Contended`."""
    reason: str


Heal = Callable[[Signal], Opened | Skipped]
"""Opens a remediation for a signal that has its turn, or says what opening it would do."""


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What became of the findings of one sweep."""

    opened: tuple[Opened, ...]
    left: tuple[Skipped, ...]
    unreadable: int
    """Rows of Resource Graph's answer that name no broken instance."""

    @property
    def left_by_code(self) -> dict[str, int]:
        """How many were left for which reason."""
        return dict(Counter(left.code for left in self.left))


@dataclass(eq=False)
class SweepFailed(Exception):
    """Resource Graph did not say which instances are broken."""

    error: ArmError
    """As it came."""
    refused: int | None
    """The HTTP status of a refusal for good; None if it may answer when asked again."""
    retry_after: float | None = None
    """Seconds that it asked us to wait, when it did."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Sweeps with these parts."""

    graph: ResourceGraph
    healer: Healer
    turns: SweepQuota
    jobs: SyncJobQueue
    now: Callable[[], datetime]
    random: Callable[[], float]

    def on_schedule(self) -> None:
        """A sweep by the timer: that Resource Graph does not answer is for the log, and for the next sweep.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached; the next sweep finds what is left.
        """
        try:
            self.run()
        except SweepFailed as failure:
            logs.error("sweep.failed", status=failure.refused, error=failure.error)

    def run(self) -> SweepResult:
        """Open a remediation for each broken instance that the policy and the sweep's turns allow.

        Raises:
            NotSwept: Resource Graph gave no answer; nothing was opened.
            LostRace: other sweeps kept taking turns; what was opened is healed.
            azure.core.exceptions.AzureError: storage cannot be reached; what was opened is healed.
        """
        swept = self._sweep(self.turns.take, self._open)
        logs.info("sweep.ended", opened=len(swept.opened), left=swept.left_by_code, unreadable=swept.unreadable)
        return swept

    def preview(self) -> SweepResult:
        """What `run` would do now; nothing is written. Raises as `run` does."""
        given: Counter[str] = Counter()

        def peek(subscription_id: str, wanted: int) -> Sequence[datetime]:
            # Nothing is taken, so the next look begins behind what this one has seen.
            seen = given[subscription_id]
            turns = self.turns.peek(subscription_id, seen + wanted)[seen:]
            given[subscription_id] += len(turns)
            return turns

        return self._sweep(peek, _would_open)

    def _sweep(self, take: TakeTurns, heal: Heal) -> SweepResult:
        deadline = self.now() + _BUDGET
        broken = self._broken()
        # In random order: what one sweep had no time for is not to be last in each.
        findings = sorted(broken.findings, key=lambda _: self.random())
        results: list[Opened | Skipped] = []
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as side_by_side:
            for start in range(0, len(findings), _TOGETHER):
                signals = [_signal(finding, self.now()) for finding in findings[start : start + _TOGETHER]]
                if self.now() > deadline:
                    results += [_no_time(signal) for signal in signals]
                else:
                    results += self._some(signals, take, heal, side_by_side)
        opened = tuple(each for each in results if isinstance(each, Opened))
        left = tuple(each for each in results if isinstance(each, Skipped))
        return SweepResult(opened, left, broken.unreadable)

    def _some(
        self, signals: Sequence[Signal], take: TakeTurns, heal: Heal, side_by_side: ThreadPoolExecutor
    ) -> list[Opened | Skipped]:
        relay = LogRelay()
        try:
            weighed = list(side_by_side.map(relay.wrap(self._weigh), signals))
            left = [each for each in weighed if isinstance(each, Skipped)]
            wanted = [each for each in weighed if isinstance(each, Signal)]
            heal_at_its_turn = relay.wrap(partial(_heal_at_its_turn, heal))
            return [*left, *side_by_side.map(heal_at_its_turn, self._with_turns(wanted, take))]
        finally:
            relay.flush()

    def _broken(self) -> BrokenInstances:
        match self.graph.broken(self.now() + _QUERY_BUDGET):
            case BrokenInstances() as broken:
                return broken
            case GraphRefused(status, error):
                raise SweepFailed(error, status)
            case TransientFailure(error, retry_after):
                raise SweepFailed(error, None, retry_after)

    def _weigh(self, signal: Signal) -> Signal | Skipped:
        """The signal, if the policy would open a remediation for it."""
        match self.healer.weigh(signal):
            case Coalesce(active):
                reason = f"remediation {active.id} is {active.status}"
                return Skipped(signal.instance, "AlreadyActive", reason)
            case Drop(code, reason):
                return Skipped(signal.instance, code, reason)
            case _:
                return signal

    def _with_turns(self, signals: Sequence[Signal], take: TakeTurns) -> Iterator[tuple[Signal, datetime | None]]:
        """Each signal with its turn, or with None where its subscription has none left."""
        of_subscriptions: dict[str, list[Signal]] = {}
        for signal in signals:
            of_subscriptions.setdefault(signal.instance.subscription_id.lower(), []).append(signal)
        for subscription_id, members in of_subscriptions.items():
            turns = take(subscription_id, len(members))
            yield from zip(members, [*turns, *[None] * (len(members) - len(turns))], strict=True)

    def _open(self, signal: Signal) -> Opened | Skipped:
        try:
            intake = self.healer.intake(signal)
        except WriteConflict as lost:
            return Skipped(signal.instance, "Contended", str(lost))
        assert intake is not None, "a finding is always a signal"
        if intake.dropped:
            return Skipped(signal.instance, intake.dropped.code, intake.dropped.reason)
        assert intake.remediation is not None, "what is not dropped has a remediation"
        if intake.job is None:
            return Skipped(signal.instance, "AlreadyActive", f"remediation {intake.remediation.id} has just begun")
        try:
            self.jobs.send(intake.job, job_delay(intake.remediation, self.now()))
        except AzureError as failure:
            # Its due entry asks for the job again.
            logs.error("job.not_queued", remediationId=intake.remediation.id, reason=logs.describe_exception(failure))
        return Opened(signal.instance, intake.remediation.attempt.queued_at, intake.remediation.id)


def _heal_at_its_turn(heal: Heal, signal_and_turn: tuple[Signal, datetime | None]) -> Opened | Skipped:
    signal, turn = signal_and_turn
    if turn is None:
        return Skipped(signal.instance, "NoTurn", f"the sweep's share of the write budget is given out for {MAX_AHEAD}")
    return heal(replace(signal, not_before=turn))


def _would_open(signal: Signal) -> Opened:
    assert signal.not_before is not None, "a finding is healed at its turn"
    return Opened(signal.instance, max(signal.not_before, signal.occurred_at), None)


def _no_time(signal: Signal) -> Skipped:
    return Skipped(signal.instance, "NoTime", f"the sweep ended after {_BUDGET}; the next one finds it again")


def _signal(finding: Finding, now: datetime) -> Signal:
    return Signal(finding.instance, SWEEP, f"found in {finding.protection_state}", now)
