"""The sweep: heals instances for which no signal came, those that broke before the app was installed among them.

Resource Graph names the broken instances; each is a signal like any other, through the same policy, and its heal
begins at its sweep slot (`rate_limits.sweep_quota`). What is being healed already is left alone: to count the
signal there would write a row for each instance that waits for its next attempt, each hour.

With `STALE_AFTER`, it goes on to the instances that are well but whose backups are not (`finding_search`). With
`RECOVERY`, these are signals as well.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from azure.core.exceptions import AzureError

from shared import logs
from shared.clients.resource_graph import BrokenInstance, QuerySucceeded, ResourceGraph
from shared.domain.arm_results import ArmError, Refused, TransientFailure
from shared.domain.error_codes import ErrorClass, ErrorCodes
from shared.domain.finding import Finding
from shared.domain.policy import Coalesce, Drop
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SWEEP, Signal
from shared.domain.sync_jobs import job_delay
from shared.healing.finding_reports import FindingReports
from shared.healing.finding_search import FindingSearch, FindingsResult
from shared.healing.intake import Coalesced, Dropped, Intake
from shared.healing.ports import JobQueue
from shared.healing.run_records import RunRecords
from shared.logs import LogRelay
from shared.rate_limits.sweep_quota import MAX_AHEAD, SweepQuota
from shared.storage.conflicts import WriteConflict

_QUERY_TIMEOUT = timedelta(seconds=60)
_TIMEOUT = timedelta(minutes=3)
"""A sweep ends by then: below `functionTimeout`, and below the 230 s in which Azure's load balancer wants an answer
to a request ("Azure Functions scale and hosting", function app time-out duration)."""
_SCHEDULED_TIMEOUT = timedelta(minutes=9)
"""Likewise, where nobody waits for an answer: a million instances are a thousand pages, at three in a second."""
_CONCURRENCY = 4
"""Threads: enough to hide storage's latency, few enough to leave the processor to events."""
_BATCH_SIZE = 200
"""Broken instances that are evaluated before those of them that are to be healed get their sweep slots."""
_MAX_SKIPPED = 10_000
"""Listed, of the skipped: at a kilobyte each, so that a million findings leave the host its memory."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An instance that is healed because of the sweep."""

    instance: BackupInstanceId
    begins_at: datetime
    remediation_id: str | None
    """None in a preview."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A broken instance that the sweep leaves alone."""

    instance: BackupInstanceId
    code: str
    """The policy's `Drop.code`, or `AlreadyActive`, `NoTurn`, `NoTime`, `Contended`."""
    reason: str


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The result for each broken instance that one sweep found."""

    opened: tuple[Opened, ...]
    skipped: tuple[Skipped, ...]
    unreadable: int
    """Rows of Resource Graph's answer that name no broken instance."""
    findings: FindingsResult | None = None
    """None if `STALE_AFTER` is off."""
    unlisted: Counter[str] = field(default_factory=Counter)
    """How many were skipped for which reason beyond those that `skipped` lists."""

    @property
    def skipped_count(self) -> int:
        """How many were skipped."""
        return len(self.skipped) + self.unlisted.total()

    @property
    def skipped_by_code(self) -> dict[str, int]:
        """How many were skipped for which reason."""
        return dict(Counter(skipped.code for skipped in self.skipped) + self.unlisted)


@dataclass(eq=False)
class SweepFailed(Exception):
    """Resource Graph did not say which instances are broken."""

    error: ArmError
    """As it came."""
    refused: int | None
    """The HTTP status of a refusal for good; None if it may answer when asked again."""
    retry_after: float | None = None
    """Seconds that it asked us to wait, when it did."""


@dataclass(slots=True)
class _Results:
    """The result of each instance so far; of those that were skipped, the first ones."""

    opened: list[Opened] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    unlisted: Counter[str] = field(default_factory=Counter)

    def add(self, results: Iterable[Opened | Skipped]) -> None:
        for result in results:
            if isinstance(result, Opened):
                self.opened.append(result)
            elif len(self.skipped) < _MAX_SKIPPED:
                self.skipped.append(result)
            else:
                self.unlisted[result.code] += 1


