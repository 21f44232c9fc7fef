"""The store without Azure: the same promises in memory, with a word at every boundary that a crash could hit."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from shared.clock import from_millis, to_millis
from shared.documents import CorruptDocument
from shared.remediation import Remediation
from shared.resource_id import BackupInstanceId
from shared.rows import Change, DueEntry, Owner, Saved, Stored, entry_after, shard_of
from shared.store import LostRace, Store


def nothing() -> None:
    """A boundary at which nothing happens."""


class MemoryStore(Store):
    """Rows in dictionaries; ETags are numbers that never come back."""

    def __init__(self, boundary: Callable[[], None] = nothing) -> None:
        self._boundary = boundary
        self._rows: dict[str, Stored] = {}
        self._owners: dict[str, Owner] = {}
        self._entries_at: set[tuple[int, str]] = set()
        self._horizons: dict[str, datetime] = {}
        self._etags = 0

    def open(self, remediation: Remediation, owner: Owner | None) -> None:
        self._boundary()
        key = remediation.instance.key
        known = self._owners.get(key)
        if (known and known.etag) != (owner and owner.etag) or remediation.id in self._rows:
            raise LostRace(remediation.id)
        openings = (remediation.opened_at, *(owner.opened if owner else ()))
        self._owners[key] = Owner(remediation.id, openings, self._etag())
        self._rows[remediation.id] = Stored(remediation, self._etag(), remediation.opened_at)
        self._enter(remediation.id, remediation.opened_at)
        self._boundary()

    def owner(self, instance: BackupInstanceId) -> Owner | None:
        self._boundary()
        return self._owners.get(instance.key)

    def load(self, remediation_id: str) -> Stored | None:
        self._boundary()
        return self._rows.get(remediation_id)

    def load_together(self, remediation_ids: Sequence[str]) -> dict[str, Stored | CorruptDocument]:
        self._boundary()
        return {one: self._rows[one] for one in remediation_ids if one in self._rows}

    def save(self, stored: Stored, after: Remediation) -> Stored:
        self._boundary()
        self._check(stored)
        entry_at = stored.entry_at
        if after.due_at is not None and after.due_at < entry_at:
            entry_at = after.due_at
            self._enter(after.id, entry_at)
        saved = self._rows[after.id] = Stored(after, self._etag(), entry_at)
        self._boundary()
        return saved

    def save_all(self, changes: Iterable[Change]) -> Iterator[Saved]:
        for change in changes:
            self._boundary()
            try:
                yield self._move(change)
            except LostRace:
                continue
        self._boundary()

    def due(self, shard: str, now: datetime, most: int) -> list[DueEntry]:
        self._boundary()
        until = to_millis(now)
        found = sorted(entry for entry in self._entries_at if entry[0] <= until and shard_of(entry[1]) == shard)
        return [DueEntry(remediation_id, from_millis(millis)) for millis, remediation_id in found[:most]]

    def soonest(self, shard: str) -> DueEntry | None:
        found = sorted(entry for entry in self._entries_at if shard_of(entry[1]) == shard)
        return DueEntry(found[0][1], from_millis(found[0][0])) if found else None

    def put_off(self, entry: DueEntry, at: datetime) -> None:
        stored = self._rows[entry.remediation_id]
        self._rows[entry.remediation_id] = Stored(stored.remediation, self._etag(), at)
        self._enter(entry.remediation_id, at)
        self.drop_entry(entry)

    def drop_entry(self, entry: DueEntry) -> None:
        self._boundary()
        self._entries_at.discard((to_millis(entry.at), entry.remediation_id))

    def move_horizon(self, bucket: str, move: Callable[[datetime | None], datetime]) -> datetime | None:
        self._boundary()
        before = self._horizons.get(bucket)
        self._horizons[bucket] = move(before)
        self._boundary()
        return before

    def horizon(self, bucket: str) -> datetime | None:
        self._boundary()
        return self._horizons.get(bucket)

    def remediations(self) -> list[Remediation]:
        """Everything that was ever opened."""
        return [stored.remediation for stored in self._rows.values()]

    def _move(self, change: Change) -> Saved:
        self._check(change.stored)
        after, old = change.after, change.stored.entry_at
        entry_at = entry_after(change)
        if after.due_at is None or to_millis(entry_at) != to_millis(old):
            self._entries_at.discard((to_millis(old), after.id))
        if after.due_at is not None:
            self._enter(after.id, entry_at)
        stored = Stored(after, self._etag(), entry_at)
        self._rows[change.after.id] = stored
        return Saved(change.stored.remediation, stored)

    def _check(self, stored: Stored) -> None:
        if self._rows[stored.remediation.id].etag != stored.etag:
            raise LostRace(stored.remediation.id)

    def _enter(self, remediation_id: str, at: datetime) -> None:
        self._entries_at.add((to_millis(at), remediation_id))

    def _etag(self) -> str:
        self._etags += 1
        return str(self._etags)
