"""The next step of a recovery that is due: which call to Azure it needs, and how its result moves it on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import NAMESPACE_URL, uuid5

from shared import logs
from shared.domain import lifecycle, recovery_steps, state_machine
from shared.domain.arm_results import InstanceRead
from shared.domain.backup_slot import FreeSlot, HeldSlot, NoSlot
from shared.domain.recovery import BackupRun
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.recovery_steps import RecoveryMoment, recovery_of
from shared.domain.remediation import Remediation, Status
from shared.healing.ports import Arm, Backups, LatestPoints, Slots
from shared.rate_limits.rate_limiter import RateLimiter

_CALL_TIMEOUT = timedelta(minutes=1)
"""So long a host may be at a call, and its record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryStep:
    """Takes one step of one recovery; stores nothing but the slot for a backup."""

    arm: Arm
    backups: Backups
    latest_points: LatestPoints
    slots: Slots
    write_limit: RateLimiter
    read_limit: RateLimiter
    mode: RecoveryMode
    """As `RECOVERY` is now: a remediation has that of its opening."""
    timeout: timedelta | None
    now: Callable[[], datetime]
    random: Callable[[], float]

    def take(self, current: Remediation) -> Remediation:
        """The remediation after its next step.

        Raises:
            azure.core.exceptions.AzureError: storage, which keeps rate limits and slots, cannot be reached.
        """
        recovery = recovery_of(current)
        if self.mode is RecoveryMode.OFF:
            return lifecycle.cancel(current, "RECOVERY is Off now: no recovery point is waited for", self.now())
        if recovery_steps.needs_schedule(recovery):
            return self._within(self.read_limit, current, self._read_schedule)
        if run := recovery_steps.follows_backup(recovery):
            return self._within(self.read_limit, current, self._follow(run))
        if self.mode is RecoveryMode.BACKUP and recovery_steps.needs_backup(recovery, self.now()):
            match self.slots.look(current.instance, current.id):
                case FreeSlot():
                    return self._within(self.write_limit, current, self._back_up)
                case HeldSlot(since):
                    return self._resume_call(current, since)
                case NoSlot():
                    logs.info("backup.capped", remediationId=current.id, backupInstanceId=str(current.instance))
        hint = self.latest_points.newest(current.instance)
        if not recovery_steps.needs_proof(recovery, hint, self.now()):
            return recovery_steps.keep_watching(current, self.now())
        return self._within(self.read_limit, current, self._read_points)

    def _within(
        self, limit: RateLimiter, current: Remediation, call: Callable[[Remediation], Remediation]
    ) -> Remediation:
        """Make the call if the subscription's rate limit has a slot now; else wait for its turn."""
        wait = limit.admit(current.instance.subscription_id, has_turn=current.slot_at is not None)
        return state_machine.wait_for_slot(current, wait) if wait else call(current)

    def _follow(self, run: BackupRun) -> Callable[[Remediation], Remediation]:
        """The call that tells how the backup is."""
        if recovery_steps.is_unanswered(run):
            return partial(self._look_for_backup, run)
        return self._read_job if run.job_id else partial(self._poll_backup, run)

    def _read_schedule(self, current: Remediation) -> Remediation:
        schedule = self.backups.schedule(current.instance)
        return recovery_steps.on_schedule(current, schedule, self.timeout, self._moment())

    def _read_points(self, current: Remediation) -> Remediation:
        points = self.backups.points(current.instance, recovery_of(current).is_continuous)
        after = recovery_steps.on_points(current, points, self._moment())
        if after.status is Status.NOT_RECOVERED:
            shown = self.arm.read(current.instance)
            if isinstance(shown, InstanceRead):
                return recovery_steps.as_intended(after, shown.protection_state)
        return after

    def _back_up(self, current: Remediation) -> Remediation:
        # Taken just before the call: whoever comes to this step too, now or after a crash, does not call again.
        taken_at = self.slots.take(current.instance, current.id)
        if taken_at is None:
            return current
        recovery = recovery_of(current)
        request_id = str(uuid5(NAMESPACE_URL, f"{current.id}/backup"))
        result = self.backups.back_up(current.instance, recovery.rule or "", recovery.retention_tag, request_id)
        # Storage's clock steps back by less than a second when it is known better: the slot is still of this call.
        answered = RecoveryMoment(max(self.now(), taken_at), self.random())
        return self._without_unused_slot(recovery_steps.on_backup(current, result, answered), taken_at)

    def _resume_call(self, current: Remediation, called_at: datetime) -> Remediation:
        """A host was about to call: it has died since, or is still at it and will have its record."""
        if self.now() - called_at < _CALL_TIMEOUT:
            return current
        logs.warning("backup.unanswered", remediationId=current.id, calledAt=called_at)
        return recovery_steps.on_lost_backup(current, called_at, self.now())

    def _poll_backup(self, run: BackupRun, current: Remediation) -> Remediation:
        result = self.arm.operation(current.instance, run.operation_urls)
        after = recovery_steps.on_backup_operation(current, result, self._moment())
        return self._without_unused_slot(after, run.requested_at)

    def _look_for_backup(self, run: BackupRun, current: Remediation) -> Remediation:
        return self._without_unused_slot(self._read_points(current), run.requested_at)

    def _without_unused_slot(self, after: Remediation, called_at: datetime) -> Remediation:
        """Where the call of then began no backup, the next one takes a slot anew."""
        if recovery_of(after).backup is None:
            self.slots.give_back(after.instance, after.id, called_at)
        return after

    def _read_job(self, current: Remediation) -> Remediation:
        run = recovery_of(current).backup
        result = self.backups.job(current.instance, run.job_id) if run and run.job_id else None
        return recovery_steps.on_job(current, result, self._moment()) if result else current

    def _moment(self) -> RecoveryMoment:
        return RecoveryMoment(self.now(), self.random())
