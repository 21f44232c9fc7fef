r"""The state machine: each function takes a remediation and returns it as it stands after one event. Pure.

    Queued -> Running -> Verifying -> Healed | Unhealthy
       \         \----------------> Failed       (each after the last attempt)
        \--> Rejected            any --> TimedOut, Cancelled

Between two attempts it is WaitingToRetry. Results of calls to Azure, the time, and what the policy grants are
passed in. Storing the outcome, with the compare-and-swap that makes it count, is the room `healing`'s work.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from shared.domain import arm_results
from shared.domain.arm_results import ArmError, new_error
from shared.domain.remediation import Attempt, Remediation, Status, Transition, new_id
from shared.domain.signal import Signal, SyncType

JOB_TIMEOUT = timedelta(seconds=60)
"""How long a sync job may stay unanswered before it is taken for lost."""
DEFAULT_POLL_INTERVAL = timedelta(seconds=15)
"""Between two polls when ARM names no `Retry-After`."""
_CLOCK_TOLERANCE = timedelta(seconds=1)
"""Queue Storage counts its delays in whole seconds, by a clock of its own."""
_MIN_BACK_OFF = timedelta(seconds=5)
_MAX_BACK_OFF = timedelta(minutes=5)
_VALID = "ProtectionConfigured"
_CHANGING = frozenset({"UpdatingProtection", "ConfiguringProtection"})
_INTENDED = frozenset(
    {"ProtectionStopped", "BackupSchedulesSuspended", "RetentionSchedulesSuspended", "SoftDeleting", "SoftDeleted"}
)
"""Somebody wants the instance as it is; no sync changes that, nor should it."""
_PERMANENT = frozenset({400, 404, 405, 422})
"""Refusals that the same call will meet again. Of the others, 401 and 403 pass once a new role assignment acts."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a result came, and how to go on from it."""

    now: datetime
    jitter: float
    """0 to 1: spreads back-offs, so that hosts do not march in step."""
    retry_in: timedelta | None
    """How long to wait for the next attempt, should this one fail; None if it is the last."""


@dataclass(frozen=True, slots=True)
class SyncResponse:
    """The sync call was made: what came of it, and when."""

    attempt: int
    result: arm_results.SyncResult
    at: Moment


@dataclass(frozen=True, slots=True)
class SlotAhead:
    """The subscription's write limit has no slot for the sync call before then."""

    attempt: int
    slot_at: datetime


@dataclass(frozen=True, slots=True)
class Expired:
    """The attempt has lasted longer than the operation time-out."""

    attempt: int
    timeout: timedelta
    now: datetime


SubmitResult = SyncResponse | SlotAhead | Expired
"""The result of carrying out the sync job of one attempt, which is given by its number."""


def open_remediation(signal: Signal, sync_type: SyncType, now: datetime) -> Remediation:
    """The remediation that an accepted signal begins.

    Its first sync job is to be queued; where the signal has a sweep slot, invisible until then.
    """
    begins = max(now, signal.not_before or now)
    return Remediation(
        id=new_id(signal.instance, now),
        instance=signal.instance,
        status=Status.QUEUED,
        source=signal.source,
        reason=signal.reason,
        client_request_id=signal.client_request_id,
        signals=1,
        opened_at=now,
        due_at=begins + JOB_TIMEOUT,
        attempts=(Attempt(number=1, sync_type=sync_type, queued_at=begins),),
        history=(Transition(at=now, before=None, after=Status.QUEUED, reason=signal.reason),),
    )


def count_signal(remediation: Remediation) -> Remediation:
    """One more signal for an instance that is being healed: counted, nothing else."""
    return replace(remediation, signals=remediation.signals + 1)


def job_delay(remediation: Remediation, now: datetime) -> timedelta:
    """How long the sync job of a queued remediation is to stay invisible in the queue."""
    due_at = remediation.due_at or now
    return max(due_at - JOB_TIMEOUT - now, timedelta())


def is_too_early(remediation: Remediation, now: datetime) -> bool:
    """Whether a sync job came before its time: then it repeats one that still waits in the queue."""
    return job_delay(remediation, now) > _CLOCK_TOLERANCE


