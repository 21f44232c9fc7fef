r"""The state machine: each function takes a remediation and returns it as it stands after a result of Azure. Pure.

    Queued -> Running -> Verifying -> Healed | Unhealthy | WouldHeal
       \         \----------------> Failed       (each after the last attempt)
        \--> Rejected            any --> TimedOut, Cancelled

Between two attempts it is WaitingToRetry; `lifecycle` begins, repeats and cancels it. Results of calls to Azure, the
time, and what the policy grants are passed in. Storing the outcome, with the compare-and-swap that makes it count, is
the room `healing`'s work.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain import arm_results
from shared.domain.arm_results import ArmError, new_error
from shared.domain.attention import with_attention
from shared.domain.back_off import back_off, call_delay
from shared.domain.error_codes import NEEDING_PERSON, ErrorClass
from shared.domain.first_read import ClassOf, NoSync, end_without_sync, with_state_before
from shared.domain.protection_state import CHANGING, INTENDED, VALID
from shared.domain.remediation import Remediation, Status
from shared.domain.signal import SyncType
from shared.domain.steps import (
    NOT_FOUND,
    as_read,
    change_attempt,
    end,
    end_attempt,
    end_refused,
    move,
    retry_or_end,
)
from shared.domain.sync_jobs import await_job, wait_in_queue_for_slot
from shared.rate_limits.rate_limiter import Wait

DEFAULT_POLL_INTERVAL = timedelta(seconds=15)
"""Between two polls when ARM names no `Retry-After`."""
MAX_DEFERRALS = 60
"""Calls in a row without a verdict, after which ARM is asked no more: two days, as each back-off is up to an hour."""
_UNKNOWN_OPERATION_TIMEOUT = timedelta(minutes=15)
"""How long ARM may not know an operation that it has accepted: status URLs were seen to answer 404 for minutes."""
_MIN_DEFERRALS_BESIDE = 3
"""Polls in a row without a verdict, after which the instance is read beside the operation."""
_PERMANENT = frozenset({400, NOT_FOUND, 405, 422})
"""Refusals that the same call will meet again. Of the others, 401 and 403 pass once a new role assignment acts."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a result came, and how to go on from it."""

    now: datetime
    jitter: float
    """0 to 1: spreads back-offs, so that hosts do not march in step."""
    retry_in: timedelta | None
    """How long to wait for the next attempt, should this one fail; None if it is the last."""
    is_expired: bool = False
    """Whether the operation time-out has passed since ARM accepted the sync."""
    early_retry_in: timedelta | None = None
    """As `retry_in`, should it fail with an error that a sync alone may mend."""
    class_of: ClassOf = lambda _: None
    """How an error of an operation or an instance can be mended; None where nothing is known of it."""


@dataclass(frozen=True, slots=True)
class SyncResponse:
    """The sync call was made: what came of it, and when."""

    attempt: int
    result: arm_results.SyncResult
    at: Moment
    before: arm_results.InstanceRead | None = None
    """How the instance was just before, if it was read."""


@dataclass(frozen=True, slots=True)
class SlotAhead:
    """The subscription's limit has no slot for the sync call, or for the read before it."""

    attempt: int
    wait: Wait
    before: arm_results.InstanceRead | None = None
    """As in `SyncResponse`."""


SubmitResult = SyncResponse | SlotAhead | NoSync
"""The result of carrying out the sync job of one attempt, which is given by its number."""


def wait_for_slot(remediation: Remediation, wait: Wait) -> Remediation:
    """A limit has no slot for its call now: it is polled again when it may ask again."""
    return replace(remediation, slot_at=wait.turn, due_at=wait.until)


def on_submit(remediation: Remediation, submitted: SubmitResult) -> Remediation | None:
    """A sync job was carried out.

    Returns:
        None where the remediation has gone on meanwhile, so that the result says nothing about it any more.
    """
    if not _accepts_submit_result(remediation, submitted.attempt):
        return None
    remediation = with_state_before(remediation, submitted.before)
    match submitted:
        case NoSync():
            return end_without_sync(remediation, submitted)
        case SyncResponse(_, arm_results.SyncWithheld()) if remediation.status is not Status.QUEUED:
            return None
        case SyncResponse(_, result, at, before):
            # Where another host observes and was faster: a call that was made counts, one that was withheld does not.
            called = change_attempt(remediation, withheld_at=None, ended_at=None)
            moved = on_sync_response(called, result, at)
            # Nothing was done since the read just before, so it need not be repeated.
            if before and isinstance(result, arm_results.SyncWithheld):
                return on_instance_read(moved, before, at)
            return moved
        case SlotAhead(_, wait, _):
            return wait_in_queue_for_slot(remediation, wait) if remediation.status is Status.QUEUED else None


