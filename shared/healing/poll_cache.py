"""What this process has read, stored or heard lately, so that it need not read or ask again.

Nothing here is believed for long: whatever a look makes of it is stored only if the row still has the ETag that is
remembered, and only an opening of the last seconds is submitted unread. A host that dies, or whose neighbour goes
on with the work, loses time and nothing else.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from threading import Lock
from typing import Generic, TypeVar

from shared.domain.remediation import Remediation, Status
from shared.storage.table_rows import SHARDS, Change, DueEntry, Stored, shard_of

_MOST_PER_SHARD = 4_000
"""As many as a tick reads. A process whose timer runs elsewhere remembers for nothing, and not without end."""

_JUST_OPENED = timedelta(seconds=10)
"""So long it may be thought that nobody has cancelled what was opened; its job is here in a second, mostly."""

POLLED = frozenset({Status.RUNNING, Status.VERIFYING})
"""What is looked at again and again until it ends."""

Key = TypeVar("Key")
Kept = TypeVar("Kept")


class Once(Generic[Key, Kept]):
    """Things that are kept until they are taken, the newest thousand of them."""

    _MOST = 1_000

    def __init__(self) -> None:
        """Keep nothing."""
        self._kept: dict[Key, Kept] = {}
        self._lock = Lock()

    def keep(self, key: Key, kept: Kept) -> None:
        """Keep it under this key."""
        with self._lock:
            self._kept[key] = kept
            if len(self._kept) > self._MOST:
                del self._kept[next(iter(self._kept))]

    def take(self, key: Key) -> Kept | None:
        """What was kept under this key, and is no longer."""
        with self._lock:
            return self._kept.pop(key, None)


class PollCache:
    """Remediations that were read or stored, each with how far looks have got since without storing it."""

    def __init__(self) -> None:
        """Know nothing."""
        self._known: dict[str, dict[str, Change]] = {shard: {} for shard in SHARDS}
        self._lock = Lock()
        self._openings = Once[str, Stored]()
        self._turns = {shard: Lock() for shard in SHARDS}

    def turn(self, shard: str) -> Lock:
        """Held by the one tick of this process that works on the shard."""
        return self._turns[shard]

    def keep_opening(self, stored: Stored) -> None:
        """Remember what was just opened, for its sync job."""
        self._openings.keep(stored.remediation.id, stored)

    def take_opening(self, remediation_id: str, now: datetime) -> Stored | None:
        """What was opened some seconds ago, once: a job that comes again reads what storage has of it."""
        stored = self._openings.take(remediation_id)
        return stored if stored and now - stored.remediation.opened_at < _JUST_OPENED else None

    def keep(self, stored: Stored, current: Remediation) -> None:
        """Remember a row, and how the remediation stands by now, if it is polled; the rest is due too seldom."""
        self._openings.take(current.id)
        known = self._known[shard_of(current.id)]
        if current.status not in POLLED:
            known.pop(current.id, None)
            return
        with self._lock:
            known[current.id] = Change(stored, current)
            if len(known) > _MOST_PER_SHARD:
                known.pop(next(iter(tuple(known))), None)

    def recall(self, entry: DueEntry) -> Change | None:
        """What is known of the entry's remediation; None too if another entry stood for it when it was read.

        Others may have moved the entry since: then what is remembered says nothing of this one.
        """
        change = self._known[shard_of(entry.remediation_id)].get(entry.remediation_id)
        return change if change and change.stored.names(entry) else None

    def forget(self, remediation_id: str) -> None:
        """It is about to be stored, or it was changed by others."""
        self._known[shard_of(remediation_id)].pop(remediation_id, None)

    def forget_others(self, shard: str, due: Collection[str]) -> None:
        """What is remembered and due no more was ended by others."""
        for remediation_id in [one for one in tuple(self._known[shard]) if one not in due]:
            self.forget(remediation_id)
