"""A look at a remediation that is due: what is asked of whom, and how it moves on.

One look is one step of the story. The tick takes many of them side by side and stores what they come to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.clients.arm import ArmClient
from shared.domain import state_machine
from shared.domain.arm_results import OperationUnknown
from shared.domain.remediation import Remediation, Status
from shared.domain.signal import SyncType
from shared.rate_limits.rate_limiter import RateLimiter
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class NextStep:
    """Looks at what is due, with these parts."""

    arm: ArmClient
    reads: RateLimiter
    settings: Settings
    now: Callable[[], datetime]
    random: Callable[[], float]

    def take(self, current: Remediation) -> Remediation:
        """Where the remediation stands after this look; itself if it is not due.

        Raises:
            azure.core.exceptions.AzureError: storage, which keeps the read budget, cannot be reached.
        """
        if current.due_at is not None and current.due_at > self.now():
            return current
        after = self._next(current)
        return state_machine.close_unless_announced(after, announce=self.settings.outcome_topic_endpoint is not None)

    def _next(self, current: Remediation) -> Remediation:
        if current.status.is_terminal:
            return current
        ended = state_machine.time_out_if_expired(current, self.settings.operation_timeout, self.now())
        if ended is not None:
            return ended
        if current.status is Status.WAITING_TO_RETRY:
            asked_for = current.attempts[0].sync_type
            number = current.attempt.number + 1
            return state_machine.start_next_attempt(
                current, self.settings.policy().sync_type(number, asked_for), self.now()
            )
        if current.status is Status.QUEUED:
            return self._unanswered(current)
        if current.status is Status.RUNNING:
            current = self._ask(current, self._operation)
        if current.status is Status.VERIFYING:
            current = self._ask(current, self._instance)
        return current

    def _unanswered(self, current: Remediation) -> Remediation:
        """Its sync job got lost; or a crash took the record of its call, and the instance shows what came of it."""
        if current.attempt.sync_type is SyncType.FORCE_RESYNC:
            return state_machine.requeue(current, self.now())
        asked = self._ask(state_machine.job_lost(current, self.now()), self._instance)
        # That the instance is as broken as before is no news: the story need not grow each minute.
        return state_machine.requeue(current, self.now()) if asked.status is Status.QUEUED else asked

    def _ask(self, current: Remediation, question: Callable[[Remediation], Remediation]) -> Remediation:
        """Ask Azure, or wait for a slot of the subscription's read budget."""
        if current.slot_at is None:
            slot_at = self.reads.slot(current.instance.subscription_id)
            if slot_at > self.now():
                return state_machine.wait_for_read_slot(current, slot_at)
        return question(current)

    def _operation(self, current: Remediation) -> Remediation:
        operation = current.attempt.operation
        answer = self.arm.operation(current.instance, operation) if operation else OperationUnknown()
        retry = self.settings.policy().retry_delay(current.attempt.number)
        return state_machine.on_operation_status(current, answer, self.now(), self.random(), retry)

    def _instance(self, current: Remediation) -> Remediation:
        answer = self.arm.read(current.instance)
        retry = self.settings.policy().retry_delay(current.attempt.number)
        return state_machine.on_instance_read(current, answer, self.now(), self.random(), retry)
