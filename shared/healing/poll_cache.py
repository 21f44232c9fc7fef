"""In-process cache of remediations being polled, and of what was just opened.

Nothing here is believed for long: whatever a poll makes of it is stored only if the row still has the ETag that is
cached, and only an opening of the last seconds is submitted unread. A host that dies, or whose neighbour goes on
with the work, loses time and nothing else.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from threading import Lock
from typing import Generic, TypeVar

from shared.domain.remediation import Remediation, Status
from shared.storage.table_rows import SHARDS, Change, DueEntry, Stored, shard_of

_MAX_PER_SHARD = 4_000
"""As many as a poll run reads. A process whose timer runs elsewhere caches for nothing, and not without end."""
_MAX_OPENING_AGE = timedelta(seconds=10)
"""So long it may be thought that nobody has cancelled what was opened; its job is here in a second, mostly."""
POLLED = frozenset({Status.RUNNING, Status.VERIFYING})
"""The statuses in which a remediation is polled again and again."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class TakeOnceCache(Generic[Key, Value]):
    """Values that are kept until they are taken, the newest thousand of them."""

    _MAX_VALUES = 1_000

    def __init__(self) -> None:
        self._values: dict[Key, Value] = {}
        self._lock = Lock()

    def keep(self, key: Key, value: Value) -> None:
        """Keep it under this key."""
        with self._lock:
            self._values[key] = value
            if len(self._values) > self._MAX_VALUES:
                del self._values[next(iter(self._values))]

    def take(self, key: Key) -> Value | None:
        """Remove and return the value under this key."""
        with self._lock:
            return self._values.pop(key, None)


class PollCache:
    """Remediations as they were read or stored, each with how far polls have got since without storing it."""

    def __init__(self) -> None:
        self._changes: dict[str, dict[str, Change]] = {shard: {} for shard in SHARDS}
        self._lock = Lock()
        self._openings = TakeOnceCache[str, Stored]()
        self._shard_locks = {shard: Lock() for shard in SHARDS}

    def shard_lock(self, shard: str) -> Lock:
        """Held by the one poll run of this process that works on the shard."""
        return self._shard_locks[shard]

    def keep_opening(self, stored: Stored) -> None:
        """Cache what was just opened, for its sync job."""
        self._openings.keep(stored.remediation.id, stored)

    def take_opening(self, remediation_id: str, now: datetime) -> Stored | None:
        """The row of an opening of the last seconds, once: a job that comes again reads what storage has of it."""
        stored = self._openings.take(remediation_id)
        return stored if stored and now - stored.remediation.opened_at < _MAX_OPENING_AGE else None

    def keep(self, stored: Stored, current: Remediation) -> None:
        """Cache a row, and how the remediation stands by now, if it is polled; the rest is due too seldom."""
        self._openings.take(current.id)
        changes = self._changes[shard_of(current.id)]
        if current.status not in POLLED:
            changes.pop(current.id, None)
            return
        with self._lock:
            changes[current.id] = Change(stored, current)
            if len(changes) > _MAX_PER_SHARD:
                changes.pop(next(iter(tuple(changes))), None)

    def recall(self, entry: DueEntry) -> Change | None:
        """The cached state of the entry's remediation; None too if another entry stood for it when it was read.

        Others may have moved the entry since: then the cache says nothing about this one.
        """
        change = self._changes[shard_of(entry.remediation_id)].get(entry.remediation_id)
        return change if change and change.stored.due_entry == entry else None

    def forget(self, remediation_id: str) -> None:
        """Drop it: it is about to be stored, or was changed by others."""
        self._changes[shard_of(remediation_id)].pop(remediation_id, None)

    def forget_others(self, shard: str, due: Collection[str]) -> None:
        """Drop what is due no more: others have ended it."""
        for remediation_id in [each for each in tuple(self._changes[shard]) if each not in due]:
            self.forget(remediation_id)
