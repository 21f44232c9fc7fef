"""The next step of a remediation that is due: which call to Azure it needs, and how its result moves it on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain import lifecycle, state_machine, sync_jobs
from shared.domain.arm_results import InstanceResult
from shared.domain.policy import Policy
from shared.domain.remediation import Remediation, Status
from shared.domain.signal import SyncType
from shared.domain.state_machine import Moment
from shared.healing.instance_read import log_unknown_code, read_instance
from shared.healing.ports import Arm
from shared.healing.queue_front import QueueFront
from shared.healing.recovery_step import RecoveryStep
from shared.rate_limits.rate_limiter import RateLimiter


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """Takes one step of one remediation; stores nothing."""

    arm: Arm
    queue_front: QueueFront
    recovery: RecoveryStep
    read_limit: RateLimiter
    policy: Policy
    operation_timeout: timedelta
    now: Callable[[], datetime]
    random: Callable[[], float]

    def take(self, current: Remediation) -> Remediation:
        """The remediation after its next step; the same if it is not due.

        Raises:
            azure.core.exceptions.AzureError: storage, which keeps the read limit, cannot be reached.
        """
        after = self._take(current)
        log_unknown_code(current, after, self.policy.error_codes)
        return after

    def _take(self, current: Remediation) -> Remediation:
        is_waiting = current.due_at is not None and current.due_at > self.now()
        if is_waiting or current.status.is_terminal:
            return current
        if current.status is Status.RECOVERING:
            return self.recovery.take(current)
        if current.status is Status.WAITING_TO_RETRY:
            if not lifecycle.may_retry(current, self.now()):
                return current  # due for an announcement only
            return lifecycle.start_next_attempt(current, self.policy.next_sync_type(current), self.now())
        if current.status is Status.QUEUED:
            return self._look_after_job(current)
        if current.status is Status.RUNNING:
            current = self._wait_for_slot(current) or self._poll_operation(current)
        if current.status is Status.VERIFYING:
            current = self._wait_for_slot(current) or self._read_instance(current)
        return current

    def _look_after_job(self, current: Remediation) -> Remediation:
        """Its sync job waits in a long queue, or got lost; or a crash took the record of its call."""
        if not self.queue_front.has_passed(sync_jobs.job_visible_at(current)):
            return sync_jobs.wait_in_queue(current, self.now())
        if current.attempt.sync_type is SyncType.FORCE_RESYNC:
            return sync_jobs.requeue(current, self.now())
        asking = sync_jobs.job_lost(current, self.now())
        after = self._wait_for_slot(asking) or self._read_instance(asking)
        # That the instance is as broken as before is no news: the history need not grow each minute.
        if after.status is not Status.QUEUED:
            return after
        return sync_jobs.requeue(current, self.now(), after.protection_state_before)

    def _wait_for_slot(self, current: Remediation) -> Remediation | None:
        """The remediation as it waits for its turn within the subscription's read limit; None if it has a slot."""
        wait = self.read_limit.admit(current.instance.subscription_id, has_turn=current.slot_at is not None)
        return state_machine.wait_for_slot(current, wait) if wait else None

    def _poll_operation(self, current: Remediation) -> Remediation:
        seen = None
        if state_machine.is_followed_in_vain(current):
            # Read before the poll: a status URL that is throttled leaves no slot for a read after it.
            seen, moment = self._read(current), replace(self._moment(current), is_expired=False)
            current = state_machine.on_instance_read_beside(current, seen, moment)
            if current.status.is_terminal:
                return current
            # Counted, but not waited for: who waits would begin with the instance again.
            self.read_limit.take(current.instance.subscription_id)
        elif state_machine.asks_instance_instead(current, self._moment(current).is_expired):
            return state_machine.on_instance_read_instead(current, self._read(current), self._moment(current))
        result = self.arm.operation(current.instance, current.attempt.operation_urls)
        moment = self._moment(current)
        polled = state_machine.on_operation_status(current, result, moment)
        if not state_machine.needs_instance(polled, result, moment):
            return polled
        if seen is None:
            if not self.read_limit.take(current.instance.subscription_id):
                return polled  # the next poll comes, and the instance can be read beside it then
            seen = self._read(current)
        return state_machine.on_instance_read_beside(polled, seen, moment)

    def _read_instance(self, current: Remediation) -> Remediation:
        return state_machine.on_instance_read(current, self._read(current), self._moment(current))

    def _read(self, current: Remediation) -> InstanceResult:
        return read_instance(self.arm, current)

    def _moment(self, current: Remediation) -> Moment:
        now = self.now()
        return Moment(
            now,
            self.random(),
            self.policy.retry_in(current, now),
            state_machine.is_expired(current, self.operation_timeout, now),
            self.policy.early_retry_in(current, now),
            self.policy.error_codes.class_of,
        )
