"""Reads what is due: the due entries of each shard, and the remediations behind them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import NamedTuple

from azure.core.exceptions import AzureError

from shared.domain.remediation_json import CorruptDocument
from shared.healing.poll_cache import POLLED, PollCache
from shared.healing.shard_failures import ShardFailures
from shared.storage.remediation_store import BATCH_SIZE, RemediationStore
from shared.storage.table_rows import SHARDS, Change, DueEntry, Stored, shard_of

_MAX_DUE_PER_SHARD = 4_000
_MAX_CACHED_WAIT = timedelta(seconds=20)
"""How far ahead the next poll may be for what is known to be kept in the cache only."""
_MAX_CACHE_LAG = timedelta(minutes=2)
"""How long a due entry may stay behind what is cached: as long may other hosts not know how far it is."""

Due = Mapping[str, Sequence[DueEntry]]
"""The due entries of each shard, soonest first."""


class DueRow(NamedTuple):
    """A due entry and its remediation: the row as it was read, or why it cannot be; None if there is none."""

    entry: DueEntry
    row: Change | CorruptDocument | None


@dataclass(frozen=True, slots=True)
class DueReader:
    """Reads due entries, and by way of the cache their remediations."""

    store: RemediationStore
    cache: PollCache
    now: Callable[[], datetime]
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(len(SHARDS)), init=False)

    def due(self, shards: Sequence[str], until: datetime, failures: ShardFailures) -> Due:
        """The entries of these shards that are really due; those that wait in the cache for a later time are not.

        A shard that cannot be read is left out, and noted among the failures.
        """
        reads = {shard: self._threads.submit(self.store.due, shard, until, _MAX_DUE_PER_SHARD) for shard in shards}
        due = {}
        for shard, read in reads.items():
            try:
                due[shard] = self._really_due(shard, read.result(), until)
            except AzureError as failure:
                failures.add("shard.unreadable", shard, failure)
        return due

    def due_at(self, entry: DueEntry) -> datetime:
        """When it is due really: what is cached may be due later than its entry says."""
        cached = self.cache.recall(entry)
        return (cached.after.due_at if cached else None) or entry.at

    def oldest(self, due: Due) -> datetime | None:
        """When the first of these was due; None if there are none."""
        return min((self.due_at(entries[0]) for entries in due.values() if entries), default=None)

    def rows(self, due: Due, deadline: datetime, failures: ShardFailures) -> Iterator[DueRow]:
        """Each entry with its remediation while there is time; those that storage does not give stay due."""
        for batch in self._batches(due):
            if self.now() > deadline:
                return
            shard = shard_of(batch[0].remediation_id)
            if shard not in failures:
                try:
                    rows = self._read(batch)
                except AzureError as failure:
                    failures.add("tick.cut_short", shard, failure)
                else:
                    yield from rows

    def _really_due(self, shard: str, entries: Sequence[DueEntry], until: datetime) -> list[DueEntry]:
        self.cache.forget_others(shard, {entry.remediation_id for entry in entries})
        return sorted((entry for entry in entries if not self._waits_in_cache(entry, until)), key=self.due_at)

    def _waits_in_cache(self, entry: DueEntry, now: datetime) -> bool:
        cached = self.cache.recall(entry)
        return cached is not None and may_wait_in_cache(cached, now) and self.due_at(entry) > now

    def _batches(self, due: Due) -> list[Sequence[DueEntry]]:
        """Entries that can be read together, if they need be read: what is due for longest comes first."""
        batches = chain.from_iterable(
            (entries[start : start + BATCH_SIZE] for start in range(0, len(entries), BATCH_SIZE))
            for entries in due.values()
        )
        return sorted(batches, key=lambda batch: self.due_at(batch[0]))

    def _read(self, batch: Sequence[DueEntry]) -> list[DueRow]:
        cached = {entry: self.cache.recall(entry) for entry in batch}
        missing = [entry for entry, change in cached.items() if change is None]
        found = self.store.load_due(missing) if missing else {}
        read = {key: Change(row, row.remediation) if isinstance(row, Stored) else row for key, row in found.items()}
        return [DueRow(entry, change or read.get(entry.remediation_id)) for entry, change in cached.items()]


def may_wait_in_cache(change: Change, now: datetime) -> bool:
    """Whether its next poll is near, and others have known for long enough how far it is."""
    after, entry = change.after, change.stored.due_entry
    if after.status not in POLLED or after.due_at is None:
        return False
    return after.due_at - now <= _MAX_CACHED_WAIT and now - entry.at < _MAX_CACHE_LAG
