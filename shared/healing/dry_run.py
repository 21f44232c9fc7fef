"""Dry run: what a request would do, by the policy and by what Azure shows of the instance. No remediation is written.

The read counts in the limit for reads, like that of a heal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.domain.instance_view import InstanceView, not_asked, view_of
from shared.domain.signal import Signal, SyncType
from shared.healing.intake import Intake, Preview
from shared.healing.ports import ArmReads
from shared.rate_limits.rate_limiter import RateLimiter


@dataclass(frozen=True, slots=True)
class DryRunResult:
    """The effect that a request would have."""

    preview: Preview
    view: InstanceView | None
    """Of the instance in Azure; None if the policy drops the request."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """Says what requests would do."""

    intake: Intake
    arm: ArmReads
    read_limit: RateLimiter
    now: Callable[[], datetime]

    def run(self, signal: Signal, deadline: datetime) -> DryRunResult:
        """Ask the policy, and Azure if it admits the signal.

        Args:
            deadline: from then on Azure is not asked.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        preview = self.intake.preview(signal)
        return DryRunResult(preview, self._look(signal, preview.sync_type, deadline) if preview.sync_type else None)

    def _look(self, signal: Signal, sync_type: SyncType, deadline: datetime) -> InstanceView:
        if self.now() >= deadline:
            return not_asked("the time for this request is over; ask for fewer instances at once")
        if not self.read_limit.take(signal.instance.subscription_id):
            return not_asked("the limit for reads of this subscription is used up; ask again in some seconds")
        return view_of(self.arm.read(signal.instance), sync_type, self.intake.policy.error_codes)