def waits_for_sweep_slot(remediation: Remediation, now: datetime) -> bool:
    """Whether nothing but its sweep slot keeps its first sync job back: no rate-limit slot taken, no call made."""
    is_fresh = remediation.status is Status.QUEUED and remediation.slot_at is None and not remediation.deferrals
    return is_fresh and is_too_early(remediation, now)


def expedite(remediation: Remediation, now: datetime) -> Remediation:
    """Begin at once instead of at the sweep slot; its sync job is to be queued again."""
    return replace(_change_attempt(remediation, queued_at=now), due_at=now + JOB_TIMEOUT)


def resume(opening: Remediation, now: datetime) -> Remediation:
    """Begin now what a host opened and died before it was stored, unless its sweep slot lies ahead."""
    return opening if opening.attempt.queued_at > now else expedite(opening, now)


def expects_job(remediation: Remediation, attempt: int) -> bool:
    """Whether a sync job for this attempt is still to be carried out; if not, the job is stale or a repeat."""
    return remediation.status is Status.QUEUED and remediation.attempt.number == attempt


def start_next_attempt(remediation: Remediation, sync_type: SyncType, now: datetime) -> Remediation:
    """The next attempt begins; its sync job is to be queued."""
    attempt = Attempt(number=remediation.attempt.number + 1, sync_type=sync_type, queued_at=now)
    begun = replace(remediation, attempts=(*remediation.attempts, attempt))
    return _move(begun, Status.QUEUED, now, f"attempt {attempt.number}", due_at=now + JOB_TIMEOUT)


def job_lost(remediation: Remediation, now: datetime) -> Remediation:
    """Nobody answered for the sync job in time: perhaps the call was made, so the instance is asked."""
    return _move(remediation, Status.VERIFYING, now, "no word of the sync job: asking the instance", due_at=now)


def requeue(remediation: Remediation, now: datetime) -> Remediation:
    """The sync job was put into the queue once more, because nobody answered for it in time."""
    # A slot that it had is long past: others have taken the rate limit since.
    return replace(remediation, slot_at=None, due_at=now + JOB_TIMEOUT)


def wait_for_write_slot(remediation: Remediation, slot_at: datetime) -> Remediation:
    """The write limit has no slot before then: the job goes back to the queue until its slot."""
    return replace(remediation, slot_at=slot_at, due_at=slot_at + JOB_TIMEOUT)


def wait_for_read_slot(remediation: Remediation, slot_at: datetime) -> Remediation:
    """The read limit has no slot before then: it is polled again when it has."""
    return replace(remediation, slot_at=slot_at, due_at=slot_at)


def on_submit(remediation: Remediation, submitted: SubmitResult) -> Remediation | None:
    """A sync job was carried out.

    Returns:
        None where the remediation has gone on meanwhile, so that the result says nothing about it any more.
    """
    if not _accepts_submit_result(remediation, submitted.attempt):
        return None
    match submitted:
        case SyncResponse(_, result, at):
            return on_sync_response(remediation, result, at)
        case SlotAhead(_, slot_at):
            return wait_for_write_slot(remediation, slot_at) if remediation.status is Status.QUEUED else None
        case Expired(_, timeout, now):
            return time_out_if_expired(remediation, timeout, now)


def on_sync_response(remediation: Remediation, result: arm_results.SyncResult, at: Moment) -> Remediation:
    """ARM answered the sync call."""
    now = at.now
    match result:
        case arm_results.SyncAccepted(urls, retry_after):
            accepted = _change_attempt(
                remediation,
                submitted_at=now,
                operation_status_url=urls.status_url,
                operation_result_url=urls.result_url,
            )
            return _move(accepted, Status.RUNNING, now, "sync accepted", due_at=now + _poll_interval(retry_after))
        case arm_results.SyncDone():
            done = _change_attempt(remediation, submitted_at=now, ended_at=now)
            return _move(done, Status.VERIFYING, now, "sync done at once", due_at=now)
        case arm_results.Refused(status, error):
            refused = _change_attempt(remediation, submitted_at=now, ended_at=now, error=error)
            reason = f"ARM refused the sync call with {status}"
            if status in _PERMANENT:
                return _end(refused, Status.REJECTED, now, reason, error)
            return _retry_or_end(refused, Status.REJECTED, at, reason, error)
        case arm_results.SyncConflict(error, retry_after):
            reason = "another operation runs on the instance: asking the instance"
            delay = _delay(retry_after, remediation.deferrals, at.jitter)
            conflicting = _move(remediation, Status.VERIFYING, now, reason, due_at=now + delay)
            return replace(conflicting, deferrals=remediation.deferrals + 1, error=error)
        case arm_results.TransientFailure():
            # The job goes back to the queue with the delay; the due entry steps in only if the job gets lost.
            return _ask_again(remediation, result, at, job_timeout=JOB_TIMEOUT)


