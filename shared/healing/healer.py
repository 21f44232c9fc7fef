"""The use cases of healing: a signal comes in, a sync is submitted, a job is given up.

Each step reads, asks the pure rooms what follows, and stores it by compare-and-swap; who loses the race reads
again and discards what no longer fits. So every step may run twice, late, or on two machines at once. The tick
is next door.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from azure.core.exceptions import AzureError

from shared import logs
from shared.clients.arm import ArmClient, client_request_id
from shared.domain import state_machine
from shared.domain.policy import Coalesce, Decision, Drop, Open
from shared.domain.remediation import Remediation, Status
from shared.domain.remediation_json import CorruptDocument
from shared.domain.signal import NoSignal, Signal, SyncType
from shared.healing.poll_cache import Once, PollCache
from shared.healing.transition_log import log_transitions
from shared.rate_limits.rate_limiter import RateLimiter
from shared.settings import Settings
from shared.storage.queues import InvalidJob, SyncJob, SyncJobQueue
from shared.storage.remediation_store import RemediationStore, WriteConflict
from shared.storage.table_rows import LatestPointer, Stored

_RACES = 8
"""How often an intake is begun anew when others change the same instance at the same time."""
Step = Callable[[Remediation], Remediation | None]
"""A pure transition whose answer from outside is known already: it can be made again on a newer reading.

None where it says nothing about that reading.
"""
_SHOWN = 2_000
"""Characters of a foreign message that are kept."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of a signal: it opened a remediation, belongs to the active one, or was dropped."""

    remediation: Remediation | None
    """The one that it opened or belongs to; None when it was dropped."""
    job: SyncJob | None = None
    """To be enqueued by the caller: when it opened one, or hastened one that waited for its turn."""
    dropped: Drop | None = None
    """Why the policy lets the instance be."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of a signal if it came now."""

    verdict: Decision
    sync_type: SyncType | None
    """The sync that its remediation would call, or calls; None when it would be dropped."""


