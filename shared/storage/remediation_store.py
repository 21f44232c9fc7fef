"""Azure Table storage: remediations, who is being healed, and what is due.

One table; what its rows hold is in `rows`. The partition, one of four shards, follows from the instance's key, so
that all rows of an instance can change in one transaction. Few shards make large transactions, which cost a fraction
for each row; each takes 2,000 rows a second ("Scalability and performance targets for Table storage"). Beside
them, in a partition of its own, stands a row for each bucket of calls (see `pacing` and `turns`).

An invariant keeps the index cheap: an active remediation has a due entry at its `due_at` or earlier, named by
its row's `EntryAt`. So a save that only moves the due time later writes one row; the next tick that meets the
early entry moves it. Entries that no row names are spare and are removed when met.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate, chain
from typing import Any

from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.data.tables import TableClient, TableTransactionError, UpdateMode

from shared.clock import to_millis
from shared.domain.remediation import Remediation, Status, id_prefix, instance_key_of
from shared.domain.remediation_json import CorruptDocument
from shared.domain.resource_ids import BackupInstanceId
from shared.storage.table_rows import (
    Change,
    DueEntry,
    LatestPointer,
    Saved,
    Stored,
    entry_after,
    entry_row,
    etag_of,
    only_if,
    pointer_in,
    pointer_key,
    pointer_row,
    read_entry,
    remediation_row,
    runs_of,
    shard_of,
    shard_of_instance,
    stored_in,
)

TABLE_NAME = "remediations"
BATCH_SIZE = 200
"""Remediations that are best read at once: many more than a query costs beside its rows, some hundred KiB."""
_ALTERNATIVES = 12
"""A filter may hold 15 comparisons (Table service, "Querying tables and entities"); three give the range."""
MAX_OPENINGS = 100
"""More than any daily cap counts to."""
_TOO_LARGE = 413
_CHANGES_PER_TRANSACTION = 33
"""Each change is up to three of the 100 operations of a transaction."""
_PURGED_TOGETHER = 50
"""Each with its owner."""

_CONFLICTS = frozenset({404, 409, 412})
"""Not there, there already, changed meanwhile: what a row's rivals leave behind."""

_ENDED = frozenset(status.value for status in Status if status.is_terminal)
_Operation = tuple[str, Mapping[str, Any], dict[str, Any]]
_Answers = Sequence[Mapping[str, Any]]
"""What storage says to each operation: its row's new ETag."""


class WriteConflict(Exception):
    """Somebody else changed this instance's rows first: read again, or leave it to them."""