def on_operation_status(remediation: Remediation, result: arm_results.OperationResult, at: Moment) -> Remediation:
    """ARM answered a poll of the running operation."""
    now = at.now
    match result:
        case arm_results.OperationRunning(status, retry_after):
            running = _change_attempt(remediation, operation_status=status)
            return replace(running, due_at=now + _poll_interval(retry_after), slot_at=None, deferrals=0)
        case arm_results.OperationSucceeded(job_id):
            succeeded = _change_attempt(remediation, operation_status="Succeeded", job_id=job_id, ended_at=now)
            return _move(succeeded, Status.VERIFYING, now, "operation succeeded", due_at=now)
        case arm_results.OperationFailed(status, error, job_id):
            failed = _change_attempt(remediation, operation_status=status, job_id=job_id, ended_at=now, error=error)
            return _retry_or_end(failed, Status.FAILED, at, f"operation {status}", error)
        case arm_results.OperationUnknown():
            ended = _change_attempt(remediation, ended_at=now)
            reason = "ARM does not know the operation: asking the instance"
            return _move(ended, Status.VERIFYING, now, reason, due_at=now)
        case arm_results.TransientFailure():
            return _ask_again(remediation, result, at)


def on_instance_read(remediation: Remediation, result: arm_results.InstanceResult, at: Moment) -> Remediation:
    """ARM answered a read of the instance, the only proof of a heal."""
    now = at.now
    match result:
        case arm_results.InstanceRead(state, _) if state in _CHANGING:
            return replace(remediation, protection_state=state, due_at=now + DEFAULT_POLL_INTERVAL, slot_at=None)
        case arm_results.InstanceRead(state, error):
            read = replace(remediation, protection_state=state)
            if state == _VALID:
                return _end(read, Status.HEALED, now, f"the instance is {state}", None)
            if remediation.attempt.submitted_at is None:
                # The other operation is over and was not the heal: the attempt itself is still to be made.
                queued = _move(read, Status.QUEUED, now, f"the instance is {state}", due_at=now + JOB_TIMEOUT)
                return replace(queued, deferrals=remediation.deferrals)
            if state in _INTENDED:
                return _end(read, Status.UNHEALTHY, now, f"the instance is {state}, as somebody intends", error)
            return _retry_or_end(read, Status.UNHEALTHY, at, f"the instance is {state} after the sync", error)
        case arm_results.Refused(status, error):
            return _end(remediation, Status.REJECTED, now, f"ARM refused to show the instance with {status}", error)
        case arm_results.TransientFailure():
            return _ask_again(remediation, result, at)


def time_out_if_expired(remediation: Remediation, timeout: timedelta, now: datetime) -> Remediation | None:
    """The timed-out remediation when its attempt has lasted too long, None when it may go on."""
    is_waiting = remediation.status.is_terminal or remediation.status is Status.WAITING_TO_RETRY
    if is_waiting or now - remediation.attempt.queued_at < timeout:
        return None
    error = new_error("OperationTimedOut", f"no end after {timeout}; last seen {remediation.status}")
    ended = _change_attempt(remediation, ended_at=now, error=error)
    return _end(ended, Status.TIMED_OUT, now, error["message"], remediation.error or error)


def cancel(remediation: Remediation, reason: str, now: datetime) -> Remediation:
    """An operator ends it; an operation that runs goes on in Azure, unwatched."""
    ended = _change_attempt(remediation, ended_at=remediation.attempt.ended_at or now)
    return _end(ended, Status.CANCELLED, now, reason, remediation.error)


