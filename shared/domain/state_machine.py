"""The state machine: how a remediation moves on. Pure; frozen data in, frozen data out.

    Queued -> Running -> Verifying -> Healed | Unhealthy
       \\         \\----------------> Failed       (each after the last attempt)
        \\--> Rejected            any --> TimedOut, Cancelled

Between two attempts it is WaitingToRetry. What Azure answered, what time it is and what the policy grants
are passed in. Storing the result, with the compare-and-swap that makes it count, is the healer's work.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain import arm_results
from shared.domain.arm_results import ArmError, new_error
from shared.domain.remediation import Attempt, Remediation, Status, Transition, new_id
from shared.domain.signal import Signal, SyncType

JOB_TIMEOUT = timedelta(seconds=60)
"""How long a sync job may stay unanswered before it is taken for lost."""
DEFAULT_POLL_INTERVAL = timedelta(seconds=15)
"""Between two looks when ARM names no `Retry-After`."""
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


def open_remediation(signal: Signal, sync_type: SyncType, now: datetime) -> Remediation:
    """The remediation that an accepted signal begins; its first sync job is to be queued, until its turn has come."""
    begins = max(now, signal.not_before or now)
    return Remediation(
        id=new_id(signal.instance, now),
        instance=signal.instance,
        status=Status.QUEUED,
        source=signal.source,
        reason=signal.reason,
        signals=1,
        opened_at=now,
        due_at=begins + JOB_TIMEOUT,
        attempts=(Attempt(1, sync_type, queued_at=begins),),
        history=(Transition(now, None, Status.QUEUED, signal.reason),),
        client_request_id=signal.client_request_id,
    )


def count_signal(remediation: Remediation) -> Remediation:
    """One more signal for an instance that is being healed: counted, nothing else."""
    return replace(remediation, signals=remediation.signals + 1)


def waits_for_sweep_slot(remediation: Remediation, now: datetime) -> bool:
    """Whether nothing but its turn keeps its first sync job back: no slot is taken, no call was made."""
    is_fresh = remediation.status is Status.QUEUED and remediation.slot_at is None and not remediation.deferrals
    return is_fresh and is_too_early(remediation, now)


def expedite(remediation: Remediation, now: datetime) -> Remediation:
    """What waits for its turn begins at once; its sync job is to be queued again."""
    return replace(_attempt(remediation, queued_at=now), due_at=now + JOB_TIMEOUT)


def expects_job(remediation: Remediation, attempt: int) -> bool:
    """Whether a sync job for this attempt is still to be carried out; if not, the job is stale or a repeat."""
    return remediation.status is Status.QUEUED and remediation.attempt.number == attempt


def accepts_sync_response(remediation: Remediation, attempt: int) -> bool:
    """Whether Azure's answer to the sync call of this attempt is still news: it is not on record yet."""
    unrecorded = remediation.status is Status.VERIFYING and remediation.attempt.submitted_at is None
    return remediation.attempt.number == attempt and (remediation.status is Status.QUEUED or unrecorded)


def resume(opening: Remediation, now: datetime) -> Remediation:
    """What its opener has left unwritten begins now, unless its turn lies ahead; its sync job is to be queued."""
    return opening if opening.attempt.queued_at > now else expedite(opening, now)


def start_next_attempt(remediation: Remediation, sync_type: SyncType, now: datetime) -> Remediation:
    """The next attempt begins; its sync job is to be queued."""
    number = remediation.attempt.number + 1
    begun = replace(remediation, attempts=(*remediation.attempts, Attempt(number, sync_type, queued_at=now)))
    return _move(begun, Status.QUEUED, now, f"attempt {number}", due_at=now + JOB_TIMEOUT)


def job_lost(remediation: Remediation, now: datetime) -> Remediation:
    """Nobody answered for the sync job in time: perhaps the call was made, and the instance is well by now."""
    return _move(remediation, Status.VERIFYING, now, "no word of the sync job: asking the instance", due_at=now)


def requeue(remediation: Remediation, now: datetime) -> Remediation:
    """The sync job was put into the queue once more, because nobody answered for it in time."""
    # A slot that it had is long past: others have taken the budget since.
    return replace(remediation, slot_at=None, due_at=now + JOB_TIMEOUT)


def wait_for_write_slot(remediation: Remediation, slot_at: datetime) -> Remediation:
    """The subscription's write budget has no slot before then: the job goes back to the queue until its slot."""
    return replace(remediation, slot_at=slot_at, due_at=slot_at + JOB_TIMEOUT)


def wait_for_read_slot(remediation: Remediation, slot_at: datetime) -> Remediation:
    """The subscription's read budget has no slot before then: it is looked at again when it has."""
    return replace(remediation, slot_at=slot_at, due_at=slot_at)


