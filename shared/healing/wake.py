"""Wake: a repair in Azure brings forward the next attempts of those remediations that may have waited for it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError

from shared import logs
from shared.domain import lifecycle, wake
from shared.domain.incident import canaries_first
from shared.domain.remediation import Remediation, Status
from shared.domain.repair import Repair
from shared.healing.early_attempts import bring_forward, waiting
from shared.storage.conflicts import WriteConflict
from shared.storage.remediation_store import RemediationStore


@dataclass(frozen=True, slots=True)
class Wake:
    """Takes repairs in. Each may come twice, late, or to two hosts at once."""

    store: RemediationStore
    delay: timedelta
    """For a role to act."""
    now: Callable[[], datetime]

    def run(self, repair: Repair) -> int:
        """Bring forward what the repair may have mended; returns how many that are.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached; the trigger is to be run again.
        """
        if not self.store.waiting_groups.concerns(repair):
            return 0
        about = [stored for stored in waiting(self.store) if wake.is_about(repair, stored.remediation)]
        first = canaries_first(
            stored.remediation for stored in about if self._is_tried_soon(stored.remediation, repair)
        )
        chosen = [stored for stored in about if stored.remediation.id in first]
        woken = bring_forward(self.store, chosen, lambda each: wake.wake(each, repair, self.delay, self.now()))
        logs.info("wake.done", operation=repair.operation, scope=repair.scope, woken=woken, waiting=len(about))
        return woken

    def _is_tried_soon(self, remediation: Remediation, repair: Repair) -> bool:
        """Whether it is to be woken, or will be tried by then anyhow."""
        retry_at = lifecycle.retry_at_of(remediation)
        is_due = retry_at is not None and retry_at <= self.now() + self.delay
        return is_due or wake.wake(remediation, repair, self.delay, self.now()) is not None


def note_waiting(store: RemediationStore, steps: Iterable[tuple[Remediation, Remediation]]) -> None:
    """Note those that begin to wait for their next attempt, before their steps (before, after) are stored.

    That it cannot be noted is logged, and costs nothing but the wake.
    """
    begun = [
        (wake.groups_of(after), retry_at)
        for before, after in steps
        if after.status is Status.WAITING_TO_RETRY
        and (retry_at := lifecycle.retry_at_of(after)) is not None
        and (before.status is not after.status or retry_at != lifecycle.retry_at_of(before))
    ]
    if not begun:
        return
    try:
        store.waiting_groups.note(begun)
    except (AzureError, WriteConflict) as failure:
        logs.warning("waiting.not_noted", count=len(begun), reason=logs.describe_exception(failure))