@dataclass(frozen=True, slots=True)
class Healer:
    """Heals instances with these parts."""

    store: RemediationStore
    arm: ArmClient
    writes: RateLimiter
    jobs: SyncJobQueue
    memory: PollCache
    settings: Settings
    now: Callable[[], datetime]
    random: Callable[[], float]
    _unsaved: Once[tuple[SyncJob, str], Step] = field(default_factory=Once, init=False)
    """What follows from calls that storage was not there to record, by the ETag of the row that it is about."""

    def intake(self, signal: Signal | NoSignal) -> Intake | None:
        """Open a remediation for a signal, or find the one it belongs to; None if it is no signal at all.

        Raises:
            LostRace: others kept changing the same instance; the trigger is to be run again.
            azure.core.exceptions.AzureError: storage cannot be reached; likewise.
        """
        if isinstance(signal, NoSignal):
            logs.info("signal.ignored", reason=signal.reason)
            return None
        # Most instances fail for the first time: assume so and save two reads, the store knows better.
        owner: LatestPointer | None = None
        latest: Stored | None = None
        for _ in range(_RACES):
            try:
                return self._admit(signal, owner, latest)
            except WriteConflict:
                owner = self.store.owner(signal.instance)
                latest = self._latest(owner) or self._finished(owner)
        raise WriteConflict(f"{_RACES} times in a row somebody else changed {signal.instance}")

    def preview(self, signal: Signal) -> Preview:
        """What `intake` would do with this signal; nothing is written.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        verdict = self.weigh(signal)
        match verdict:
            case Open():
                return Preview(verdict, self._first_sync_type(signal))
            case Coalesce(active):
                return Preview(verdict, active.attempt.sync_type)
            case Drop():
                return Preview(verdict, None)

    def weigh(self, signal: Signal) -> Decision:
        """What the policy would decide about a signal now; nothing is written.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        at_first_sight = self.settings.policy().decide(signal, None, (), self.now())
        if isinstance(at_first_sight, Drop):
            return at_first_sight
        owner = self.store.owner(signal.instance)
        return self._judge(signal, owner, self._latest(owner))

    def submit(self, message: str) -> None:
        """Carry out a sync job: one sync call, whose answer moves the remediation on.

        Raises:
            InvalidJob: the message is no sync job; the queue keeps it as poison.
            azure.core.exceptions.AzureError: storage cannot be reached; the queue delivers the job again.
        """
        job = SyncJob.from_message(message)
        stored = self._awaiting(job)
        if stored is None:
            return
        follows = self._unsaved.take((job, stored.etag)) or self._submitted(stored.remediation)
        try:
            after = self._save_after_races(stored, follows)
        except AzureError:
            # What Azure has answered need not be asked again when the queue brings the job back.
            self._unsaved.keep((job, stored.etag), follows)
            raise
        if after is not None and after.status is Status.QUEUED:
            event = "remediation.deferred" if after.error else "remediation.paced"
            logs.info(event, remediationId=after.id, dueAt=after.due_at, error=after.error)
            self.jobs.send(job, state_machine.job_delay(after, self.now()))

    def cancel(self, remediation_id: str, reason: str) -> Remediation | None:
        """Stop a remediation at any status that is not terminal; an ended one is returned as it is.

        Returns:
            The remediation as it is now; None if there is none with this id.

        Raises:
            LostRace: others kept changing it.
        """
        for _ in range(_RACES):
            stored = self.store.load(remediation_id)
            if stored is None or stored.remediation.status.is_terminal:
                return stored.remediation if stored else None
            after = self._closed(state_machine.cancel(stored.remediation, reason, self.now()))
            if self._save(stored, after):
                return after
        raise WriteConflict(f"{_RACES} times in a row somebody else changed {remediation_id}")

    def give_up(self, message: str) -> None:
        """End the remediation of a sync job that the queue gave up on; the message's text is kept."""
        logs.error("job.poison", message=message[:_SHOWN])
        try:
            job = SyncJob.from_message(message)
            stored = self.store.load(job.remediation_id)
        except (InvalidJob, CorruptDocument) as invalid:
            logs.error("job.invalid", reason=str(invalid), message=message[:_SHOWN])
            return
        if stored is not None and state_machine.expects_job(stored.remediation, job.attempt):
            self._save(stored, state_machine.on_poison_message(stored.remediation, message[:_SHOWN], self.now()))

    def _admit(self, signal: Signal, owner: LatestPointer | None, latest: Stored | None) -> Intake:
        verdict = self._judge(signal, owner, latest)
        if isinstance(verdict, Drop):
            subject = str(signal.instance)
            logs.info(
                "signal.dropped",
                backupInstanceId=subject,
                code=verdict.code,
                reason=verdict.reason,
                clientRequestId=signal.client_request_id,
            )
            return Intake(None, dropped=verdict)
        if latest is None or isinstance(verdict, Open):
            return self._open(signal, owner)
        return self._coalesce(signal, latest)

    def _judge(self, signal: Signal, owner: LatestPointer | None, latest: Stored | None) -> Decision:
        known = latest.remediation if latest else None
        return self.settings.policy().decide(signal, known, owner.opened if owner else (), self.now())

    def _coalesce(self, signal: Signal, active: Stored) -> Intake:
        after = state_machine.count_signal(active.remediation)
        job = None
        if signal.not_before is None and state_machine.waits_for_sweep_slot(after, self.now()):
            # Found by a sweep, but now somebody says it failed: that is not to wait behind the sweep's others.
            after = state_machine.expedite(after, self.now())
            job = SyncJob(after.id, after.attempt.number)
        self.memory.keep(self.store.save(active, after), after)
        logs.info(
            "signal.coalesced",
            remediationId=after.id,
            signals=after.signals,
            reason=signal.reason,
            clientRequestId=signal.client_request_id,
        )
        return Intake(after, job)

    def _open(self, signal: Signal, owner: LatestPointer | None) -> Intake:
        fresh = state_machine.open_remediation(signal, self._first_sync_type(signal), self.now())
        stored = self.store.open(fresh, owner)
        if stored is not None:
            self.memory.keep_opening(stored)
        log_transitions(None, fresh)
        return Intake(fresh, SyncJob(fresh.id, fresh.attempt.number))

    def _first_sync_type(self, signal: Signal) -> SyncType:
        return self.settings.policy().sync_type(1, signal.sync_type)

    def _latest(self, owner: LatestPointer | None) -> Stored | None:
        if owner is None:
            return None
        try:
            return self.store.load(owner.remediation_id)
        except CorruptDocument as corrupt:
            # An unreadable record must not keep its instance from being healed.
            logs.error("remediation.corrupt", remediationId=owner.remediation_id, reason=str(corrupt))
            return None

    def _finished(self, owner: LatestPointer | None) -> Stored | None:
        """The latest, once all is done that its opener left undone; None if it cannot be read, or was purged."""
        opening = owner.unfinished(self.now()) if owner else None
        if opening is None:
            return None
        with suppress(CorruptDocument):
            stored = self.store.load(opening.id)
            if stored is None:
                taken_up = state_machine.resume(opening, self.now())
                if self.store.finish_opening(taken_up):
                    log_transitions(None, taken_up)
                self.jobs.send(
                    SyncJob(opening.id, opening.attempt.number), state_machine.job_delay(taken_up, self.now())
                )
                stored = self.store.load(opening.id)
            return stored
        return None

    def _awaiting(self, job: SyncJob) -> Stored | None:
        """The remediation, if it still waits for just this job."""
        stored = self.memory.take_opening(job.remediation_id, self.now()) or self.store.load(job.remediation_id)
        waits = stored is not None and state_machine.expects_job(stored.remediation, job.attempt)
        if stored is not None and waits and not state_machine.is_too_early(stored.remediation, self.now()):
            return stored
        stands = stored.remediation.status if stored else "missing"
        logs.info("job.stale", remediationId=job.remediation_id, attempt=job.attempt, status=stands)
        return None

    def _submitted(self, before: Remediation) -> Step:
        """What follows for a remediation whose job is here: its end, its turn, or the wait for its turn."""
        if state_machine.time_out_if_expired(before, self.settings.operation_timeout, self.now()):
            timeout, now = self.settings.operation_timeout, self.now()
            return lambda current: state_machine.time_out_if_expired(current, timeout, now)
        if before.slot_at is None:
            slot_at = self.writes.slot(before.instance.subscription_id)
            if slot_at > self.now():
                return lambda current: (
                    state_machine.wait_for_write_slot(current, slot_at) if current.status is Status.QUEUED else None
                )
        return self._sync(before)

    def _sync(self, before: Remediation) -> Step:
        attempt = before.attempt
        request_id = before.client_request_id or client_request_id(before.id, attempt.number)
        answer = self.arm.sync(before.instance, attempt.sync_type, request_id)
        retry, now, jitter = self.settings.policy().retry_delay(attempt.number), self.now(), self.random()
        return lambda current: state_machine.on_sync_response(current, answer, now, jitter, retry)

    def _save_after_races(self, stored: Stored, follows: Step) -> Remediation | None:
        """Store what follows, even if the row changed during the call: what ARM has answered is still true.

        Returns:
            What is stored now; None if the remediation has gone on without this answer.
        """
        attempt = stored.remediation.attempt.number
        current: Stored | None = stored
        for _ in range(_RACES):
            if current is None or not state_machine.accepts_sync_response(current.remediation, attempt):
                return None
            after = follows(current.remediation)
            if after is None:
                return None
            if self._save(current, after):
                return after
            current = self.store.load(stored.remediation.id)
        raise WriteConflict(f"{_RACES} times in a row somebody else changed {stored.remediation.id}")

    def _save(self, stored: Stored, after: Remediation) -> bool:
        closed = self._closed(after)
        try:
            saved = self.store.save(stored, closed)
        except WriteConflict:
            logs.info("race.lost", remediationId=after.id)
            return False
        log_transitions(stored.remediation, closed)
        self.memory.keep(saved, closed)
        return True

    def _closed(self, remediation: Remediation) -> Remediation:
        return state_machine.close_unless_announced(
            remediation, announce=self.settings.outcome_topic_endpoint is not None
        )