@dataclass(frozen=True, slots=True)
class _Opener:
    """Opens remediations for the instances that the policy lets through."""

    intake: Intake
    quota: SweepQuota
    jobs: JobQueue
    now: Callable[[], datetime]

    def take_slots(self, subscription_id: str, wanted: int) -> Sequence[datetime]:
        return self.quota.take(subscription_id, wanted)

    def open(self, signal: Signal) -> Opened | Skipped:
        try:
            result = self.intake.accept(signal)
        except WriteConflict as conflict:
            return Skipped(signal.instance, "Contended", str(conflict))
        match result:
            case Dropped(code, reason):
                return Skipped(signal.instance, code, reason)
            case Coalesced(remediation):
                return Skipped(signal.instance, "AlreadyActive", f"remediation {remediation.id} has just begun")
        remediation = result.remediation
        try:
            if result.job:
                self.jobs.send(result.job, job_delay(remediation, self.now()))
        except AzureError as failure:
            # Its due entry asks for the job again.
            logs.error("job.not_queued", remediationId=remediation.id, reason=logs.describe_exception(failure))
        return Opened(signal.instance, remediation.attempt.queued_at, remediation.id)


class _Preview:
    """Only says what would be opened. No slot is taken, so each peek begins behind those that it has seen already."""

    def __init__(self, quota: SweepQuota) -> None:
        self._quota = quota
        self._seen: Counter[str] = Counter()

    def take_slots(self, subscription_id: str, wanted: int) -> Sequence[datetime]:
        seen = self._seen[subscription_id]
        slots = self._quota.peek(subscription_id, seen + wanted)[seen:]
        self._seen[subscription_id] += len(slots)
        return slots

    def open(self, signal: Signal) -> Opened | Skipped:
        begins_at = max(signal.not_before or signal.occurred_at, signal.occurred_at)
        return Opened(signal.instance, begins_at, None)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Sweeps all subscriptions."""

    graph: ResourceGraph
    intake: Intake
    quota: SweepQuota
    jobs: JobQueue
    now: Callable[[], datetime]
    random: Callable[[], float]
    findings: FindingSearch | None = None
    """None if `STALE_AFTER` is off."""
    reports: FindingReports | None = None
    """Likewise."""
    needing_person: Callable[[], Sequence[BackupInstanceId]] = tuple
    """Instances of the swept subscriptions that need a person and are not being healed."""
    records: RunRecords | None = None
    """None where nobody asks for the last sweep."""

    def on_schedule(self) -> None:
        """A sweep by the timer: that Resource Graph does not answer is for the log, and for the next sweep.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached; the next sweep finds what is left.
        """
        try:
            self.run(_SCHEDULED_TIMEOUT)
        except SweepFailed as failure:
            logs.error("sweep.failed", status=failure.refused, error=failure.error)

    def run(self, timeout: timedelta = _TIMEOUT) -> SweepResult:
        """Open a remediation for each broken instance that the policy and the sweep's quota allow.

        Args:
            timeout: of the search for findings, counted from now.

        Raises:
            SweepFailed: Resource Graph gave no answer; nothing was opened.
            WriteConflict: other sweeps kept taking slots; what was opened is healed.
            azure.core.exceptions.AzureError: storage cannot be reached; what was opened is healed.
        """
        try:
            result = self._sweep(_Opener(self.intake, self.quota, self.jobs, self.now), timeout)
        except SweepFailed as failure:
            if self.records:
                self.records.failed_sweep(f"{failure.error['code']}: {failure.error['message']}")
            raise
        logs.info("sweep.ended", opened=len(result.opened), left=result.skipped_by_code, unreadable=result.unreadable)
        if self.records:
            self.records.sweep(len(result.opened), result.skipped_count)
        return result

    def preview(self) -> SweepResult:
        """Say what `run` would do now; nothing is written. Raises as `run` does."""
        return self._sweep(_Preview(self.quota), _TIMEOUT)

    def _sweep(self, opener: _Opener | _Preview, timeout: timedelta) -> SweepResult:
        begun_at = self.now()
        found = self._query()
        # In random order: what one sweep had no time for is not to be last in each.
        broken = sorted(found.instances, key=lambda _: self.random())
        results, findings = _Results(), None
        with ThreadPoolExecutor(_CONCURRENCY) as threads:

            def heal(signals: Sequence[Signal], deadline: datetime) -> None:
                for start in range(0, len(signals), _BATCH_SIZE):
                    batch = signals[start : start + _BATCH_SIZE]
                    in_time = self.now() <= deadline
                    results.add(self._heal(batch, opener, threads) if in_time else map(_no_time, batch))

            error_codes = self.intake.policy.error_codes
            heal([_signal(instance, self.now(), error_codes) for instance in broken], begun_at + _TIMEOUT)
            known = {each.id.key for each in broken}
            mended = [_look_again(each, self.now()) for each in self.needing_person() if each.key not in known]
            heal(mended, begun_at + _TIMEOUT)
            if self.findings and self.reports:
                deadline = begun_at + timeout
                is_preview = isinstance(opener, _Preview)
                report = self.reports.preview() if is_preview else self.reports.begin(deadline)

                def act(found: Sequence[Finding]) -> Collection[str]:
                    heal(self._signals(found), deadline)
                    return report.take(found)

                findings = self.findings.run(deadline, act, is_preview)
                report.finish(findings)
        return SweepResult(tuple(results.opened), tuple(results.skipped), found.unreadable, findings, results.unlisted)

    def _signals(self, findings: Iterable[Finding]) -> list[Signal]:
        """Only a recovery can answer them."""
        if self.intake.policy.recovery is RecoveryMode.OFF:
            return []
        return [finding.signal for finding in findings]

    def _heal(
        self, signals: Iterable[Signal], opener: _Opener | _Preview, threads: ThreadPoolExecutor
    ) -> list[Opened | Skipped]:
        relay = LogRelay()
        try:
            evaluated = list(threads.map(relay.wrap(self._evaluate), signals))
            skipped = [each for each in evaluated if isinstance(each, Skipped)]
            wanted = [each for each in evaluated if isinstance(each, Signal)]
            open_at_slot = relay.wrap(partial(_open_at_slot, opener))
            return [*skipped, *threads.map(open_at_slot, _with_slots(wanted, opener))]
        finally:
            relay.flush()

    def _query(self) -> QuerySucceeded:
        match self.graph.broken_instances(self.now() + _QUERY_TIMEOUT):
            case QuerySucceeded() as found:
                return found
            case Refused(status, error):
                raise SweepFailed(error, status)
            case TransientFailure(error, retry_after):
                raise SweepFailed(error, None, retry_after)

    def _evaluate(self, signal: Signal) -> Signal | Skipped:
        """The signal, if the policy would open a remediation for it."""
        match self.intake.evaluate(signal):
            case Coalesce(active):
                reason = f"remediation {active.id} is {active.status}"
                return Skipped(signal.instance, "AlreadyActive", reason)
            case Drop(code, reason):
                return Skipped(signal.instance, code, reason)
            case _:
                return signal


def _with_slots(signals: Iterable[Signal], opener: _Opener | _Preview) -> Iterator[tuple[Signal, datetime | None]]:
    """Each signal with its sweep slot, or with None where its subscription has none left."""
    by_subscription: dict[str, list[Signal]] = {}
    for signal in signals:
        by_subscription.setdefault(signal.instance.subscription_id.lower(), []).append(signal)
    for subscription_id, members in by_subscription.items():
        slots = opener.take_slots(subscription_id, len(members))
        yield from zip(members, [*slots, *[None] * (len(members) - len(slots))], strict=True)


def _open_at_slot(opener: _Opener | _Preview, signal_and_slot: tuple[Signal, datetime | None]) -> Opened | Skipped:
    signal, slot = signal_and_slot
    if slot is None:
        reason = f"the sweep's share of the write budget is given out for {MAX_AHEAD}"
        return Skipped(signal.instance, "NoTurn", reason)
    return opener.open(replace(signal, not_before=slot))


def _no_time(signal: Signal) -> Skipped:
    return Skipped(signal.instance, "NoTime", f"the sweep ended after {_TIMEOUT}; the next one finds it again")


def _look_again(instance: BackupInstanceId, now: datetime) -> Signal:
    """The signal for an instance that needed a person: its remediation begins with a read, which says how it is."""
    return Signal(instance, SWEEP, "needed a person, and is broken no more: looking", now, seems_mended=True)


def _signal(broken: BrokenInstance, now: datetime, error_codes: ErrorCodes) -> Signal:
    """The signal; it says the state, which spares a read, unless a fresh one may spare the sync."""
    error_class = error_codes.class_of({"code": broken.error_code})
    is_never = error_class is ErrorClass.NEVER
    return Signal(
        broken.id,
        SWEEP,
        f"found in {broken.protection_state}",
        now,
        protection_state=None if is_never else broken.protection_state,
        latest_recovery_point=broken.latest_recovery_point,
        datasource_id=broken.datasource_id,
        snapshot_group_id=broken.snapshot_group_id,
        backup_failed=error_class is ErrorClass.JOB,
    )