def on_sync_response(remediation: Remediation, result: arm_results.SyncResult, at: Moment) -> Remediation:
    """ARM answered the sync call."""
    now = at.now
    match result:
        case arm_results.SyncAccepted(urls, retry_after):
            accepted = change_attempt(
                remediation,
                submitted_at=now,
                operation_status_url=urls.status_url,
                operation_result_url=urls.result_url,
            )
            return move(accepted, Status.RUNNING, now, "sync accepted", due_at=now + _poll_interval(retry_after))
        case arm_results.SyncDone():
            done = end_attempt(remediation, now, submitted_at=now)
            return move(done, Status.VERIFYING, now, "sync done at once", due_at=now)
        case arm_results.Refused(406, error) if not _repeats(remediation, error):
            # Seen in place of another refusal, and gone at the next call.
            delay = call_delay(None, remediation.deferrals, at.jitter)
            return _defer(await_job(replace(remediation, slot_at=None), now + delay), error, at)
        case arm_results.Refused(status, error):
            refused = end_attempt(remediation, now, submitted_at=now, error=error)
            reason = f"ARM refused the sync call with {status}"
            if status in _PERMANENT:
                return end_refused(refused, status, now, reason, error)
            return _retry_or_end(refused, Status.REJECTED, at, at.retry_in, reason, error)
        case arm_results.SyncConflict(error, retry_after):
            reason = "another operation runs on the instance: asking the instance"
            delay = call_delay(retry_after, remediation.deferrals, at.jitter)
            conflicting = move(remediation, Status.VERIFYING, now, reason, due_at=now + delay)
            return _defer(replace(conflicting, deferrals=remediation.deferrals), error, at)
        case arm_results.TransientFailure(error, retry_after) if error["code"] == arm_results.NO_RESPONSE:
            # Perhaps the call was taken, and only its answer lost: then the instance shows it.
            reason = "no answer to the sync call: asking the instance"
            delay = call_delay(retry_after, remediation.deferrals, at.jitter)
            asking = move(remediation, Status.VERIFYING, now, reason, due_at=now + delay)
            return _defer(replace(asking, deferrals=remediation.deferrals), error, at)
        case arm_results.TransientFailure(error, retry_after):
            # The job goes back to the queue with the delay; the due entry steps in only if the job gets lost.
            delay = call_delay(retry_after, remediation.deferrals, at.jitter)
            return _defer(await_job(replace(remediation, slot_at=None), now + delay), error, at)
        case arm_results.SyncWithheld():
            withheld = end_attempt(remediation, now, withheld_at=now)
            reason = "sync withheld, the app observes: asking the instance"
            return move(withheld, Status.VERIFYING, now, reason, due_at=now)


def on_operation_status(remediation: Remediation, result: arm_results.OperationResult, at: Moment) -> Remediation:
    """ARM answered a poll of the running operation."""
    now = at.now
    match result:
        case arm_results.OperationRunning(status, retry_after):
            running = change_attempt(remediation, operation_status=status, polls=remediation.attempt.polls + 1)
            return replace(running, due_at=now + _poll_interval(retry_after), slot_at=None, deferrals=0)
        case arm_results.OperationSucceeded(job_id):
            succeeded = end_attempt(remediation, now, operation_status="Succeeded", job_id=job_id)
            return move(succeeded, Status.VERIFYING, now, "operation succeeded", due_at=now)
        case arm_results.OperationFailed(status, error, job_id):
            failed = end_attempt(remediation, now, operation_status=status, job_id=job_id, error=error)
            if at.class_of(error) is ErrorClass.JOB:
                failed = _with_failed_backup(failed)
                reason = f"operation {status}, with the error of a backup job: asking the instance"
                return move(failed, Status.VERIFYING, now, reason, due_at=now)
            return _after_failure(failed, Status.FAILED, at, f"operation {status}", error)
        case arm_results.OperationUnknown() if _may_become_known(remediation, at):
            delay = max(DEFAULT_POLL_INTERVAL, back_off(remediation.deferrals, at.jitter))
            unknown = replace(remediation, due_at=now + delay, slot_at=None)
            return replace(unknown, deferrals=remediation.deferrals + 1)
        case arm_results.OperationUnknown():
            reason = "ARM does not know the operation: asking the instance"
            return move(end_attempt(remediation, now), Status.VERIFYING, now, reason, due_at=now)
        case arm_results.TransientFailure():
            return _ask_again(remediation, result, at)


