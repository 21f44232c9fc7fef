"""The steps that transitions of the state machine are made of. Pure."""

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from shared.domain.arm_results import ArmError
from shared.domain.protection_state import VALID
from shared.domain.remediation import Remediation, Resolution, Status, Transition

MAX_HISTORY = 100
"""Transitions kept; a transition that repeats is kept once, with how often it happened."""


def change_attempt(remediation: Remediation, **changes: Any) -> Remediation:
    """The newest attempt, changed."""
    return replace(remediation, attempts=(*remediation.attempts[:-1], replace(remediation.attempt, **changes)))


def end_attempt(remediation: Remediation, now: datetime, **changes: Any) -> Remediation:
    """The attempt is over. Its operation is followed no more, and operation URLs are 3 kB each: they go."""
    return change_attempt(remediation, ended_at=now, operation_status_url=None, operation_result_url=None, **changes)


def move(remediation: Remediation, status: Status, now: datetime, reason: str, due_at: datetime) -> Remediation:
    """It goes on to a status, which begins without slot, deferrals and error."""
    step = Transition(at=now, before=remediation.status, after=status, reason=reason)
    history = _with_step(remediation.history, step)
    moved = replace(remediation, status=status, due_at=due_at, history=history, slot_at=None, deferrals=0, error=None)
    return replace(moved, not_before=None)


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
) -> Remediation:
    """The attempt has failed: wait for the next one, or end with this status if it was the last."""
    if retry_in is None:
        return end(remediation, status, now, reason, error)
    reason = f"{reason}; next attempt in {retry_in}"
    waiting = move(remediation, Status.WAITING_TO_RETRY, now, reason, due_at=now + retry_in)
    return replace(waiting, error=error)


def end(remediation: Remediation, status: Status, now: datetime, reason: str, error: ArmError | None) -> Remediation:
    """It ends, and is due at once: the outcome is to be announced."""
    ended = replace(move(remediation, status, now, reason, due_at=now), error=error, ended_at=now)
    return replace(ended, resolution=_resolution(ended)) if status is Status.HEALED else ended


def _resolution(healed: Remediation) -> Resolution | None:
    if healed.protection_state_before is None:
        return None
    return Resolution.NOTHING_TO_REPAIR if healed.protection_state_before == VALID else Resolution.REPAIRED


def end_recovery(remediation: Remediation, status: Status, now: datetime, reason: str, **facts: Any) -> Remediation:
    """The recovery is over, with one of the two statuses that end it and these facts about it."""
    ended = move(remediation, status, now, reason, due_at=now)
    recovery = replace(remediation.recovery, ended_at=now, **facts) if remediation.recovery else None
    return replace(ended, recovery=recovery)


def begin_recovery(announced: Remediation, now: datetime) -> Remediation:
    """A heal that is announced goes on to a recovery point, where that is wanted; other ends are over."""
    if announced.status is not Status.HEALED or announced.recovery is None:
        return announced
    return move(announced, Status.RECOVERING, now, "waiting for a recovery point newer than the failure", due_at=now)
