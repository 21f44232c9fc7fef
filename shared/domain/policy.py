"""The operator's policy: whether a signal opens a remediation, and what follows a failed attempt. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from shared.domain.duration_text import duration_text
from shared.domain.error_codes import NEEDING_PERSON, ErrorClass, ErrorCodes
from shared.domain.mode import Mode
from shared.domain.protection_state import VALID
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.remediation import Remediation, Status
from shared.domain.resource_ids import fold
from shared.domain.signal import REQUEST, SWEEP, Signal, SyncType

_DAY = timedelta(hours=24)
_EARLY_DELAYS = (timedelta(minutes=1), timedelta(minutes=2))
"""Before the ladder, after errors that a sync alone may mend."""


@dataclass(frozen=True, slots=True)
class Open:
    """No remediation of this instance is active: open one."""

    resets_daily_cap: bool = False
    """Whether what was opened before counts no more, because nothing was done about the last of it."""


@dataclass(frozen=True, slots=True)
class Coalesce:
    """A remediation of this instance is active: count the signal there."""

    active: Remediation


@dataclass(frozen=True, slots=True)
class Drop:
    """Do nothing."""

    code: str
    """`OutOfScope`, `Recovering`, `LateDuplicate`, `CoolingDown`, `CancelledToday`, `RejectedToday`, `NeedsAttention`
    `DailyCapReached` or `Paused`."""
    reason: str


Decision = Open | Coalesce | Drop


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that decide about signals and attempts; docs/settings.md explains each."""

    mode: Mode
    default_sync_type: SyncType
    max_attempts: int
    retry_delays: tuple[timedelta, ...]
    force_resync_from_attempt: int
    """0: never."""
    cooldown: timedelta
    daily_cap: int
    recovery: RecoveryMode
    include: tuple[str, ...]
    """Globs on ARM ids, in lower case."""
    exclude: tuple[str, ...]
    """Likewise."""
    error_codes: ErrorCodes

    def decide(self, signal: Signal, latest: Remediation | None, recent: Sequence[datetime], now: datetime) -> Decision:
        """Decide about a signal.

        Args:
            latest: the instance's latest remediation; None if it never had one, or it cannot be read.
            recent: when the instance's latest remediations were opened.
        """
        out_of_scope = self.out_of_scope(str(signal.instance))
        if out_of_scope:
            return Drop("OutOfScope", out_of_scope)
        if latest is not None and latest.status.is_healing:
            return Coalesce(latest)
        if signal.is_forced:
            # Cool-down and cap keep signals from repeating what was just tried: who asks has changed something.
            return Open()
        if latest is not None:
            if latest.status is Status.WOULD_HEAL and self.mode is Mode.HEAL:
                # It was only observed: nothing was done that a signal could repeat, or that needs time to act.
                return Open(resets_daily_cap=True)
            is_finding = signal.source == SWEEP and signal.backup_failed and signal.protection_state == VALID
            if is_finding and latest.status is Status.RECOVERING:
                return Drop("Recovering", f"remediation {latest.id} waits for a recovery point already")
            if signal.occurred_at < latest.opened_at:
                # Event Grid repeats and reorders for up to 24 hours; what failed before that start, it has seen.
                reason = f"older than the start of remediation {latest.id}, which is {latest.status}"
                return Drop("LateDuplicate", reason)
            since = now - (latest.ended_at or now)
            is_change_of_mind = signal.source == REQUEST and latest.status is Status.CANCELLED
            if since < self.cooldown and not is_change_of_mind:
                rest = duration_text(self.cooldown - since)
                reason = f"remediation {latest.id} ended {latest.status}; cooling down, again in {rest}"
                return Drop("CoolingDown", reason)
            if signal.source == SWEEP and latest.status is Status.CANCELLED and since < _DAY:
                # The instance is as broken as it was when an operator said no; a sweep brings no news about it.
                return Drop("CancelledToday", f"an operator cancelled remediation {latest.id} less than a day ago")
            is_rejected = self._is_rejected_for_its_code(latest) and not signal.seems_mended
            if signal.source == SWEEP and is_rejected and since < _DAY:
                return Drop("RejectedToday", f"less than a day ago remediation {latest.id} met what no sync mends")
            if signal.source == SWEEP and not signal.seems_mended and since < (wait := self._wait_for_person(latest)):
                rest = duration_text(wait - since)
                return Drop("NeedsAttention", f"a person must mend what remediation {latest.id} met; again in {rest}")
        if sum(now - opened < _DAY for opened in recent) >= self.daily_cap:
            return Drop("DailyCapReached", f"{self.daily_cap} remediations within 24 hours")
        return Open()

    def retry_delay(self, attempt: int) -> timedelta | None:
        """How long to wait after this attempt (1 for the first) has failed; None if it was the last."""
        if attempt >= self.max_attempts:
            return None
        return self.retry_delays[min(attempt, len(self.retry_delays)) - 1]

    def retry_in(self, remediation: Remediation, now: datetime) -> timedelta | None:
        """How long to wait should the newest attempt fail; None if it was the last.

        One that a wake brought forward does not count: the ladder's own is still to come.
        """
        return _until_ladder(remediation, now) or self.retry_delay(_rung(remediation))

    def early_retry_in(self, remediation: Remediation, now: datetime) -> timedelta | None:
        """As `retry_in`, should it fail with an error that a sync alone may mend."""
        return _until_ladder(remediation, now) or self.early_retry_delay(_rung(remediation))

    def delay_after_next(self, remediation: Remediation) -> timedelta | None:
        """How long to wait after the attempt that follows the newest, should it fail alike; None if it is the last."""
        is_transient = self.error_codes.class_of(remediation.error) is ErrorClass.TRANSIENT
        return (self.early_retry_delay if is_transient else self.retry_delay)(_rung(remediation) + 1)

    def first_hold(self, code: str) -> timedelta | None:
        """How long the first attempt may be held back for an incident with this code; None for not at all.

        Had it been made at once, and failed alike, the next one would follow so much later.
        """
        is_transient = self.error_codes.class_of({"code": code}) is ErrorClass.TRANSIENT
        return (self.early_retry_delay if is_transient else self.retry_delay)(1)

    def next_sync_type(self, remediation: Remediation) -> SyncType:
        """The sync of the attempt after the newest."""
        return self.sync_type(_rung(remediation) + 1, remediation.attempts[0].sync_type)

    def early_retry_delay(self, attempt: int) -> timedelta | None:
        """As `retry_delay`, after an error that a sync alone may mend: two attempts more than the ladder has, soon."""
        if self.max_attempts == 1:
            return None
        if attempt <= len(_EARLY_DELAYS):
            return min(_EARLY_DELAYS[attempt - 1], self.retry_delays[0])
        return self.retry_delay(attempt - len(_EARLY_DELAYS))

    def sync_type(self, attempt: int, requested: SyncType | None) -> SyncType:
        """The sync of this attempt: `ForceResync` from the attempt that the settings name, before it as requested."""
        if 0 < self.force_resync_from_attempt <= attempt:
            return SyncType.FORCE_RESYNC
        return requested or self.default_sync_type

    def _is_rejected_for_its_code(self, latest: Remediation) -> bool:
        is_never = self.error_codes.class_of(latest.error) is ErrorClass.NEVER
        return latest.status is Status.REJECTED and is_never

    def _wait_for_person(self, latest: Remediation) -> timedelta:
        """How long a sweep leaves alone what a person must mend: as long again as it has been so, up to a day."""
        if latest.attention is None or self.error_codes.class_of(latest.error) not in NEEDING_PERSON:
            return timedelta()
        return min((latest.ended_at or latest.attention.since) - latest.attention.since, _DAY)

    def is_in_scope(self, instance: str) -> bool:
        """Whether the instance with this ARM id is one of the app's."""
        return self.out_of_scope(instance) is None

    def out_of_scope(self, instance: str) -> str | None:
        """Why the instance with this ARM id is none of the app's; None if it is."""
        path = fold(instance)
        if self.include and not any(fnmatchcase(path, glob) for glob in self.include):
            return "no glob of INCLUDE matches the instance"
        for glob in self.exclude:
            if fnmatchcase(path, glob):
                return f"EXCLUDE has {glob}"
        return None


def _rung(remediation: Remediation) -> int:
    """The number of the newest attempt among those of the ladder; 0 before the first."""
    return remediation.attempt.number - remediation.wakes - remediation.awaits_first_attempt


def _until_ladder(remediation: Remediation, now: datetime) -> timedelta | None:
    """Until the ladder's own attempt, where the newest was brought forward and fails before that."""
    ladder_at = remediation.ladder_at
    return ladder_at - now if ladder_at and ladder_at > now else None