def _with_failed_backup(remediation: Remediation) -> Remediation:
    """A backup job has failed: should the instance be well, its recovery is to make up for that."""
    recovery = remediation.recovery
    return replace(remediation, recovery=replace(recovery, backup_failed=True)) if recovery else remediation


def is_followed_in_vain(remediation: Remediation) -> bool:
    """Whether the last polls of its operation had no verdict: then the instance is read first, which tells more."""
    return remediation.status is Status.RUNNING and remediation.deferrals >= _MIN_DEFERRALS_BESIDE


def needs_instance(polled: Remediation, result: arm_results.OperationResult, at: Moment) -> bool:
    """Whether the instance is to be read beside a running operation, because its status does not tell how it goes."""
    tells_nothing = isinstance(result, arm_results.OperationUnknown) or polled.deferrals >= _MIN_DEFERRALS_BESIDE
    return polled.status is Status.RUNNING and (tells_nothing or at.is_expired)


def asks_instance_instead(running: Remediation, is_expired: bool) -> bool:
    """Whether this poll is to read the instance, not the operation: every other one, where it was in error before.

    That it is well is the only proof of a heal, so the read that finds it so saves the polls that would lead to it.
    """
    was_in_error = running.protection_state_before not in (None, VALID)
    return was_in_error and not is_expired and running.attempt.polls % 2 == 1


def on_instance_read_instead(remediation: Remediation, result: arm_results.InstanceResult, at: Moment) -> Remediation:
    """ARM answered a read of the instance in place of a poll of its operation, which the next poll asks again."""
    polled = change_attempt(remediation, polls=remediation.attempt.polls + 1)
    waiting = replace(polled, due_at=at.now + DEFAULT_POLL_INTERVAL, slot_at=None)
    return on_instance_read_beside(waiting, result, at)


def on_instance_read_beside(remediation: Remediation, result: arm_results.InstanceResult, at: Moment) -> Remediation:
    """ARM answered a read of the instance while its operation cannot be followed, or takes longer than the time-out."""
    now = at.now
    match result:
        case arm_results.InstanceRead(state, error):
            read = as_read(remediation, result)
            if state == VALID:
                return end(end_attempt(read, now), Status.HEALED, now, f"the instance is {state}", None)
            return _time_out(read, error, now) if at.is_expired else read
        case arm_results.Refused(status, error):
            reason = f"ARM refused to show the instance with {status}"
            return end_refused(end_attempt(remediation, now), status, now, reason, error)
        case arm_results.TransientFailure():
            return remediation


def on_instance_read(remediation: Remediation, result: arm_results.InstanceResult, at: Moment) -> Remediation:
    """ARM answered a read of the instance, the only proof of a heal."""
    now = at.now
    match result:
        case arm_results.InstanceRead(state, error):
            read = as_read(remediation, result)
            if state in CHANGING:
                return _time_out(read, error, now) if at.is_expired else _watch_change(read, at)
            if read.attempt.withheld_at is not None:
                return _end_observed(read, error, at)
            if state == VALID:
                return end(read, Status.HEALED, now, f"the instance is {state}", None)
            if state in INTENDED:
                return end(read, Status.UNHEALTHY, now, f"the instance is {state}, as somebody intends", error)
            if remediation.attempt.submitted_at is None and at.class_of(error) is not ErrorClass.NEVER:
                # The other operation is over and was not the heal: the attempt itself is still to be made.
                known = with_state_before(read, result)
                queued = move(known, Status.QUEUED, now, f"the instance is {state}", due_at=now)
                return await_job(replace(queued, deferrals=remediation.deferrals), now)
            error = error or read.attempt.error
            failed = change_attempt(read, error=error)
            return _after_failure(failed, Status.UNHEALTHY, at, f"the instance is {state} after the sync", error)
        case arm_results.Refused(status, error):
            return end_refused(remediation, status, now, f"ARM refused to show the instance with {status}", error)
        case arm_results.TransientFailure():
            return _ask_again(remediation, result, at)


def is_expired(remediation: Remediation, timeout: timedelta, now: datetime) -> bool:
    """Whether ARM accepted the sync so long ago. Waiting for a slot, a turn or an answer of ARM does not count."""
    submitted_at = remediation.attempt.submitted_at
    is_polled = remediation.status in (Status.RUNNING, Status.VERIFYING)
    return is_polled and submitted_at is not None and now - submitted_at >= timeout


def _accepts_submit_result(remediation: Remediation, attempt: int) -> bool:
    """Whether the result of this attempt's job is not on record yet, though another host may know that it was lost."""
    is_unrecorded = remediation.status is Status.VERIFYING and remediation.attempt.submitted_at is None
    return remediation.attempt.number == attempt and (remediation.status is Status.QUEUED or is_unrecorded)


