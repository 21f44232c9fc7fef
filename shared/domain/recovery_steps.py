r"""How a recovery moves on: each function takes a remediation that is `Recovering` and a result. Pure.

    Recovering --(a recovery point newer than the failure)--> Recovered
              \--(deadline, instance gone)-----------------> NotRecovered

It is announced like the end of a heal, but as an outcome of its own (`announcements.on_published`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from shared.domain.arm_results import (
    ArmError,
    OperationFailed,
    OperationResult,
    OperationRunning,
    OperationSucceeded,
    OperationUnknown,
    Refused,
    SyncConflict,
    TransientFailure,
)
from shared.domain.attention import without_attention
from shared.domain.back_off import call_delay
from shared.domain.backup_results import (
    BackupAccepted,
    BackupResult,
    JobRead,
    JobResult,
    PointsRead,
    PointsResult,
    RecoveryPoint,
    Schedule,
    ScheduleResult,
)
from shared.domain.protection_state import INTENDED
from shared.domain.recovery import BackupRun, Recovery
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.remediation import Remediation, Status
from shared.domain.state_machine import DEFAULT_POLL_INTERVAL, MAX_DEFERRALS
from shared.domain.steps import NOT_FOUND, end_recovery

DEFAULT_TIMEOUT = timedelta(hours=48)
"""Where neither the setting nor the policy says how long a recovery point is waited for."""
_MIN_WATCH_INTERVAL = timedelta(minutes=5)
_MAX_WATCH_INTERVAL = timedelta(hours=1)
_MIN_JOB_INTERVAL = timedelta(seconds=15)
_MAX_JOB_INTERVAL = timedelta(minutes=5)
_BUSY_WAIT = timedelta(minutes=30)
"""Before a backup is asked for again that others kept from being made."""
_UNKNOWN_OPERATION_TIMEOUT = timedelta(minutes=15)
"""As long ARM may not know the operation or the job that it has accepted."""
_UNANSWERED_TIMEOUT = timedelta(minutes=30)
"""So long a call for a backup that had no answer counts as made: where its job still runs after that, Azure says so."""
_MAX_UNANSWERED = 2
"""Calls for a backup: where each is lost on its way back, each may be a backup, and the schedule makes one, too."""
_MAX_BACKUP_DEFERRALS = 10
"""Calls in a row without a verdict on a backup, about an hour, after which the recovery points are looked at."""
_MAX_AHEAD = timedelta(hours=1)
"""A recovery point of a time so far ahead proves nothing: its clock is wrong, or what wrote it."""
_UNANSWERED = "Unanswered"
_BUSY = "maxconcurrentoperationlimitreached"
"""In the code of the error where too many backups run: this one was not made, and can be later."""
_DAILY_LIMIT = "backuprequestthrottled"
"""In the code of the error where the instance had all backups on demand of the day, whatever the status."""
_COMPLETED = ("completed", "completedwithwarnings")
_RUNNING = ("inprogress", "waiting", "cancelling", "pending", "queued")


@dataclass(frozen=True, slots=True)
class RecoveryMoment:
    """When a result came."""

    now: datetime
    jitter: float
    """0 to 1: spreads back-offs."""


def recovery_of(remediation: Remediation) -> Recovery:
    """Its recovery.

    Raises:
        ValueError: it has none.
    """
    if remediation.recovery is None:
        raise ValueError(f"remediation {remediation.id} has no recovery")
    return remediation.recovery


def needs_schedule(recovery: Recovery) -> bool:
    """Whether the instance's policy is still to be read."""
    return recovery.deadline is None


def needs_backup(recovery: Recovery, now: datetime) -> bool:
    """Whether a backup on demand is to be made: nothing else made a recovery point, and one is overdue or failed."""
    if recovery.mode is not RecoveryMode.BACKUP or recovery.backup or not recovery.rule or not recovery.looked_at:
        return False
    if recovery.deadline is not None and now >= recovery.deadline:
        return False
    is_overdue = recovery.interval_seconds is not None and (
        recovery.point_before is None or now - recovery.point_before > timedelta(seconds=recovery.interval_seconds)
    )
    return recovery.backup_failed or is_overdue


def follows_backup(recovery: Recovery) -> BackupRun | None:
    """The backup whose operation or job still runs."""
    return recovery.backup if recovery.backup and recovery.backup.ended_at is None else None


