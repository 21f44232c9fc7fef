"""The steps of a remediation that no answer of Azure causes: it begins, is tried again, or is cancelled. Pure.

What Azure's answers do to it is `state_machine`.
"""

from datetime import datetime

from msgspec.structs import replace

from shared.domain.attention import Attention
from shared.domain.recovery import Recovery
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.remediation import Attempt, Remediation, Status, Transition, new_id
from shared.domain.signal import Signal, SyncType
from shared.domain.steps import end, end_attempt, end_recovery, move
from shared.domain.sync_jobs import JOB_TIMEOUT, await_job


def open_remediation(
    signal: Signal,
    sync_type: SyncType,
    now: datetime,
    recovery_mode: RecoveryMode = RecoveryMode.OFF,
    attention: Attention | None = None,
) -> Remediation:
    """The remediation that an accepted signal begins.

    Its first sync job is to be queued; where the signal has a sweep slot, invisible until then.

    Args:
        attention: that of the instance's latest remediation: a new one begins, and nothing is mended yet.
    """
    begins = max(now, signal.not_before or now)
    recovery = None
    if recovery_mode is not RecoveryMode.OFF:
        recovery = Recovery(mode=recovery_mode, failed_at=signal.occurred_at, backup_failed=signal.backup_failed)
    return Remediation(
        id=new_id(signal.instance, now),
        instance=signal.instance,
        status=Status.QUEUED,
        source=signal.source,
        reason=signal.reason,
        client_request_id=signal.client_request_id,
        signals=1,
        opened_at=now,
        not_before=begins,
        due_at=begins + JOB_TIMEOUT,
        recovery=recovery,
        attention=attention,
        protection_state_before=signal.protection_state,
        latest_recovery_point_before=signal.latest_recovery_point,
        datasource_id=signal.datasource_id,
        snapshot_group_id=signal.snapshot_group_id,
        attempts=(Attempt(number=1, sync_type=sync_type, queued_at=begins),),
        history=(Transition(at=now, before=None, after=Status.QUEUED, reason=signal.reason, by=signal.by),),
    )


def hold_first_attempt(opening: Remediation, incident_id: str, until: datetime, now: datetime) -> Remediation:
    """The remediation as it is opened under an incident: its first attempt is left to the canaries until then."""
    reason = f"incident {incident_id}: the first attempt is held back for its canaries"
    held = move(opening, Status.WAITING_TO_RETRY, now, reason, due_at=until)
    attempt = replace(opening.attempt, queued_at=until)
    return replace(held, attempts=(attempt,), incident_id=incident_id, held_until=until, not_before=until)


def count_signal(remediation: Remediation) -> Remediation:
    """One more signal for an instance that is being healed: counted, nothing else."""
    return replace(remediation, signals=remediation.signals + 1)


def start_next_attempt(remediation: Remediation, sync_type: SyncType, now: datetime) -> Remediation:
    """The next attempt begins; its sync job is to be queued."""
    made = () if remediation.awaits_first_attempt else remediation.attempts
    # Not by their count: of very many, some are not kept (`document_limits`).
    number = remediation.attempt.number + 1 if made else 1
    attempt = Attempt(number=number, sync_type=sync_type, queued_at=now)
    ladder_at = remediation.ladder_at if remediation.ladder_at and remediation.ladder_at > now else None
    begun = replace(remediation, attempts=(*made, attempt), ladder_at=ladder_at)
    return await_job(move(begun, Status.QUEUED, now, f"attempt {attempt.number}", due_at=now), now)


def bring_forward(remediation: Remediation, retry_at: datetime, now: datetime, reason: str) -> Remediation:
    """Make the next attempt sooner; the ladder's own stays where it was, should that fail."""
    # An announcement may be due before that.
    due_at = min(retry_at, remediation.due_at or retry_at)
    moved = move(remediation, Status.WAITING_TO_RETRY, now, reason, due_at=due_at)
    if remediation.awaits_first_attempt:
        # It is the ladder's own, and only held back.
        return replace(moved, error=remediation.error, not_before=retry_at)
    ladder_at = retry_at_of(remediation)
    return replace(
        moved, error=remediation.error, not_before=retry_at, ladder_at=ladder_at, wakes=remediation.wakes + 1
    )


def cancel(remediation: Remediation, reason: str, now: datetime, by: str | None = None) -> Remediation:
    """An operator ends it; an operation that runs goes on in Azure, unwatched. A heal that was, stays one.

    Args:
        by: who, as they signed in.
    """
    cancelled = _cancelled(remediation, reason, now)
    *before, last = cancelled.history
    return replace(cancelled, history=(*before, replace(last, by=by)))


def _cancelled(remediation: Remediation, reason: str, now: datetime) -> Remediation:
    if remediation.status is Status.RECOVERING:
        # Nobody is to be called for what an operator has just decided.
        stopped = end_recovery(remediation, Status.NOT_RECOVERED, now, reason)
        return replace(stopped, attention=remediation.attention)
    ended = end_attempt(remediation, remediation.attempt.ended_at or now)
    return end(ended, Status.CANCELLED, now, reason, remediation.error)


def retry_at_of(waiting: Remediation) -> datetime | None:
    """When what waits for its next attempt makes it."""
    return waiting.not_before or waiting.due_at


def may_retry(remediation: Remediation, now: datetime) -> bool:
    """Whether the wait for the next attempt is over; an announcement may be due before that."""
    return remediation.not_before is None or remediation.not_before <= now