def is_too_early(remediation: Remediation, now: datetime) -> bool:
    """Whether a job is a repeat of one that still waits in the queue."""
    return job_delay(remediation, now) > _CLOCK_TOLERANCE


def on_sync_response(
    remediation: Remediation, answer: arm_results.SyncResult, now: datetime, jitter: float, retry: timedelta | None
) -> Remediation:
    """What ARM said to the sync call.

    Args:
        jitter: 0 to 1; spreads the delay of what has to be asked again.
        retry: how long to wait for the next attempt, should this one fail; None if it is the last.
    """
    match answer:
        case arm_results.SyncAccepted(operation, retry_after):
            return _move(
                _attempt(remediation, submitted_at=now, operation=operation),
                Status.RUNNING,
                now,
                "sync accepted",
                due_at=now + _wait(retry_after),
            )
        case arm_results.SyncDone():
            done = _attempt(remediation, submitted_at=now, ended_at=now)
            return _move(done, Status.VERIFYING, now, "sync done at once", due_at=now)
        case arm_results.SyncRefused(status, error):
            refused = _attempt(remediation, submitted_at=now, ended_at=now, error=error)
            granted = None if status in _PERMANENT else retry
            return _fail(refused, Status.REJECTED, now, f"ARM refused the sync call with {status}", error, granted)
        case arm_results.SyncConflict(error, retry_after):
            delay = _delay(retry_after, remediation.deferrals, jitter)
            reason = "another operation runs on the instance: asking the instance"
            conflicting = _move(remediation, Status.VERIFYING, now, reason, due_at=now + delay)
            return replace(conflicting, deferrals=remediation.deferrals + 1, error=error)
        case arm_results.TransientFailure():
            # The job goes back to the queue with the delay; the due entry steps in only if the job gets lost.
            return _deferred(remediation, answer, now, jitter, patience=JOB_TIMEOUT)


def on_operation_status(
    remediation: Remediation, answer: arm_results.OperationResult, now: datetime, jitter: float, retry: timedelta | None
) -> Remediation:
    """What ARM said about the running operation; `jitter` and `retry` as for `sync_answered`."""
    match answer:
        case arm_results.OperationRunning(status, retry_after):
            running = _attempt(remediation, operation_status=status)
            return replace(running, due_at=now + _wait(retry_after), slot_at=None, deferrals=0)
        case arm_results.OperationSucceeded(job_id):
            ended = _attempt(remediation, operation_status="Succeeded", job_id=job_id, ended_at=now)
            return _move(ended, Status.VERIFYING, now, "operation succeeded", due_at=now)
        case arm_results.OperationFailed(status, error, job_id):
            failed = _attempt(remediation, operation_status=status, job_id=job_id, ended_at=now, error=error)
            return _fail(failed, Status.FAILED, now, f"operation {status}", error, retry)
        case arm_results.OperationUnknown():
            ended = _attempt(remediation, ended_at=now)
            return _move(
                ended,
                Status.VERIFYING,
                now,
                "ARM does not know the operation: asking the instance",
                due_at=now,
            )
        case arm_results.TransientFailure():
            return _deferred(remediation, answer, now, jitter)


def on_instance_read(
    remediation: Remediation, answer: arm_results.InstanceResult, now: datetime, jitter: float, retry: timedelta | None
) -> Remediation:
    """What the instance itself shows after the sync, the only proof of a heal; otherwise as `sync_answered`."""
    match answer:
        case arm_results.InstanceRead(state, _) if state in _CHANGING:
            return replace(remediation, protection_state=state, due_at=now + DEFAULT_POLL_INTERVAL, slot_at=None)
        case arm_results.InstanceRead(state, error):
            read = replace(remediation, protection_state=state)
            if state == _VALID:
                return _end(read, Status.HEALED, now, f"the instance is {state}", None)
            if remediation.attempt.submitted_at is None:
                # The other operation is over and was not the heal: the attempt itself is still to be made.
                again = _move(read, Status.QUEUED, now, f"the instance is {state}", due_at=now + JOB_TIMEOUT)
                return replace(again, deferrals=remediation.deferrals)
            if state in _INTENDED:
                return _end(read, Status.UNHEALTHY, now, f"the instance is {state}, as somebody intends", error)
            return _fail(read, Status.UNHEALTHY, now, f"the instance is {state} after the sync", error, retry)
        case arm_results.InstanceRefused(status, error):
            reason = f"ARM refused to show the instance with {status}"
            return _end(remediation, Status.REJECTED, now, reason, error)
        case arm_results.TransientFailure():
            return _deferred(remediation, answer, now, jitter)