def is_unanswered(run: BackupRun) -> bool:
    """Whether it is not known that the call was taken: only a recovery point can tell."""
    return run.status == _UNANSWERED


def has_begun_backup(before: Remediation, after: Remediation) -> bool:
    """Whether a call for a backup, which must not be made again, is news in this step."""
    known = before.recovery.backup if before.recovery else None
    return known is None and after.recovery is not None and after.recovery.backup is not None


def needs_proof(recovery: Recovery, hint: datetime | None, now: datetime) -> bool:
    """Whether the recovery points themselves are to be read.

    Args:
        hint: the newest recovery point as Resource Graph knows it, which is some minutes old; None if it does not say.
    """
    is_first, is_last = recovery.looked_at is None, recovery.deadline is None or now >= recovery.deadline
    has_backup = recovery.backup is not None and recovery.backup.status.lower() in _COMPLETED
    return is_first or is_last or has_backup or hint is None or hint > recovery.failed_at


def on_schedule(
    remediation: Remediation, result: ScheduleResult, timeout: timedelta | None, at: RecoveryMoment
) -> Remediation:
    """The instance's policy was read.

    Args:
        timeout: the setting `RECOVERY_TIMEOUT`.
    """
    match result:
        case Schedule(rule, tag, interval, is_continuous):
            wait = timeout or (2 * interval if interval else DEFAULT_TIMEOUT)
            facts = _change(
                remediation,
                deadline=(remediation.ended_at or at.now) + wait,
                interval_seconds=interval.total_seconds() if interval else None,
                rule=rule,
                retention_tag=tag,
                is_continuous=is_continuous,
            )
            return replace(facts, due_at=at.now, slot_at=None, deferrals=0, error=None)
        case Refused(status, error):
            return _refused(remediation, "instance's policy", status, error, at.now)
        case TransientFailure():
            return _ask_again(remediation, result, at)


def on_points(remediation: Remediation, result: PointsResult, at: RecoveryMoment) -> Remediation:
    """The recovery points were read: the only proof of a recovery."""
    recovery, now = recovery_of(remediation), at.now
    match result:
        case PointsRead(points):
            older = [point for point in points if point.time <= recovery.failed_at]
            newer = [point for point in points if recovery.failed_at < point.time <= now + _MAX_AHEAD]
            known = recovery.point_before
            before = max((point.time for point in older), default=known)
            looked = _change(remediation, point_before=before, looked_at=now)
            if looked.latest_recovery_point_before is None:
                looked = replace(looked, latest_recovery_point_before=before)
            if newer:
                return _recovered(looked, max(newer, key=lambda point: point.time), now)
            if recovery.deadline is not None and now >= recovery.deadline:
                error = recovery.backup.error if recovery.backup else None
                return _give_up(looked, "no recovery point newer than the failure", error, now)
            run = follows_backup(recovery)
            if run is not None and now - run.requested_at < _UNANSWERED_TIMEOUT:
                return _follow(looked, run, now + _job_wait(run, now))
            looked = _without_answer(looked, run, now) if run else looked
            # With the points known, it may be time for a backup at once.
            due_at = now if needs_backup(recovery_of(looked), now) else _next_look(remediation, now)
            return replace(looked, due_at=due_at, slot_at=None, deferrals=0, error=None)
        case Refused(status, error):
            return _refused(remediation, "recovery points", status, error, now)
        case TransientFailure():
            return _ask_again(remediation, result, at)


def as_intended(ended: Remediation, state: str) -> Remediation:
    """It did not recover, and its instance is in this state: if somebody intends that, nobody is needed."""
    return replace(without_attention(ended), protection_state=state) if state in INTENDED else ended


def keep_watching(remediation: Remediation, now: datetime) -> Remediation:
    """Nothing new: look again, ever later."""
    return replace(remediation, due_at=_next_look(remediation, now), slot_at=None, deferrals=0)


def on_lost_backup(remediation: Remediation, called_at: datetime, now: datetime) -> Remediation:
    """The call for a backup may have been made, and a crash have kept it off the record: its point would show it."""
    return _follow(remediation, BackupRun(requested_at=called_at, status=_UNANSWERED), now + _MIN_JOB_INTERVAL)


