"""Wake: a repair in Azure brings forward the next attempts of those remediations that may have waited for it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError

from shared import logs
from shared.domain import state_machine, wake
from shared.domain.remediation import Remediation, Status
from shared.domain.repair import Repair
from shared.healing.transition_log import log_transitions
from shared.storage.conflicts import WriteConflict
from shared.storage.remediation_store import BATCH_SIZE, RemediationStore
from shared.storage.table_rows import SHARDS, Change, Saved, Stored

_MAX_DUE_PER_SHARD = 4_000
"""Due entries that are looked through, soonest first; who waits behind them is left to the retry delays."""
_MAX_TRIES = 3
"""Of a remediation that others keep changing; left to the retry delays after that."""


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
        woken = sum(self._wake_shard(shard, repair) for shard in SHARDS)
        logs.info("wake.done", operation=repair.operation, scope=repair.scope, woken=woken)
        return woken

    def _wake_shard(self, shard: str, repair: Repair) -> int:
        entries = self.store.entries(shard, _MAX_DUE_PER_SHARD)
        woken = 0
        for start in range(0, len(entries), BATCH_SIZE):
            found = self.store.load_due(entries[start : start + BATCH_SIZE])
            for _ in range(_MAX_TRIES):
                changes = list(self._changes(found.values(), repair))
                if not changes:
                    break
                woken += self._save(changes)
                # Those that are stored are not woken again, so that only who lost against another writer is left.
                found = self.store.load_all([change.after.id for change in changes])
        return woken

    def _changes(self, found: Iterable[object], repair: Repair) -> Iterator[Change]:
        for stored in found:
            if isinstance(stored, Stored):
                woken = wake.wake(stored.remediation, repair, self.delay, self.now())
                if woken is not None:
                    yield Change(stored, woken)

    def _save(self, changes: Sequence[Change]) -> int:
        saved = [each for each in self.store.save_all(changes) if isinstance(each, Saved)]
        for each in saved:
            log_transitions(each.before, each.stored.remediation)
        return len(saved)


def note_waiting(store: RemediationStore, steps: Iterable[tuple[Remediation, Remediation]]) -> None:
    """Note those that begin to wait for their next attempt, before their steps (before, after) are stored.

    That it cannot be noted is logged, and costs nothing but the wake.
    """
    begun = [
        (wake.groups_of(after), retry_at)
        for before, after in steps
        if after.status is Status.WAITING_TO_RETRY
        and (retry_at := state_machine.retry_at_of(after)) is not None
        and (before.status is not after.status or retry_at != state_machine.retry_at_of(before))
    ]
    if not begun:
        return
    try:
        store.waiting_groups.note(begun)
    except (AzureError, WriteConflict) as failure:
        logs.warning("waiting.not_noted", count=len(begun), reason=logs.describe_exception(failure))
