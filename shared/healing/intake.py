"""Intake: a signal opens a remediation, is counted on the active one, or is dropped.

Each step reads, asks the policy, and stores by compare-and-swap; who loses the race reads again. So every step may
run twice, late, or on two machines at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from shared import logs
from shared.domain import lifecycle, sync_jobs
from shared.domain.attention import Attention
from shared.domain.policy import Coalesce, Decision, Drop, Open, Policy
from shared.domain.remediation import Remediation, Status
from shared.domain.remediation_json import CorruptDocument
from shared.domain.signal import REQUEST, NoSignal, Signal, SyncType
from shared.healing.first_holds import HoldFirst, never_held
from shared.healing.pausing import PauseOf, never_paused
from shared.healing.poll_cache import PollCache
from shared.healing.ports import JobQueue
from shared.healing.transition_log import log_transitions
from shared.healing.wake import note_waiting
from shared.storage.conflicts import WriteConflict, retry_on_conflict
from shared.storage.queues import SyncJob
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import LatestPointer, Stored, shard_of


@dataclass(frozen=True, slots=True)
class Opened:
    """The signal opened this remediation."""

    remediation: Remediation
    job: SyncJob | None
    """To be enqueued by the caller; None if the first attempt is held back for the canaries of an incident."""


@dataclass(frozen=True, slots=True)
class Coalesced:
    """The signal was counted on the active remediation."""

    remediation: Remediation
    job: SyncJob | None
    """To be enqueued by the caller, where the remediation waited for its sweep slot, or for the canaries of its
    incident while a person wants a sync, and begins now."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """The signal starts nothing."""

    code: str
    """As `policy.Drop`; `NoSignal` for what is no signal at all."""
    reason: str
    job: None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """The decision on a signal if it came now."""

    decision: Decision
    sync_type: SyncType | None
    """The sync that its remediation would call, or calls; None when it would be dropped."""


Latest = Stored | CorruptDocument | None
"""The instance's latest remediation, if there is one and it can be read."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes signals in."""

    store: RemediationStore
    jobs: JobQueue
    cache: PollCache
    policy: Policy
    now: Callable[[], datetime]
    pause_of: PauseOf = never_paused
    hold_first: HoldFirst = never_held

    def accept(self, signal: Signal | NoSignal) -> Opened | Coalesced | Dropped:
        """Open a remediation for a signal, or find the one to which it belongs.

        Raises:
            WriteConflict: others kept changing the same instance; the trigger is to be run again.
            azure.core.exceptions.AzureError: storage cannot be reached; likewise.
        """
        if isinstance(signal, NoSignal):
            logs.info("signal.ignored", reason=signal.reason)
            return Dropped("NoSignal", signal.reason)
        opener = uuid4().hex
        try:
            # Most instances fail for the first time: assume so and save two reads, the store knows better.
            return self._act(signal, None, None, opener)
        except WriteConflict:
            return retry_on_conflict(lambda: self._read_and_act(signal, opener))

    def evaluate(self, signal: Signal) -> Decision:
        """The policy's decision on a signal now; nothing is written.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        at_first_sight = self.policy.decide(signal, None, (), self.now())
        if isinstance(at_first_sight, Drop):
            return at_first_sight
        pointer = self.store.latest_pointer(signal.instance)
        return self._decide(signal, pointer, self._load_latest(pointer))

    def preview(self, signal: Signal) -> Preview:
        """Say what `accept` would do with this signal; nothing is written. Raises as `evaluate` does."""
        decision = self.evaluate(signal)
        match decision:
            case Open():
                return Preview(decision, self.policy.sync_type(1, signal.sync_type))
            case Coalesce(active):
                return Preview(decision, active.attempt.sync_type)
            case Drop():
                return Preview(decision, None)

    def _read_and_act(self, signal: Signal, opener: str) -> Opened | Coalesced | Dropped:
        pointer = self.store.latest_pointer(signal.instance)
        latest = self._load_latest(pointer)
        if pointer is not None and latest is None:
            latest = self._resume(pointer)
        if pointer is not None and pointer.opener == opener and isinstance(latest, Stored):
            # The conflict was with its own rows: storage had carried out what it answered with an error.
            return self._opened(latest)
        return self._act(signal, pointer, latest, opener)

    def _act(
        self, signal: Signal, pointer: LatestPointer | None, latest: Latest, opener: str
    ) -> Opened | Coalesced | Dropped:
        match self._decide(signal, pointer, latest):
            case Drop(code, reason):
                return self._drop(signal, code, reason)
            case Coalesce() if isinstance(latest, Stored):
                return self._coalesce(signal, latest)
            case Open(resets_daily_cap=True) if pointer is not None:
                return self._open(signal, replace(pointer, opened=()), latest, opener)
            case _:
                return self._open(signal, pointer, latest, opener)

    def _decide(self, signal: Signal, pointer: LatestPointer | None, latest: Latest) -> Decision:
        remediation = latest.remediation if isinstance(latest, Stored) else None
        decision = self.policy.decide(signal, remediation, pointer.opened if pointer else (), self.now())
        pause = self.pause_of(signal.instance) if isinstance(decision, Open) else None
        return Drop("Paused", str(pause)) if pause else decision

    def _drop(self, signal: Signal, code: str, reason: str) -> Dropped:
        logs.info(
            "signal.dropped",
            backupInstanceId=str(signal.instance),
            code=code,
            reason=reason,
            clientRequestId=signal.client_request_id,
        )
        return Dropped(code, reason)

    def _coalesce(self, signal: Signal, active: Stored) -> Coalesced:
        after = lifecycle.count_signal(active.remediation)
        job = None
        if signal.not_before is None and sync_jobs.waits_for_sweep_slot(after, self.now()):
            # Found by a sweep, but now somebody says it failed: that is not to wait behind the sweep's others.
            after = sync_jobs.expedite(after, self.now())
            job = _job(after)
        elif signal.source == REQUEST and after.is_held:
            after = lifecycle.start_next_attempt(after, self.policy.next_sync_type(after), self.now())
            job = _job(after)
        self.cache.keep(self.store.save(active, after), after)
        log_transitions(active.remediation, after)
        logs.info(
            "signal.coalesced",
            remediationId=after.id,
            signals=after.signals,
            reason=signal.reason,
            clientRequestId=signal.client_request_id,
        )
        return Coalesced(after, job)

    def _open(self, signal: Signal, pointer: LatestPointer | None, latest: Latest, opener: str) -> Opened:
        sync_type = self.policy.sync_type(1, signal.sync_type)
        attention = _attention(pointer, latest)
        opening = lifecycle.open_remediation(signal, sync_type, self.now(), self.policy.recovery, attention)
        fresh = self.hold_first(opening, signal)
        note_waiting(self.store, [(opening, fresh)])
        return self._opened(self.store.open(fresh, pointer, opener))

    def _opened(self, opening: Stored) -> Opened:
        self.cache.keep_opening(opening)
        log_transitions(None, opening.remediation)
        return Opened(opening.remediation, _job(opening.remediation))

    def _load_latest(self, pointer: LatestPointer | None) -> Latest:
        if pointer is None:
            return None
        try:
            return self.store.load(pointer.remediation_id)
        except CorruptDocument as corrupt:
            # An unreadable record must not keep its instance from being healed.
            self.store.corrupt_rows.report(
                shard_of(pointer.remediation_id), f"r:{pointer.remediation_id}", str(corrupt)
            )
            return corrupt

    def _resume(self, pointer: LatestPointer) -> Latest:
        """Do what the host that opened the latest remediation left undone."""
        resumed = self.store.resume_opening(pointer, self.now())
        if resumed is not None:
            log_transitions(None, resumed)
            if job := _job(resumed):
                self.jobs.send(job, sync_jobs.job_delay(resumed, self.now()))
        return self._load_latest(pointer)


def _attention(pointer: LatestPointer | None, latest: Latest) -> Attention | None:
    """Whether the instance needs a person, by its latest remediation; as it was opened, if that cannot be read."""
    if isinstance(latest, Stored):
        return latest.remediation.attention
    return pointer.claim.attention if pointer and pointer.claim else None


def _job(remediation: Remediation) -> SyncJob | None:
    """The job of its attempt, if that is to be made."""
    return SyncJob(remediation.id, remediation.attempt.number) if remediation.status is Status.QUEUED else None
