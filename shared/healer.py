"""The use cases of healing: a signal comes in, a sync is submitted, a job is given up.

Each step reads, asks the pure rooms what follows, and stores it by compare-and-swap; who loses the race
discards what it did. So every step may run twice, late, or on two machines at once. The tick is next door.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared import journal, transitions
from shared.arm import ArmClient, client_request_id
from shared.documents import CorruptDocument
from shared.jobs import InvalidJob, JobQueue, SyncJob
from shared.policy import Drop, Open, judge
from shared.remediation import Remediation, Status
from shared.settings import Settings
from shared.signals import NoSignal, Signal
from shared.store import LostRace, Owner, Store, Stored

_RACES = 8
"""How often an intake is begun anew when others change the same instance at the same time."""
_SHOWN = 2_000
"""Characters of a foreign message that are kept."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of a signal."""

    remediation: Remediation
    """The one that it opened, or the one that stands in its place."""
    job: SyncJob | None
    """To be enqueued by the caller; None when the signal opened nothing."""


@dataclass(frozen=True, slots=True)
class Healer:
    """Heals instances with these parts."""

    store: Store
    arm: ArmClient
    jobs: JobQueue
    settings: Settings
    now: Callable[[], datetime]
    random: Callable[[], float]

    def intake(self, signal: Signal | NoSignal) -> Intake | None:
        """Open a remediation for a signal, or find the one it belongs to; None if it is no signal at all.

        Raises:
            LostRace: others kept changing the same instance; the trigger is to be run again.
            azure.core.exceptions.AzureError: storage cannot be reached; likewise.
        """
        if isinstance(signal, NoSignal):
            journal.info("signal.ignored", reason=signal.reason)
            return None
        # Most instances fail for the first time: assume so and save two reads, the store knows better.
        owner: Owner | None = None
        latest: Stored | None = None
        for _ in range(_RACES):
            try:
                return self._admit(signal, owner, latest)
            except LostRace:
                owner = self.store.owner(signal.instance)
                latest = self._latest(owner)
        raise LostRace(f"{_RACES} times in a row somebody else changed {signal.instance}")

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
        before = stored.remediation
        after = transitions.overdue(before, self.settings.operation_timeout, self.now()) or self._sync(before)
        if not self._save(stored, after):
            return
        if after.status is Status.QUEUED:
            journal.warning("remediation.deferred", remediationId=after.id, dueAt=after.due_at, error=after.error)
            self.jobs.send(job, transitions.job_delay(after, self.now()))

    def give_up(self, message: str) -> None:
        """End the remediation of a sync job that the queue gave up on; the message's text is kept."""
        journal.error("job.poison", message=message[:_SHOWN])
        try:
            stored = self._awaiting(SyncJob.from_message(message))
        except InvalidJob as invalid:
            journal.error("job.invalid", reason=str(invalid), message=message[:_SHOWN])
            return
        if stored is not None:
            self._save(stored, transitions.poisoned(stored.remediation, message[:_SHOWN], self.now()))

    def _admit(self, signal: Signal, owner: Owner | None, latest: Stored | None) -> Intake:
        verdict = judge(signal, latest.remediation if latest else None)
        if latest is None or isinstance(verdict, Open):
            return self._open(signal, owner)
        if isinstance(verdict, Drop):
            journal.info("signal.dropped", backupInstanceId=str(signal.instance), reason=verdict.reason)
            return Intake(latest.remediation, None)
        after = transitions.coalesced(latest.remediation)
        self.store.save(latest, after)
        journal.info("signal.coalesced", remediationId=after.id, signals=after.signals, reason=signal.reason)
        return Intake(after, None)

    def _open(self, signal: Signal, owner: Owner | None) -> Intake:
        fresh = transitions.opened(signal, self.settings.sync_type, self.now())
        self.store.open(fresh, owner)
        journal.transitions(None, fresh)
        return Intake(fresh, SyncJob(fresh.id, fresh.attempt.number))

    def _latest(self, owner: Owner | None) -> Stored | None:
        if owner is None:
            return None
        try:
            return self.store.load(owner.remediation_id)
        except CorruptDocument as corrupt:
            # An unreadable record must not keep its instance from being healed.
            journal.error("remediation.corrupt", remediationId=owner.remediation_id, reason=str(corrupt))
            return None

    def _awaiting(self, job: SyncJob) -> Stored | None:
        """The remediation, if it still waits for just this job."""
        stored = self.store.load(job.remediation_id)
        if stored is not None and transitions.awaits(stored.remediation, job.attempt):
            return stored
        stands = stored.remediation.status if stored else "missing"
        journal.info("job.stale", remediationId=job.remediation_id, attempt=job.attempt, status=stands)
        return None

    def _sync(self, before: Remediation) -> Remediation:
        attempt = before.attempt
        request_id = client_request_id(before.id, attempt.number)
        answer = self.arm.sync(before.instance, attempt.sync_type, request_id)
        return transitions.sync_answered(before, answer, self.now(), self.random())

    def _save(self, stored: Stored, after: Remediation) -> bool:
        closed = transitions.closed(after, announce=self.settings.outcome_topic_endpoint is not None)
        try:
            self.store.save(stored, closed)
        except LostRace:
            journal.info("race.lost", remediationId=after.id)
            return False
        journal.transitions(stored.remediation, closed)
        return True
