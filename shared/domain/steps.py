"""The steps that transitions of the state machine are made of. Pure."""

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from shared.domain.arm_results import ArmError, InstanceRead
from shared.domain.attention import is_unannounced, with_attention, without_attention
from shared.domain.duration_text import duration_text
from shared.domain.protection_state import INTENDED, VALID
from shared.domain.remediation import Remediation, Resolution, Status, Transition

NOT_FOUND = 404
MAX_HISTORY = 100
"""Transitions kept; a transition that repeats is kept once, with how often it happened."""


def change_attempt(remediation: Remediation, **changes: Any) -> Remediation:
    """The newest attempt, changed."""
    return replace(remediation, attempts=(*remediation.attempts[:-1], replace(remediation.attempt, **changes)))


def end_attempt(remediation: Remediation, now: datetime, **changes: Any) -> Remediation:
    """The attempt is over. Its operation is followed no more, and operation URLs are 3 kB each: they go."""
    return change_attempt(remediation, ended_at=now, operation_status_url=None, operation_result_url=None, **changes)


def as_read(remediation: Remediation, read: InstanceRead) -> Remediation:
    """It knows of its instance what was read last."""
    return replace(
        remediation,
        protection_state=read.protection_state,
        datasource_id=read.datasource_id or remediation.datasource_id,
        snapshot_group_id=read.snapshot_group_id or remediation.snapshot_group_id,
    )


def move(remediation: Remediation, status: Status, now: datetime, reason: str, due_at: datetime) -> Remediation:
    """It goes on to a status, which begins without slot, deferrals and error."""
    step = Transition(at=now, before=remediation.status, after=status, reason=reason)
    history = _with_step(remediation.history, step)
    moved = replace(remediation, status=status, due_at=due_at, history=history, slot_at=None, deferrals=0, error=None)
    return replace(moved, not_before=None, held_until=None)


def _with_step(history: tuple[Transition, ...], step: Transition) -> tuple[Transition, ...]:
    """The history and one step more; a step that is one of the last two again replaces it, and counts the times."""
    for known in history[-2:]:
        if (known.before, known.after, known.reason) == (step.before, step.after, step.reason):
            others = tuple(each for each in history if each is not known)
            return (*others, replace(step, times=known.times + 1))
    extended = (*history, step)
    return extended if len(extended) <= MAX_HISTORY else (extended[0], *extended[2:])


def retry_or_end(
    remediation: Remediation,
    status: Status,
    now: datetime,
    retry_in: timedelta | None,
    reason: str,
    error: ArmError | None,
    needs_person: bool,
) -> Remediation:
    """The attempt has failed: wait for the next one, or end with this status if it was the last.

    Args:
        needs_person: whether the error is one that stays until somebody does something.
    """
    if retry_in is None:
        return end(remediation, status, now, reason, error)
    later = f"{reason}; next attempt in {duration_text(retry_in)}"
    moved = move(remediation, Status.WAITING_TO_RETRY, now, later, due_at=now + retry_in)
    waiting = replace(moved, error=error, not_before=now + retry_in)
    if needs_person:
        waiting = with_attention(waiting, now, f"{reason}, with an error that a person must mend")
    return replace(waiting, due_at=now) if is_unannounced(waiting) else waiting


def wait_for_retry(waiting: Remediation) -> Remediation:
    """Nothing is left to be announced before the next attempt."""
    return replace(waiting, due_at=waiting.not_before or waiting.due_at)


def end(remediation: Remediation, status: Status, now: datetime, reason: str, error: ArmError | None) -> Remediation:
    """It ends, and is due at once: the outcome is to be announced.

    An instance that was not healed needs a person, unless somebody wants it as it is.
    """
    ended = replace(move(remediation, status, now, reason, due_at=now), error=error, ended_at=now)
    if status is Status.HEALED:
        return without_attention(replace(ended, resolution=_resolution(ended)))
    if ended.protection_state in INTENDED and status in (Status.UNHEALTHY, Status.WOULD_HEAL):
        return without_attention(ended)
    return with_attention(ended, now, reason) if status.is_unhealed else ended


def end_refused(remediation: Remediation, code: int, now: datetime, reason: str, error: ArmError) -> Remediation:
    """ARM's refusal with this HTTP status ends it. What is not there needs nobody: it was deleted, or never there."""
    ended = end(remediation, Status.REJECTED, now, reason, error)
    return without_attention(ended) if code == NOT_FOUND else ended


def _resolution(healed: Remediation) -> Resolution | None:
    if healed.protection_state_before is None:
        return None
    return Resolution.NOTHING_TO_REPAIR if healed.protection_state_before == VALID else Resolution.REPAIRED


def end_recovery(remediation: Remediation, status: Status, now: datetime, reason: str, **facts: Any) -> Remediation:
    """The recovery is over, with one of the two statuses that end it and these facts about it."""
    ended = move(remediation, status, now, reason, due_at=now)
    recovery = replace(remediation.recovery, ended_at=now, **facts) if remediation.recovery else None
    told = replace(ended, recovery=recovery)
    return with_attention(told, now, reason) if status.is_unhealed else without_attention(told)


def begin_recovery(announced: Remediation, now: datetime) -> Remediation:
    """A heal that is announced goes on to a recovery point, where that is wanted; other ends are over."""
    if announced.status is not Status.HEALED or announced.recovery is None:
        return announced
    return move(announced, Status.RECOVERING, now, "waiting for a recovery point newer than the failure", due_at=now)
