"""The next step of a recovery that is due: which call to Azure it needs, and how its result moves it on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from msgspec.structs import replace

from shared import logs
from shared.domain import recovery_steps
from shared.domain.recovery_steps import RecoveryMoment, recovery_of
from shared.domain.remediation import Remediation
from shared.healing.ports import Arm, Backups, LatestPoints, Slots
from shared.rate_limits.rate_limiter import RateLimiter


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryStep:
    """Takes one step of one recovery; stores nothing but the slot for a backup."""

    arm: Arm
    backups: Backups
    latest_points: LatestPoints
    slots: Slots
    write_limit: RateLimiter
    read_limit: RateLimiter
    timeout: timedelta | None
    now: Callable[[], datetime]
    random: Callable[[], float]

    def take(self, current: Remediation) -> Remediation:
        """The remediation after its next step.

        Raises:
            azure.core.exceptions.AzureError: storage, which keeps rate limits and slots, cannot be reached.
        """
        recovery = recovery_of(current)
        if recovery_steps.needs_schedule(recovery):
            return self._within(self.read_limit, current, self._read_schedule)
        if run := recovery_steps.follows_backup(recovery):
            return self._within(self.read_limit, current, self._read_job if run.job_id else self._poll_backup)
        if recovery_steps.needs_backup(recovery, self.now()) and self._has_slot(current):
            return self._within(self.write_limit, current, self._back_up)
        hint = self.latest_points.newest(current.instance)
        if not recovery_steps.needs_proof(recovery, hint, self.now()):
            return recovery_steps.keep_watching(current, self.now())
        return self._within(self.read_limit, current, self._read_points)

    def _within(
        self, limit: RateLimiter, current: Remediation, call: Callable[[Remediation], Remediation]
    ) -> Remediation:
        """Make the call if the subscription's rate limit has a slot now; else wait for the slot."""
        if current.slot_at is None:
            slot_at = limit.slot(current.instance.subscription_id)
            if slot_at > self.now():
                return replace(current, slot_at=slot_at, due_at=slot_at)
        return call(current)

    def _has_slot(self, current: Remediation) -> bool:
        if self.slots.take(current.instance, current.id):
            return True
        logs.info("backup.capped", remediationId=current.id, backupInstanceId=str(current.instance))
        return False

    def _read_schedule(self, current: Remediation) -> Remediation:
        schedule = self.backups.schedule(current.instance)
        return recovery_steps.on_schedule(current, schedule, self.timeout, self._moment())

    def _read_points(self, current: Remediation) -> Remediation:
        points = self.backups.points(current.instance, recovery_of(current).is_continuous)
        return recovery_steps.on_points(current, points, self._moment())

    def _back_up(self, current: Remediation) -> Remediation:
        recovery = recovery_of(current)
        request_id = str(uuid5(NAMESPACE_URL, f"{current.id}/backup"))
        result = self.backups.back_up(current.instance, recovery.rule or "", recovery.retention_tag, request_id)
        return recovery_steps.on_backup(current, result, self._moment())

    def _poll_backup(self, current: Remediation) -> Remediation:
        run = recovery_of(current).backup
        result = self.arm.operation(current.instance, run.operation_urls) if run else None
        return recovery_steps.on_backup_operation(current, result, self._moment()) if result else current

    def _read_job(self, current: Remediation) -> Remediation:
        run = recovery_of(current).backup
        result = self.backups.job(current.instance, run.job_id) if run and run.job_id else None
        return recovery_steps.on_job(current, result, self._moment()) if result else current

    def _moment(self) -> RecoveryMoment:
        return RecoveryMoment(self.now(), self.random())
