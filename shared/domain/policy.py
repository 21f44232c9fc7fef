"""What the operator's settings decide: whether a signal opens a remediation, and what follows a lost attempt.

Pure: what is known is passed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from shared.domain.remediation import Remediation, Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SWEEP, Signal, SyncType
from shared.settings import Settings

_DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Open:
    """Nobody heals this instance: begin."""


@dataclass(frozen=True, slots=True)
class Coalesce:
    """Somebody heals this instance: count the signal there."""

    active: Remediation


@dataclass(frozen=True, slots=True)
class Drop:
    """Do nothing."""

    code: str
    """`OutOfScope`, `LateDuplicate`, `CoolingDown`, `CancelledToday` or `DailyCapReached`."""
    reason: str


Verdict = Open | Coalesce | Drop


def judge(
    signal: Signal, latest: Remediation | None, recent: Sequence[datetime], settings: Settings, now: datetime
) -> Verdict:
    """Decide about a signal.

    Args:
        latest: the instance's latest remediation; None if it never had one, or it cannot be read.
        recent: when the instance's latest remediations were opened.
    """
    out_of_scope = _out_of_scope(signal.instance, settings)
    if out_of_scope:
        return Drop("OutOfScope", out_of_scope)
    if latest is not None:
        if not latest.status.is_terminal:
            return Coalesce(latest)
        if signal.occurred_at < latest.opened_at:
            # Event Grid repeats and reorders for up to 24 hours; what failed before that start, it has seen.
            return Drop("LateDuplicate", f"older than the start of remediation {latest.id}, which is {latest.status}")
        since = now - (latest.ended_at or now)
        if since < settings.cooldown:
            rest = settings.cooldown - since
            return Drop("CoolingDown", f"remediation {latest.id} ended {latest.status}; cooling down for {rest}")
        if signal.source == SWEEP and latest.status is Status.CANCELLED and since < _DAY:
            # The instance is as broken as it was when an operator said no; a sweep brings no news about it.
            return Drop("CancelledToday", f"an operator cancelled remediation {latest.id} less than a day ago")
    if sum(now - opened < _DAY for opened in recent) >= settings.daily_cap:
        return Drop("DailyCapReached", f"{settings.daily_cap} remediations within 24 hours")
    return Open()


def retry_delay(attempt: int, settings: Settings) -> timedelta | None:
    """How long to wait after the loss of this attempt (1 for the first); None if it was the last."""
    if attempt >= settings.max_attempts:
        return None
    return settings.retry_delays[min(attempt, len(settings.retry_delays)) - 1]


def sync_type_of(attempt: int, asked_for: SyncType, settings: Settings) -> SyncType:
    """`ForceResync` from the attempt that the settings name, before it what was asked for."""
    escalates = 0 < settings.force_resync_from_attempt <= attempt
    return SyncType.FORCE_RESYNC if escalates else asked_for


def _out_of_scope(instance: BackupInstanceId, settings: Settings) -> str | None:
    path = str(instance).lower()
    if settings.include and not any(fnmatchcase(path, glob) for glob in settings.include):
        return "no glob of INCLUDE matches the instance"
    for glob in settings.exclude:
        if fnmatchcase(path, glob):
            return f"EXCLUDE has {glob}"
    return None
