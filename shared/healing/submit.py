"""Submit: carries out a sync job, which is one sync call."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from azure.core.exceptions import AzureError

from shared import logs
from shared.domain import first_read, state_machine, sync_jobs
from shared.domain.arm_results import InstanceRead, InstanceResult, TransientFailure
from shared.domain.first_read import NoSync
from shared.domain.pause import Pause
from shared.domain.policy import Policy
from shared.domain.protection_state import VALID
from shared.domain.remediation import Remediation, Status
from shared.domain.remediation_json import CorruptDocument
from shared.domain.state_machine import Moment, SlotAhead, SubmitResult, SyncResponse
from shared.healing.instance_read import read_instance
from shared.healing.pausing import PauseOf, never_paused
from shared.healing.poll_cache import PollCache, TakeOnceCache
from shared.healing.ports import Arm, JobQueue
from shared.healing.recorder import Recorder
from shared.rate_limits.rate_limiter import RateLimiter
from shared.storage.conflicts import WriteConflict, retry_on_conflict
from shared.storage.queues import InvalidJob, SyncJob
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import Stored, shard_of

_PAUSE_INTERVAL = timedelta(minutes=5)
"""Between two looks whether a pause is over."""
_MAX_LOGGED_CHARS = 2_000
"""Of a foreign message, in logs and as evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Carries out sync jobs. Any may come twice, late, or on two hosts at once."""

    store: RemediationStore
    arm: Arm
    write_limit: RateLimiter
    read_limit: RateLimiter
    jobs: JobQueue
    cache: PollCache
    recorder: Recorder
    policy: Policy
    now: Callable[[], datetime]
    random: Callable[[], float]
    pause_of: PauseOf = never_paused
    _unrecorded: TakeOnceCache[tuple[SyncJob, str], SubmitResult] = field(default_factory=TakeOnceCache, init=False)
    """Results that storage was not there to record, by job and ETag of the row that they are about."""

    def run(self, message: str, is_repeat: bool = False) -> None:
        """Carry out a sync job: one sync call, whose response moves the remediation on.

        Args:
            is_repeat: the queue has delivered this message before. Perhaps a sync call was made, and its record lost.

        Raises:
            WriteConflict: others kept changing the remediation; the queue delivers the job again.
            azure.core.exceptions.AzureError: storage cannot be reached; likewise.
        """
        try:
            job = SyncJob.from_message(message)
        except InvalidJob as invalid:
            # Five deliveries would tell the same, and keep good jobs waiting.
            logs.error("job.invalid", reason=str(invalid), message=message[:_MAX_LOGGED_CHARS])
            return
        stored = self._load(job)
        if stored is None:
            return
        # A message that takes this one's place does not know how often this one was delivered.
        onward = replace(job, is_repeat=job.is_repeat or is_repeat)
        if sync_jobs.is_too_early(stored.remediation, self.now()):
            self._put_back(onward, stored.remediation)
            return
        if pause := self.pause_of(stored.remediation.instance):
            self._hold(onward, stored, pause)
            return
        submitted = self._unrecorded.take((job, stored.etag)) or self._submit(stored.remediation, onward.is_repeat)
        try:
            after = self._record(stored, submitted)
        except AzureError:
            # What Azure has answered need not be asked again when the queue brings the job back.
            self._unrecorded.keep((job, stored.etag), submitted)
            raise
        if after is not None and after.status is Status.QUEUED:
            event = "remediation.deferred" if after.error else "remediation.paced"
            logs.info(event, remediationId=after.id, dueAt=after.due_at, error=after.error)
            self.jobs.send(onward, sync_jobs.job_delay(after, self.now()))

    def _hold(self, job: SyncJob, stored: Stored, pause: Pause) -> None:
        """Come back when the pause is over, or soon, as it may be ended before."""
        later = self.now() + _PAUSE_INTERVAL
        held = self.recorder.save(stored, sync_jobs.hold(stored.remediation, min(pause.until or later, later)))
        logs.info("job.paused", remediationId=held.id, attempt=job.attempt, notBefore=held.not_before, pause=str(pause))
        self.jobs.send(job, sync_jobs.job_delay(held, self.now()))

    def _put_back(self, job: SyncJob, remediation: Remediation) -> None:
        """A repeat of a job that still waits, or the job itself on a host whose clock is behind: it costs a delay."""
        logs.info("job.early", remediationId=remediation.id, attempt=job.attempt, notBefore=remediation.not_before)
        self.jobs.send(job, sync_jobs.job_delay(remediation, self.now()))

    def give_up(self, message: str) -> None:
        """Log a sync job that the queue gave up on.

        It says nothing about the instance: storage, identity or a fault of the app failed five times. Its remediation
        stays as it is, and its due entry queues another job.
        """
        logs.error("job.poison", message=message[:_MAX_LOGGED_CHARS])

    def _load(self, job: SyncJob) -> Stored | None:
        """The remediation, if it still waits for just this job."""
        try:
            stored = self.cache.take_opening(job.remediation_id, self.now()) or self.store.load(job.remediation_id)
        except CorruptDocument as corrupt:
            # Five deliveries would read the same.
            self.store.corrupt_rows.report(shard_of(job.remediation_id), f"r:{job.remediation_id}", str(corrupt))
            return None
        if stored is not None and sync_jobs.expects_job(stored.remediation, job.attempt):
            return stored
        status = stored.remediation.status if stored else "missing"
        logs.info("job.stale", remediationId=job.remediation_id, attempt=job.attempt, status=status)
        return None

    def _submit(self, remediation: Remediation, is_repeat: bool) -> SubmitResult:
        """Read the instance, if nobody knows how it was; then wait for a turn within the rate limit, or call sync."""
        if not first_read.is_needed(remediation):
            return self._sync(remediation, None, has_turn=remediation.slot_at is not None)
        attempt, has_turn = remediation.attempt.number, remediation.slot_at is not None
        if wait := self.read_limit.admit(remediation.instance.subscription_id, has_turn):
            return SlotAhead(attempt, wait)
        result = read_instance(self.arm, remediation)
        if isinstance(result, TransientFailure):
            return SyncResponse(attempt, result, self._moment(remediation))
        before = _state_before(result, is_repeat)
        if first_read.makes_sync_useless(remediation, result, self.policy.error_codes.class_of):
            return NoSync(attempt, result, before, self.now())
        return self._sync(remediation, before, has_turn=False)

    def _sync(self, remediation: Remediation, before: InstanceRead | None, has_turn: bool) -> SubmitResult:
        attempt = remediation.attempt
        if wait := self.write_limit.admit(remediation.instance.subscription_id, has_turn):
            return SlotAhead(attempt.number, wait, before)
        result = self.arm.sync(remediation.instance, attempt.sync_type, remediation.request_id)
        return SyncResponse(attempt.number, result, self._moment(remediation), before)

    def _moment(self, remediation: Remediation) -> Moment:
        now, class_of = self.now(), self.policy.error_codes.class_of
        return Moment(now, self.random(), self.policy.retry_in(remediation, now), class_of=class_of)

    def _record(self, stored: Stored, submitted: SubmitResult) -> Remediation | None:
        """Store the result, even if the row changed during the call: what ARM has answered is still true.

        Returns:
            The remediation as it is stored now; None if it has gone on without this result.
        """
        reload = partial(self.store.load, stored.remediation.id)
        try:
            return self._record_on(stored, submitted)
        except WriteConflict:
            return retry_on_conflict(lambda: self._record_on(reload(), submitted))

    def _record_on(self, current: Stored | None, submitted: SubmitResult) -> Remediation | None:
        after = state_machine.on_submit(current.remediation, submitted) if current else None
        return self.recorder.save(current, after) if current and after else None


def _state_before(result: InstanceResult, is_repeat: bool) -> InstanceRead | None:
    """How the instance was before any sync call; None where one that left no record may have healed it."""
    if not isinstance(result, InstanceRead):
        return None
    return None if is_repeat and result.protection_state == VALID else result
