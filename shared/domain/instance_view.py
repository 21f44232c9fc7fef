"""An instance as Azure shows it to somebody who asks, and the effect that a sync would have. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from shared.domain.arm_results import ArmError, InstanceRead, InstanceResult, Refused, TransientFailure
from shared.domain.error_codes import CodeEntry, ErrorClass, ErrorCodes
from shared.domain.protection_state import CHANGING, INTENDED, VALID
from shared.domain.signal import SyncType
from shared.domain.steps import NOT_FOUND

_FORBIDDEN = frozenset({401, 403})
"""401 as well: Resource Manager gives it to a token that is of another tenant than the subscription."""


class Answer(StrEnum):
    """How Azure answered the read of an instance."""

    READ = "Read"
    NOT_FOUND = "NotFound"
    """The subscription, resource group, vault or instance does not exist, or cannot be seen."""
    FORBIDDEN = "Forbidden"
    """The app's identity lacks the right to read it."""
    REFUSED = "Refused"
    UNREACHABLE = "Unreachable"
    """No verdict: no connection, an outage, or throttling."""
    NOT_ASKED = "NotAsked"
    """The limit for reads is used up, or the request's time is."""

    @property
    def is_refusal(self) -> bool:
        """Whether a remediation would end, or wait for a role, without a sync."""
        return self in (Answer.NOT_FOUND, Answer.FORBIDDEN, Answer.REFUSED)


class SyncEffect(StrEnum):
    """The effect of a sync on an instance in this state."""

    MAY_HEAL = "MayHeal"
    NOTHING_TO_REPAIR = "NothingToRepair"
    CHANGING = "Changing"
    """Another operation runs; the sync is called when it has ended."""
    INTENDED = "Intended"
    """Somebody wants it so, and no sync changes that."""
    NEEDS_PERSON = "NeedsPerson"
    """It heals once somebody has mended the cause."""
    NEEDS_BACKUP = "NeedsBackup"
    """A backup job failed, and a sync repeats no job."""
    NO_USE = "NoUse"
    """No sync mends this error."""


_BY_CLASS = {
    ErrorClass.TRANSIENT: SyncEffect.MAY_HEAL,
    ErrorClass.PERSON: SyncEffect.NEEDS_PERSON,
    ErrorClass.NEVER: SyncEffect.NO_USE,
    ErrorClass.JOB: SyncEffect.NEEDS_BACKUP,
}


@dataclass(frozen=True, slots=True)
class InstanceView:
    """Azure's answer about an instance."""

    answer: Answer
    reason: str
    """In words."""
    protection_state: str | None = None
    error: ArmError | None = None
    """Of the instance, or why Azure did not show it."""
    entry: CodeEntry | None = None
    """The catalogue's, of the instance's error."""
    effect: SyncEffect | None = None
    """None where the instance was not read."""


def not_asked(reason: str) -> InstanceView:
    """Azure was not asked, for this reason."""
    return InstanceView(Answer.NOT_ASKED, reason)


def view_of(result: InstanceResult, sync_type: SyncType, error_codes: ErrorCodes) -> InstanceView:
    """Azure's answer to the read, and what a sync of this type would do."""
    match result:
        case InstanceRead(state, error):
            entry = error_codes.entry_of(error)
            effect = _effect(state, entry)
            reason = _reason(effect, state, sync_type)
            return InstanceView(Answer.READ, reason, state, error, entry, effect)
        case Refused(status, error):
            answer = Answer.NOT_FOUND if status == NOT_FOUND else Answer.REFUSED
            return InstanceView(answer, f"Azure refused to show the instance with {status}", error=error)
        case TransientFailure(error, status=status) if status in _FORBIDDEN:
            reason = f"Azure refused to show the instance with {status}: the app's identity lacks the right to read it"
            return InstanceView(Answer.FORBIDDEN, reason, error=error)
        case TransientFailure(error):
            return InstanceView(Answer.UNREACHABLE, "Azure gave no verdict; ask again", error=error)


def _effect(state: str, entry: CodeEntry | None) -> SyncEffect:
    if state == VALID:
        return SyncEffect.NOTHING_TO_REPAIR
    if state in INTENDED:
        return SyncEffect.INTENDED
    if state in CHANGING:
        return SyncEffect.CHANGING
    return _BY_CLASS[entry.error_class] if entry else SyncEffect.MAY_HEAL


def _reason(effect: SyncEffect, state: str, sync_type: SyncType) -> str:
    told = {
        SyncEffect.MAY_HEAL: "a sync may heal it",
        SyncEffect.NOTHING_TO_REPAIR: "a sync acts only in case of failure, and finds nothing to repair",
        SyncEffect.CHANGING: "another operation changes it now",
        SyncEffect.INTENDED: "as somebody intends; no sync changes that",
        SyncEffect.NEEDS_PERSON: "a sync heals it once a person has mended what its error says",
        SyncEffect.NEEDS_BACKUP: "a backup job failed, which a sync does not repeat",
        SyncEffect.NO_USE: "no sync mends its error",
    }[effect]
    if effect is SyncEffect.NOTHING_TO_REPAIR and sync_type is SyncType.FORCE_RESYNC:
        told = "nothing is to be repaired; a ForceResync configures its protection again all the same"
    return f"the instance is {state}: {told}"