def on_backup(remediation: Remediation, result: BackupResult, at: RecoveryMoment) -> Remediation:
    """The call for a backup on demand was answered."""
    now = at.now
    match result:
        case BackupAccepted(urls, retry_after):
            run = BackupRun(
                requested_at=now,
                status="Accepted",
                operation_status_url=urls.status_url,
                operation_result_url=urls.result_url,
            )
            return _follow(remediation, run, now + _interval(retry_after))
        case Refused(_, error):
            return _end_backup(remediation, BackupRun(requested_at=now, status="Refused"), "Refused", error, now)
        case SyncConflict(error, _):
            return _call_later(remediation, error, now + _BUSY_WAIT)
        case TransientFailure(error) if _DAILY_LIMIT in str(error.get("code")).lower():
            return _end_backup(remediation, BackupRun(requested_at=now, status="Refused"), "Refused", error, now)
        case TransientFailure(error, may_have_acted=True):
            return replace(on_lost_backup(remediation, now, now), error=error)
        case TransientFailure(error) if _is_in_vain(remediation):
            return _call_later(remediation, error, now + _MAX_WATCH_INTERVAL)
        case TransientFailure():
            return _defer(remediation, result, at)


def on_backup_operation(remediation: Remediation, result: OperationResult, at: RecoveryMoment) -> Remediation:
    """A poll of the backup's operation was answered."""
    run, now = _run(remediation), at.now
    match result:
        case OperationRunning() if _is_late(remediation, now):
            return _end_backup(remediation, run, run.status, None, now)
        case OperationRunning(_, retry_after):
            return _follow(remediation, run, now + _interval(retry_after))
        case OperationSucceeded(None):
            return _end_backup(remediation, run, "Completed", None, now)
        case OperationSucceeded(job_id):
            started = replace(run, status="InProgress", job_id=job_id)
            return _follow(remediation, _without_urls(started), now + DEFAULT_POLL_INTERVAL)
        case OperationFailed(status, error, _):
            if _BUSY in str(error.get("code")).lower():
                return _call_later(remediation, error, now + _BUSY_WAIT)
            return _end_backup(remediation, run, status, error, now)
        case OperationUnknown() if now - run.requested_at < _UNKNOWN_OPERATION_TIMEOUT:
            return _follow(remediation, run, now + DEFAULT_POLL_INTERVAL)
        case OperationUnknown():
            return _end_backup(remediation, run, "Unknown", None, now)
        case TransientFailure():
            return _ask_about_backup(remediation, run, result, at)


def on_job(remediation: Remediation, result: JobResult, at: RecoveryMoment) -> Remediation:
    """A read of the backup's job was answered."""
    run, now = _run(remediation), at.now
    match result:
        case JobRead(status, error) if status.lower() not in _RUNNING or _is_late(remediation, now):
            return _end_backup(remediation, run, status, error, now)
        case JobRead(status, _):
            return _follow(remediation, replace(run, status=status), now + _job_wait(run, now))
        case Refused(_, error) if now - run.requested_at >= _UNKNOWN_OPERATION_TIMEOUT:
            return _end_backup(remediation, run, "Unknown", error, now)
        case Refused():
            return _follow(remediation, run, now + DEFAULT_POLL_INTERVAL)
        case TransientFailure():
            return _ask_about_backup(remediation, run, result, at)


def _ask_about_backup(
    remediation: Remediation, run: BackupRun, failure: TransientFailure, at: RecoveryMoment
) -> Remediation:
    """No verdict on the backup, which is no proof of anything: the recovery points tell in the end."""
    if _is_in_vain(remediation) or _is_late(remediation, at.now):
        return _end_backup(remediation, run, "Unknown", failure.error, at.now)
    return _defer(remediation, failure, at)


def _is_in_vain(remediation: Remediation) -> bool:
    return remediation.deferrals + 1 >= _MAX_BACKUP_DEFERRALS


def _is_late(remediation: Remediation, now: datetime) -> bool:
    """Whether the time for a recovery point is over: what still runs is followed no more."""
    deadline = recovery_of(remediation).deadline
    return deadline is not None and now >= deadline


def _without_answer(looked: Remediation, run: BackupRun, now: datetime) -> Remediation:
    """A call for a backup left no recovery point in time: it may be made once more, and then not again."""
    unanswered = recovery_of(looked).unanswered + 1
    is_last = unanswered >= _MAX_UNANSWERED
    return _change(looked, backup=replace(run, ended_at=now) if is_last else None, unanswered=unanswered)


