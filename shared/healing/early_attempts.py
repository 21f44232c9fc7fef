"""Brings the next attempts of remediations forward, by compare-and-swap, wherever they wait."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from shared.domain.remediation import Remediation, Status
from shared.healing.transition_log import log_transitions
from shared.storage.remediation_store import BATCH_SIZE, RemediationStore
from shared.storage.table_rows import SHARDS, Change, Saved, Stored, shard_of

_MAX_DUE_PER_SHARD = 4_000
"""Due entries that are looked through, soonest first; who waits behind them is left to the retry delays."""
_MAX_TRIES = 3
"""Of a remediation that others keep changing; left to the retry delays after that."""


def waiting(store: RemediationStore) -> Iterator[Stored]:
    """The remediations that wait for their next attempt: the due index has an entry for each.

    Raises:
        azure.core.exceptions.AzureError: storage cannot be reached.
    """
    for shard in SHARDS:
        entries = store.entries(shard, _MAX_DUE_PER_SHARD)
        for start in range(0, len(entries), BATCH_SIZE):
            for stored in store.load_due(entries[start : start + BATCH_SIZE]).values():
                if isinstance(stored, Stored) and stored.remediation.status is Status.WAITING_TO_RETRY:
                    yield stored


def bring_forward(
    store: RemediationStore, found: Sequence[Stored], earlier: Callable[[Remediation], Remediation | None]
) -> int:
    """Store them with their attempts brought forward, unless `earlier` says None; returns how many that are.

    Raises:
        azure.core.exceptions.AzureError: storage cannot be reached.
    """
    left, stored = list(found), 0
    for _ in range(_MAX_TRIES):
        changes = [Change(each, after) for each in left if (after := earlier(each.remediation)) is not None]
        lost = {change.after.id for change in changes}
        if not lost:
            break
        for saved in store.save_all(changes):
            if isinstance(saved, Saved):
                log_transitions(saved.before, saved.stored.remediation)
                stored += 1
            lost.discard(saved.stored.remediation.id if isinstance(saved, Saved) else saved.change.after.id)
        # Who lost against another writer is read again; one that cannot be read is reported by whoever polls it.
        again = (store.load_all(each for each in lost if shard_of(each) == shard).values() for shard in SHARDS)
        left = [each for each in chain.from_iterable(again) if isinstance(each, Stored)]
    return stored