class RemediationStore:
    """The rows of all remediations. Raises `azure.core.exceptions.AzureError` where storage cannot be reached."""

    def __init__(self, table: TableClient) -> None:
        """Keep everything in this table."""
        self._table = table

    def open(self, remediation: Remediation, owner: LatestPointer | None) -> Stored | None:
        """Begin a remediation: claim its instance, then write its due entry and its row.

        The claim holds the whole opening, so that whoever finds it without the others can finish it. Three single
        writes cost half of what a transaction of three does.

        Args:
            owner: the owner row as it was read; None if the instance never had one.

        Returns:
            What is stored; None if somebody else has written the row already, and perhaps moved it on.

        Raises:
            LostRace: the instance has another owner by now.
        """
        openings = (remediation.opened_at, *(owner.opened if owner else ()))[:MAX_OPENINGS]
        claim = pointer_row(remediation, openings)
        if owner is not None:
            self._commit([("update", claim, {**only_if(owner.etag), "mode": UpdateMode.REPLACE})])
        elif self._create(claim) is None:
            raise WriteConflict(f"{remediation.instance} has an owner")
        return self.finish_opening(remediation)

    def finish_opening(self, opening: Remediation) -> Stored | None:
        """Write what a claim has promised, if it is not there yet; returns as `open`.

        The entry comes first: what is not looked at would wait for ever. It may come once more than it is needed,
        and is then a spare one.
        """
        entry = DueEntry(opening.id, opening.opened_at)
        self._table.upsert_entity(entry_row(entry))
        etag = self._create(remediation_row(opening, entry.at))
        return Stored(opening, etag, entry.at) if etag else None

    def owner(self, instance: BackupInstanceId) -> LatestPointer | None:
        """Whose remediation is the instance's latest."""
        return self._owner(shard_of_instance(instance), instance.key)

    def owner_beside(self, remediation_id: str) -> LatestPointer | None:
        """The owner of the instance to which this remediation belongs, or would."""
        return self._owner(shard_of(remediation_id), instance_key_of(remediation_id))

    def load(self, remediation_id: str) -> Stored | None:
        """A remediation by its id: one point read.

        Raises:
            CorruptDocument: the row is there and cannot be read.
        """
        try:
            row = self._table.get_entity(shard_of(remediation_id), f"r:{remediation_id}")
        except ResourceNotFoundError:
            return None
        return stored_in(row)

    def load_together(self, remediation_ids: Iterable[str]) -> dict[str, Stored | CorruptDocument]:
        """Remediations of one shard, by twelve in a query: a seventh of what as many point reads cost.

        Returns:
            What is there, by id; a row that cannot be read stands as its error, so that it is alone with it.
        """
        ids, found = sorted(remediation_ids), dict[str, Stored | CorruptDocument]()
        for start in range(0, len(ids), _ALTERNATIVES):
            some = ids[start : start + _ALTERNATIVES]
            any_of = " or ".join(f"RowKey eq 'r:{remediation_id}'" for remediation_id in some)
            # The range spares storage a scan of the whole partition for the alternatives.
            found |= self._load_range(some[0], some[-1], any_of)
        return found

    def load_due(self, entries: Sequence[DueEntry]) -> dict[str, Stored | CorruptDocument]:
        """What stands behind entries of one shard, best some `TOGETHER`; returns as `load_together`.

        What was opened in the same minutes stands side by side, and is read at a third of what `load_together` costs.
        """
        wanted, found = {entry.remediation_id for entry in entries}, dict[str, Stored | CorruptDocument]()
        for run in runs_of(entries):
            if len(run) > _ALTERNATIVES:
                first, *_, last = run
                millis = sorted(f"{to_millis(entry.at):013d}" for entry in run)
                due_like_these = f"EntryAt ge '{millis[0]}' and EntryAt le '{millis[-1]}'"
                # Nearly every document has one part; with the Timestamp the SDK has an ETag in any case.
                parts = ["RowKey", "EntryAt", "Document0", "Timestamp"]
                found |= self._load_range(first.remediation_id, last.remediation_id, due_like_these, parts)
        whole = {one: found[one] for one in wanted & found.keys() if isinstance(found[one], Stored)}
        return whole | self.load_together(wanted - whole.keys())

    def save(self, stored: Stored, after: Remediation) -> Stored:
        """Replace a remediation if nobody else has.

        Returns:
            What is stored now.

        Raises:
            LostRace: somebody has.
        """
        if after.due_at is not None and after.due_at < stored.entry_at:
            entry_at, operations = after.due_at, _replacement(Change(stored, after), remove_old_entry=False)
        else:
            entry_at, operations = stored.entry_at, [_update(stored, remediation_row(after, stored.entry_at))]
        return Stored(after, str(self._commit(operations)[0]["etag"]), entry_at)

    def save_all(self, changes: Iterable[Change]) -> Iterator[Saved]:
        """Store what a tick did, in large transactions, each change with its due entry moved.

        Yields:
            What is stored, as soon as it is; the other changes lost a race and are left to the winner.
        """
        by_shard: dict[str, list[Change]] = {}
        for change in changes:
            by_shard.setdefault(shard_of(change.after.id), []).append(change)
        for of_shard in by_shard.values():
            for start in range(0, len(of_shard), _CHANGES_PER_TRANSACTION):
                yield from self._save_together(of_shard[start : start + _CHANGES_PER_TRANSACTION])

    def due(self, shard: str, now: datetime, most: int) -> list[DueEntry]:
        """The entries of a shard up to now, soonest first, no more than asked for."""
        entries: list[DueEntry] = []
        for row in self._entries(shard, until=now, page=most):
            entries.append(read_entry(row["RowKey"]))
            if len(entries) == most:
                break
        return entries

    def soonest(self, shard: str) -> DueEntry | None:
        """The first entry of a shard, due or not."""
        for row in self._entries(shard, until=None, page=1):
            return read_entry(row["RowKey"])
        return None

    def purge(self, shard: str, opened_before: datetime) -> int:
        """Remove what has ended of the remediations that were opened before then, and who owned nothing since.

        Returns:
            How many remediations were removed.
        """
        # Ids count down with time: what is older sorts behind.
        older = id_prefix(opened_before)
        rows = self._table.query_entities(
            f"PartitionKey eq '{shard}' and RowKey gt 'r:{older}' and RowKey lt 'r;'",
            results_per_page=1000,
            select=["PartitionKey", "RowKey", "Status"],
        )
        # A status that this version does not know is left to one that does.
        ended = [row for row in rows if row.get("Status") in _ENDED]
        owners = self._table.query_entities(
            f"PartitionKey eq '{shard}' and RowKey gt 'o:' and RowKey lt 'o;' and Remediation gt '{older}'",
            results_per_page=1000,
            select=["PartitionKey", "RowKey", "Remediation", "Timestamp"],
        )
        owner_of = {f"r:{owner['Remediation']}": owner for owner in owners}
        for start in range(0, len(ended), _PURGED_TOGETHER):
            some = ended[start : start + _PURGED_TOGETHER]
            unused = [owner_of[row["RowKey"]] for row in some if row["RowKey"] in owner_of]
            self._table.submit_transaction(
                [*(("delete", row) for row in some), *(("delete", owner, only_if(etag_of(owner))) for owner in unused)]
            )
        return len(ended)

    def put_off(self, entry: DueEntry, at: datetime) -> None:
        """Look at what cannot be read again at that time; the row names the new entry, should it be mended by then.

        Raises:
            LostRace: there is no such row.
        """
        later = DueEntry(entry.remediation_id, at)
        row = {"PartitionKey": shard_of(entry.remediation_id), "RowKey": f"r:{entry.remediation_id}"}
        self._commit(
            [
                ("update", {**row, "EntryAt": f"{to_millis(at):013d}"}, {"mode": UpdateMode.MERGE}),
                ("upsert", entry_row(later), {}),
                ("delete", entry_row(entry), {}),
            ]
        )

    def drop_entry(self, entry: DueEntry) -> None:
        """Remove an entry that no remediation names; that it is gone already is as good."""
        row = entry_row(entry)
        self._table.delete_entity(row["PartitionKey"], row["RowKey"])

    def _owner(self, shard: str, instance_key: str) -> LatestPointer | None:
        try:
            return pointer_in(self._table.get_entity(shard, pointer_key(instance_key)))
        except ResourceNotFoundError:
            return None

    def _create(self, row: Mapping[str, Any]) -> str | None:
        """The new row's ETag; None if there is one with its key, which is left as it is."""
        try:
            # To try again is safe here, though the SDK cannot know it: what was written unnoticed is found.
            again = {"retry_on_methods": ["POST"]}
            return str(self._table.create_entity(row, response_preference="return-no-content", **again)["etag"])
        except ResourceExistsError:
            return None

    def _entries(self, shard: str, until: datetime | None, page: int) -> Iterator[Mapping[str, Any]]:
        last = "d;" if until is None else f"d:{to_millis(until):013d};"
        # ";" follows ":" in ASCII: it ends the range behind every key that begins like this.
        return self._table.query_entities(
            f"PartitionKey eq '{shard}' and RowKey gt 'd:' and RowKey lt '{last}'",
            results_per_page=min(page, 1000),
            select=["RowKey"],
        )

    def _load_range(
        self, first_id: str, last_id: str, condition: str, select: list[str] | None = None
    ) -> dict[str, Stored | CorruptDocument]:
        in_range = f"RowKey ge 'r:{first_id}' and RowKey le 'r:{last_id}'"
        query = f"PartitionKey eq '{shard_of(first_id)}' and {in_range} and ({condition})"
        found: dict[str, Stored | CorruptDocument] = {}
        for row in self._table.query_entities(query, select=select):
            remediation_id = row["RowKey"].removeprefix("r:")
            try:
                found[remediation_id] = stored_in(row)
            except CorruptDocument as corrupt:
                found[remediation_id] = corrupt
        return found

    def _commit(self, operations: Sequence[_Operation]) -> _Answers:
        """Carry out these operations on rows of one remediation: all of them, or none.

        Raises:
            LostRace: somebody else changed one of the rows.
        """
        try:
            if len(operations) > 1:
                return self._table.submit_transaction(operations)
            # Half the price of a transaction of one.
            [(_, row, condition)] = operations
            return [self._table.update_entity(row, **condition)]
        except HttpResponseError as failure:
            if failure.status_code in _CONFLICTS:
                raise WriteConflict(str(failure)) from failure
            raise

    def _save_together(self, changes: Sequence[Change]) -> list[Saved]:
        replacements = [_replacement(change) for change in changes]
        try:
            answers = self._table.submit_transaction(chain.from_iterable(replacements))
        except TableTransactionError as failure:
            is_lost = failure.status_code in _CONFLICTS
            if not is_lost and (failure.status_code != _TOO_LARGE or len(changes) == 1):
                raise
            # One loser spoils the whole transaction, and so does too much text: halve it until it is alone.
            if len(changes) == 1:
                return []
            middle = len(changes) // 2
            return self._save_together(changes[:middle]) + self._save_together(changes[middle:])
        rows = accumulate((len(operations) for operations in replacements[:-1]), initial=0)
        return [_saved(change, str(answers[row]["etag"])) for change, row in zip(changes, rows, strict=True)]


def _saved(change: Change, etag: str) -> Saved:
    return Saved(change.stored.remediation, Stored(change.after, etag, entry_after(change)))


def _replacement(change: Change, remove_old_entry: bool = True) -> list[_Operation]:
    """The operations that store a change, its own row first: the row, and its due entry moved to the due time."""
    old = DueEntry(change.after.id, change.stored.entry_at)
    new = DueEntry(change.after.id, entry_after(change))
    is_over = change.after.due_at is None
    moves = not change.stored.names(new)
    operations = [_update(change.stored, remediation_row(change.after, new.at))]
    if moves:
        operations.append(("upsert", entry_row(new), {}))
    if remove_old_entry and (moves or is_over):
        operations.append(("delete", entry_row(old), {}))
    return operations


def _update(stored: Stored, row: Mapping[str, Any]) -> _Operation:
    return "update", row, {**only_if(stored.etag), "mode": UpdateMode.REPLACE}