def _after_failure(
    remediation: Remediation, status: Status, at: Moment, reason: str, error: ArmError | None
) -> Remediation:
    """Operation or instance show that the attempt has failed: what follows depends on what the error's code says."""
    match at.class_of(error):
        case ErrorClass.NEVER:
            return end(remediation, Status.REJECTED, at.now, f"{reason}, with an error that no sync mends", error)
        case ErrorClass.JOB:
            return end(remediation, status, at.now, f"{reason}, with the error of a backup job", error)
        case ErrorClass.TRANSIENT:
            return _retry_or_end(remediation, status, at, at.early_retry_in, reason, error)
        case _:
            return _retry_or_end(remediation, status, at, at.retry_in, reason, error)


def _retry_or_end(
    remediation: Remediation,
    status: Status,
    at: Moment,
    retry_in: timedelta | None,
    reason: str,
    error: ArmError | None,
) -> Remediation:
    needs_person = at.class_of(error) in NEEDING_PERSON
    return retry_or_end(remediation, status, at.now, retry_in, reason, error, needs_person)


def _end_observed(read: Remediation, error: ArmError | None, at: Moment) -> Remediation:
    """The sync was withheld, and the instance read: end with the sync that would have been made, if it had any use."""
    now = at.now
    seen, sync_type = f"the instance is {read.protection_state}", read.attempt.sync_type
    if read.protection_state == VALID and sync_type is SyncType.DEFAULT:
        return end(read, Status.HEALED, now, f"{seen}: nothing to heal", None)
    ended = end(read, Status.WOULD_HEAL, now, f"{seen}: a {sync_type} sync would have been made", error)
    needs_person = read.protection_state not in INTENDED and at.class_of(error) in NEEDING_PERSON
    return with_attention(ended, now, seen) if needs_person else ended


def _time_out(remediation: Remediation, error: ArmError | None, now: datetime) -> Remediation:
    """The operation has lasted longer than the time-out, and the instance, which was asked, is not healed."""
    seen = f"the instance is {remediation.protection_state}"
    reason = f"no end within the operation time-out; last seen {remediation.status}, {seen}"
    timed_out = new_error("OperationTimedOut", reason)
    ended = end_attempt(remediation, now, error=timed_out)
    return end(ended, Status.TIMED_OUT, now, reason, error or remediation.error or timed_out)


def _watch_change(read: Remediation, at: Moment) -> Remediation:
    """The instance is in the middle of a change: read it again."""
    if read.attempt.submitted_at is not None:
        return replace(read, due_at=at.now + DEFAULT_POLL_INTERVAL, slot_at=None)
    # No operation time-out ends this wait for another's change: so it is a deferral like others.
    error = new_error("InstanceChanging", f"the instance is {read.protection_state}")
    delay = max(DEFAULT_POLL_INTERVAL, back_off(read.deferrals, at.jitter))
    return _defer(replace(read, due_at=at.now + delay, slot_at=None), error, at)


def _may_become_known(remediation: Remediation, at: Moment) -> bool:
    """Whether ARM accepted the operation so lately that its record may not be there yet."""
    submitted_at = remediation.attempt.submitted_at or at.now
    return at.now - submitted_at < _UNKNOWN_OPERATION_TIMEOUT and not at.is_expired


def _ask_again(remediation: Remediation, failure: arm_results.TransientFailure, at: Moment) -> Remediation:
    """No verdict: ask again when ARM said so, else after a back-off."""
    delay = call_delay(failure.retry_after, remediation.deferrals, at.jitter)
    return _defer(replace(remediation, due_at=at.now + delay, slot_at=None), failure.error, at)


def _defer(remediation: Remediation, error: ArmError, at: Moment) -> Remediation:
    """One more call in a row had no verdict; after too many of them it is over."""
    deferred = replace(remediation, deferrals=remediation.deferrals + 1, error=error)
    if deferred.deferrals < MAX_DEFERRALS:
        return deferred
    reason = f"no verdict of ARM in {deferred.deferrals} calls"
    return end(end_attempt(deferred, at.now, error=error), Status.TIMED_OUT, at.now, reason, error)


def _repeats(remediation: Remediation, error: ArmError) -> bool:
    """Whether the call before this one had the same error."""
    return remediation.deferrals > 0 and (remediation.error or {}).get("code") == error["code"]


def _poll_interval(retry_after: float | None) -> timedelta:
    return DEFAULT_POLL_INTERVAL if retry_after is None else timedelta(seconds=retry_after)
