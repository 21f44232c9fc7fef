"""The read of the instance before its first sync call: how it was, and whether a sync has any use. Pure.

A signal is often about a backup job that failed, while the instance is well: a `Default` sync of it does nothing, and
one read is all that it costs. Signals that say the state themselves need no read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from shared.domain.arm_results import ArmError, InstanceRead, Refused
from shared.domain.error_codes import ErrorClass
from shared.domain.protection_state import INTENDED, VALID
from shared.domain.remediation import Remediation, Status
from shared.domain.signal import REQUEST, SyncType
from shared.domain.steps import NOT_FOUND, as_read, end, end_attempt, end_refused

ClassOf = Callable[[ArmError | None], ErrorClass | None]
_MAX_DEFERRALS = 3
"""Calls without a verdict, after which the sync is called without the read: the app may lack the right to read."""


@dataclass(frozen=True, slots=True)
class NoSync:
    """The instance was read first, and shows that a sync has no use."""

    attempt: int
    result: InstanceRead | Refused
    before: InstanceRead | None
    """How it was before any sync call; None where a call may have been made whose record is lost."""
    now: datetime


def is_needed(remediation: Remediation) -> bool:
    """Whether nobody knows how the instance was before its first sync call, which is still to be made."""
    is_unknown = remediation.attempt.number == 1 and remediation.protection_state_before is None
    return is_unknown and remediation.deferrals < _MAX_DEFERRALS


def makes_sync_useless(remediation: Remediation, result: InstanceRead | Refused, class_of: ClassOf) -> bool:
    """Whether the instance is gone, well, as somebody intends, or has an error that no sync mends.

    A sync that somebody asked for, and a `ForceResync`, which acts in all cases, is called whatever the state.
    """
    match result:
        case Refused(status):
            return status == NOT_FOUND
        case InstanceRead(state, error):
            if remediation.source == REQUEST or remediation.attempt.sync_type is SyncType.FORCE_RESYNC:
                return False
            return state == VALID or state in INTENDED or class_of(error) is ErrorClass.NEVER


def with_state_before(remediation: Remediation, before: InstanceRead | None) -> Remediation:
    """The remediation with how its instance was before the first sync call, unless it is known already."""
    if before is None:
        return remediation
    remediation = as_read(remediation, before)
    if remediation.attempt.number > 1 or remediation.protection_state_before is not None:
        return remediation
    return replace(remediation, protection_state_before=before.protection_state)


def end_without_sync(remediation: Remediation, found: NoSync) -> Remediation:
    """It ends with what the first read has shown."""
    ended, now = end_attempt(remediation, found.now), found.now
    match found.result:
        case Refused(status, error):
            return end_refused(ended, status, now, f"ARM refused to show the instance with {status}", error)
        case InstanceRead(state, error):
            read = as_read(ended, found.result)
            if state == VALID:
                return end(read, Status.HEALED, now, f"the instance is {state}: nothing to repair", None)
            if state in INTENDED:
                return end(read, Status.UNHEALTHY, now, f"the instance is {state}, as somebody intends", error)
            reason = f"the instance is {state}, with an error that no sync mends"
            return end(read, Status.REJECTED, now, reason, error)