def _call_later(remediation: Remediation, error: ArmError, at: datetime) -> Remediation:
    """The backup could not be made now; before it is asked for again, what others have made is looked at."""
    busy = _change(remediation, backup=None, looked_at=None)
    return replace(busy, due_at=at, slot_at=None, deferrals=0, error=error)


def _job_wait(run: BackupRun, now: datetime) -> timedelta:
    return min(max((now - run.requested_at) / 4, _MIN_JOB_INTERVAL), _MAX_JOB_INTERVAL)


def _recovered(looked: Remediation, point: RecoveryPoint, now: datetime) -> Remediation:
    before = recovery_of(looked).point_before
    if run := follows_backup(recovery_of(looked)):
        looked = _change(looked, backup=replace(run, ended_at=now))
    gap = (point.time - before).total_seconds() if before else None
    reason = "there is a recovery point newer than the failure"
    return end_recovery(looked, Status.RECOVERED, now, reason, point=point.time, point_id=point.id, gap_seconds=gap)


def _give_up(remediation: Remediation, reason: str, error: ArmError | None, now: datetime) -> Remediation:
    return replace(end_recovery(remediation, Status.NOT_RECOVERED, now, reason), error=error)


def _refused(remediation: Remediation, what: str, status: int, error: ArmError, now: datetime) -> Remediation:
    """The instance was deleted: it needs nobody."""
    ended = _give_up(remediation, f"ARM refused to show the {what} with {status}", error, now)
    return without_attention(ended) if status == NOT_FOUND else ended


def _ask_again(remediation: Remediation, failure: TransientFailure, at: RecoveryMoment) -> Remediation:
    """No verdict: ask again after a back-off, but not for ever."""
    deadline = recovery_of(remediation).deadline
    if remediation.deferrals + 1 >= MAX_DEFERRALS or (
        deadline is not None and at.now >= deadline + _MAX_WATCH_INTERVAL
    ):
        return _give_up(remediation, "ARM gave no verdict on the recovery points", failure.error, at.now)
    return _defer(remediation, failure, at)


def _defer(remediation: Remediation, failure: TransientFailure, at: RecoveryMoment) -> Remediation:
    delay = call_delay(failure.retry_after, remediation.deferrals, at.jitter)
    deferrals = remediation.deferrals + 1
    return replace(remediation, due_at=at.now + delay, slot_at=None, deferrals=deferrals, error=failure.error)


def _end_backup(
    remediation: Remediation, run: BackupRun, status: str, error: ArmError | None, now: datetime
) -> Remediation:
    """The backup is over, well or not: the recovery points tell. A schedule may still make one."""
    ended = replace(_without_urls(run), status=status, error=error, ended_at=now)
    watching = _change(remediation, backup=ended)
    due_at = now if status.lower() in _COMPLETED else _next_look(remediation, now)
    return replace(watching, due_at=due_at, slot_at=None, deferrals=0, error=error)


def _follow(remediation: Remediation, run: BackupRun, due_at: datetime) -> Remediation:
    followed = _change(remediation, backup=run)
    return replace(followed, due_at=due_at, slot_at=None, deferrals=0, error=None)


def _without_urls(run: BackupRun) -> BackupRun:
    return replace(run, operation_status_url=None, operation_result_url=None)


def _next_look(remediation: Remediation, now: datetime) -> datetime:
    """A quarter of the time since the heal from now; at the deadline, should that come first."""
    since = now - (remediation.ended_at or now)
    after = now + min(max(since / 4, _MIN_WATCH_INTERVAL), _MAX_WATCH_INTERVAL)
    deadline = recovery_of(remediation).deadline
    return min(after, max(deadline, now + _MIN_JOB_INTERVAL)) if deadline else after


def _run(remediation: Remediation) -> BackupRun:
    run = recovery_of(remediation).backup
    if run is None:
        raise ValueError(f"remediation {remediation.id} has no backup")
    return run


def _change(remediation: Remediation, **facts: Any) -> Remediation:
    return replace(remediation, recovery=replace(recovery_of(remediation), **facts))


def _interval(retry_after: float | None) -> timedelta:
    return DEFAULT_POLL_INTERVAL if retry_after is None else timedelta(seconds=retry_after)