def on_poison_message(remediation: Remediation, message: str, now: datetime) -> Remediation:
    """The sync job failed so often that the queue gave up on it; its text is kept as evidence."""
    error = new_error("PoisonMessage", f"the sync job was given up by the queue: {message}")
    ended = _change_attempt(remediation, ended_at=now, error=error)
    return _end(ended, Status.FAILED, now, "the sync job was given up by the queue", error)


def on_published(remediation: Remediation, now: datetime) -> Remediation:
    """The outcome was delivered; nothing is left to do."""
    return replace(remediation, published_at=now, due_at=None)


def on_publish_failed(remediation: Remediation, now: datetime, jitter: float) -> Remediation:
    """The outcome could not be delivered; try again after a back-off."""
    delay = _back_off(remediation.deferrals, jitter)
    return replace(remediation, due_at=now + delay, deferrals=remediation.deferrals + 1)


def skip_announcement(remediation: Remediation) -> Remediation:
    """Without a topic nothing is left to do once it has ended."""
    return replace(remediation, due_at=None) if remediation.status.is_terminal else remediation


def _accepts_submit_result(remediation: Remediation, attempt: int) -> bool:
    """Whether the result of this attempt's job is not on record yet, though another host may know that it was lost."""
    is_unrecorded = remediation.status is Status.VERIFYING and remediation.attempt.submitted_at is None
    return remediation.attempt.number == attempt and (remediation.status is Status.QUEUED or is_unrecorded)


def _change_attempt(remediation: Remediation, **changes: Any) -> Remediation:
    return replace(remediation, attempts=(*remediation.attempts[:-1], replace(remediation.attempt, **changes)))


def _move(remediation: Remediation, status: Status, now: datetime, reason: str, due_at: datetime) -> Remediation:
    step = Transition(at=now, before=remediation.status, after=status, reason=reason)
    history = (*remediation.history, step)
    return replace(remediation, status=status, due_at=due_at, history=history, slot_at=None, deferrals=0, error=None)


def _retry_or_end(
    remediation: Remediation, status: Status, at: Moment, reason: str, error: ArmError | None
) -> Remediation:
    """The attempt has failed: wait for the next one, or end with this status if it was the last."""
    if at.retry_in is None:
        return _end(remediation, status, at.now, reason, error)
    reason = f"{reason}; next attempt in {at.retry_in}"
    waiting = _move(remediation, Status.WAITING_TO_RETRY, at.now, reason, due_at=at.now + at.retry_in)
    return replace(waiting, error=error)


def _end(remediation: Remediation, status: Status, now: datetime, reason: str, error: ArmError | None) -> Remediation:
    return replace(_move(remediation, status, now, reason, due_at=now), error=error, ended_at=now)


def _ask_again(
    remediation: Remediation, failure: arm_results.TransientFailure, at: Moment, job_timeout: timedelta = timedelta()
) -> Remediation:
    """No verdict: ask again when ARM said so, else after a back-off."""
    delay = _delay(failure.retry_after, remediation.deferrals, at.jitter)
    return replace(
        remediation,
        due_at=at.now + delay + job_timeout,
        slot_at=None,
        deferrals=remediation.deferrals + 1,
        error=failure.error,
    )


def _poll_interval(retry_after: float | None) -> timedelta:
    return DEFAULT_POLL_INTERVAL if retry_after is None else timedelta(seconds=retry_after)


def _delay(retry_after: float | None, deferrals: int, jitter: float) -> timedelta:
    """As long as ARM asked for, but ever longer when it keeps asking: `Retry-After: 0` must not spin."""
    if retry_after is None:
        return _back_off(deferrals, jitter)
    at_least = timedelta(seconds=(1 << min(deferrals, 10)) - 1)
    return max(_poll_interval(retry_after), min(at_least, _MAX_BACK_OFF))


def _back_off(deferrals: int, jitter: float) -> timedelta:
    """Doubles with each deferral in a row."""
    doubled: timedelta = _MIN_BACK_OFF * (1 << min(deferrals, 10))
    return min(doubled, _MAX_BACK_OFF) * (0.5 + jitter / 2)