def time_out_if_expired(remediation: Remediation, operation_timeout: timedelta, now: datetime) -> Remediation | None:
    """The timed-out remediation when its attempt has lasted too long, None when it may go on."""
    waits = remediation.status.is_terminal or remediation.status is Status.WAITING_TO_RETRY
    if waits or now - remediation.attempt.queued_at < operation_timeout:
        return None
    error = new_error("OperationTimedOut", f"no end after {operation_timeout}; last seen {remediation.status}")
    ended = _attempt(remediation, ended_at=now, error=error)
    return _end(ended, Status.TIMED_OUT, now, error["message"], remediation.error or error)


def cancel(remediation: Remediation, reason: str, now: datetime) -> Remediation:
    """An operator's word ends it; an operation that runs goes on in Azure, unwatched."""
    ended = _attempt(remediation, ended_at=remediation.attempt.ended_at or now)
    return _end(ended, Status.CANCELLED, now, reason, remediation.error)


def on_poison_message(remediation: Remediation, message: str, now: datetime) -> Remediation:
    """The sync job failed so often that the queue gave up on it; its text is kept as evidence."""
    error = new_error("PoisonMessage", f"the sync job was given up by the queue: {message}")
    ended = _attempt(remediation, ended_at=now, error=error)
    return _end(ended, Status.FAILED, now, "the sync job was given up by the queue", error)


def on_published(remediation: Remediation, now: datetime) -> Remediation:
    """The outcome was delivered; nothing is left to do."""
    return replace(remediation, published_at=now, due_at=None)


def on_publish_failed(remediation: Remediation, now: datetime, jitter: float) -> Remediation:
    """The outcome could not be delivered; try again after a back-off."""
    delay = _back_off(remediation.deferrals, jitter)
    return replace(remediation, due_at=now + delay, deferrals=remediation.deferrals + 1)


def close_unless_announced(remediation: Remediation, announce: bool) -> Remediation:
    """Once ended, nothing is left to do, unless the outcome is still to be announced."""
    if remediation.status.is_terminal and not announce:
        return replace(remediation, due_at=None)
    return remediation


def job_delay(remediation: Remediation, now: datetime) -> timedelta:
    """How long the sync job of a queued remediation is to stay invisible."""
    due_at = remediation.due_at or now
    return max(due_at - JOB_TIMEOUT - now, timedelta())


def _wait(retry_after: float | None) -> timedelta:
    return DEFAULT_POLL_INTERVAL if retry_after is None else timedelta(seconds=retry_after)


def _attempt(remediation: Remediation, **changes: Any) -> Remediation:
    attempts = (*remediation.attempts[:-1], replace(remediation.attempt, **changes))
    return replace(remediation, attempts=attempts)


def _move(remediation: Remediation, status: Status, now: datetime, reason: str, due_at: datetime) -> Remediation:
    history = (*remediation.history, Transition(now, remediation.status, status, reason))
    return replace(remediation, status=status, due_at=due_at, history=history, slot_at=None, deferrals=0, error=None)


def _fail(
    remediation: Remediation,
    at_last: Status,
    now: datetime,
    reason: str,
    error: ArmError | None,
    retry: timedelta | None,
) -> Remediation:
    """The attempt is lost: wait for the next one, or end with this status if it was the last."""
    if retry is None:
        return _end(remediation, at_last, now, reason, error)
    waiting = _move(remediation, Status.WAITING_TO_RETRY, now, f"{reason}; next attempt in {retry}", now + retry)
    return replace(waiting, error=error)


def _end(remediation: Remediation, status: Status, now: datetime, reason: str, error: ArmError | None) -> Remediation:
    ended = _move(remediation, status, now, reason, due_at=now)
    return replace(ended, error=error, ended_at=now)


def _deferred(
    remediation: Remediation,
    answer: arm_results.TransientFailure,
    now: datetime,
    jitter: float,
    patience: timedelta = timedelta(),
) -> Remediation:
    """Ask again: when ARM said so, else after a back-off."""
    delay = _delay(answer.retry_after, remediation.deferrals, jitter)
    return replace(
        remediation,
        due_at=now + delay + patience,
        slot_at=None,
        deferrals=remediation.deferrals + 1,
        error=answer.error,
    )


def _delay(retry_after: float | None, deferrals: int, jitter: float) -> timedelta:
    """As long as ARM asked for, but ever longer when it keeps asking: `Retry-After: 0` must not spin."""
    if retry_after is None:
        return _back_off(deferrals, jitter)
    at_least = timedelta(seconds=(1 << min(deferrals, 10)) - 1)
    return max(_wait(retry_after), min(at_least, _MAX_BACK_OFF))


def _back_off(deferrals: int, jitter: float) -> timedelta:
    """Doubles from time to time, and is spread so that hosts do not march in step."""
    doubled: timedelta = _MIN_BACK_OFF * (1 << min(deferrals, 10))
    return min(doubled, _MAX_BACK_OFF) * (0.5 + jitter / 2)
