"""Azure Table storage: remediations, the latest one of each instance, and what is due.

One table; `table_rows` describes its rows. The partition, one of four shards, follows from the instance's key, so
that all rows of an instance can change in one transaction. Few shards make large transactions, which cost a fraction
for each row; each takes 2,000 rows a second ("Scalability and performance targets for Table storage"). Beside them,
in a partition of its own, stands a row for each bucket of calls (`bucket_store`).

An invariant keeps the index cheap: an active remediation has a due entry at its `due_at` or earlier, named by its
row's `EntryAt`. So a save that only moves the due time later writes one row; the next poll run that meets the early
entry moves it. Entries that no row names are stale and are removed when met.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceResponseError,
)
from azure.data.tables import TableClient, UpdateMode

from shared.clock import to_millis, utc_now
from shared.domain import document_limits, sync_jobs
from shared.domain.remediation import (
    Remediation,
    Status,
    id_prefix,
    instance_key_of,
    is_remediation_id,
    opened_at_of,
)
from shared.domain.remediation_json import CorruptDocument
from shared.domain.resource_ids import BackupInstanceId
from shared.storage.change_writer import ChangeWriter, Operation, replacement, update
from shared.storage.corrupt_rows import CorruptRows
from shared.storage.incident_store import IncidentStore
from shared.storage.own_writes import REPEAT_UNANSWERED, new_write
from shared.storage.table_rows import (
    Change,
    CorruptRow,
    DueEntry,
    LatestPointer,
    Saved,
    Stored,
    Unsaved,
    due_entry,
    entry_in,
    entry_row,
    etag_of,
    only_if,
    pointer_in,
    pointer_key,
    pointer_row,
    remediation_row,
    runs_of,
    shard_of,
    shard_of_instance,
    stored_in,
)
from shared.storage.waiting_groups import WaitingGroups

TABLE_NAME = "remediations"
BATCH_SIZE = 200
"""Remediations that are best read at once: many more than a query costs beside its rows, some hundred KiB."""
MAX_OPENINGS = 100
"""Openings that a latest pointer remembers: more than any daily cap counts to."""
_MAX_ALTERNATIVES = 12
"""A filter may hold 15 comparisons (Table service, "Querying tables and entities"); three give the range."""
_MAX_PURGED_PER_TRANSACTION = 50
"""Each with its latest pointer."""
_PAGE_SIZE = 1000
"""Rows: the most that storage gives at once."""
_NO_ECHO = {"response_preference": "return-no-content"}
"""Storage is not to send a new row back."""
_TERMINAL = frozenset(status.value for status in Status if status.is_terminal)
Found = dict[str, Stored | CorruptDocument]
"""Remediations by id; a row that cannot be read stands as its error, so that it is alone with it."""


class RemediationStore:
    """The rows of all remediations. Raises `azure.core.exceptions.AzureError` where storage cannot be reached."""

    def __init__(self, table: TableClient, now: Callable[[], datetime] = utc_now) -> None:
        """Keep everything in this table."""
        self._table = table
        self._writer = ChangeWriter(table)
        self.corrupt_rows = CorruptRows(table, now)
        """Where this store, and whoever reads its rows, reports those that cannot be read."""
        self.incidents = IncidentStore(table, now)
        """Failures with the same code in the same vault."""
        self.waiting_groups = WaitingGroups(table, now)
        """Where something waits for its next attempt, so that an event about something else costs one read."""

    def open(self, remediation: Remediation, pointer: LatestPointer | None, opener: str | None = None) -> Stored:
        """Begin a remediation: claim its instance, and write its due entry and its row, all of them or none.

        The claim holds the whole opening: versions of the app that wrote one row after the other finish it by that,
        and so does this one what they have left undone (`resume_opening`).

        Args:
            pointer: the latest pointer as it was read; None if the instance never had one.
            opener: names the caller in the latest pointer, by which it knows its own opening again.

        Returns:
            The row, perhaps moved on by others already.

        Raises:
            WriteConflict: the instance has another latest remediation by now, or this one: the SDK repeats what was
                answered by a server error, also if it was carried out, and the repeat meets its own rows.
        """
        remediation = document_limits.limit(remediation)
        openings = (remediation.opened_at, *(pointer.opened if pointer else ()))[:MAX_OPENINGS]
        claim, entry = pointer_row(remediation, openings, opener), due_entry(remediation.id, remediation.opened_at)
        only_if_latest: Operation = (
            ("create", claim, _NO_ECHO)
            if pointer is None
            else ("update", claim, {**only_if(pointer.etag), "mode": UpdateMode.REPLACE})
        )
        row: Operation = ("create", remediation_row(remediation, entry), _NO_ECHO)
        try:
            etag = self._writer.commit([row, only_if_latest, ("upsert", entry_row(entry), {})])
        except (ServiceResponseError, HttpResponseError):
            # Perhaps it was written, and its answer got lost, or was an error of the front end.
            if written := self._written(remediation):
                return written
            raise
        return Stored(remediation, etag, entry)

    def resume_opening(self, pointer: LatestPointer, now: datetime) -> Remediation | None:
        """Finish what a host has claimed, and died before it wrote the row.

        Returns:
            The remediation as it was resumed; None if there is no such claim, or somebody else has written its row.
        """
        claim = pointer.unfulfilled_claim(now)
        if claim is None:
            return None
        resumed = sync_jobs.resume(claim, now)
        return resumed if self._fulfil_claim(resumed) else None

    def latest_pointer(self, instance: BackupInstanceId) -> LatestPointer | None:
        """Where the instance's latest remediation is."""
        return self._pointer(shard_of_instance(instance), instance.key)

    def latest_pointer_beside(self, remediation_id: str) -> LatestPointer | None:
        """The latest pointer of the instance to which this remediation belongs, or would."""
        return self._pointer(shard_of(remediation_id), instance_key_of(remediation_id))

    def touch(self, pointer: LatestPointer) -> None:
        """Have whoever is about to open the instance's next remediation read its latest one again.

        Raises:
            WriteConflict: somebody has opened it already.
        """
        key = instance_key_of(pointer.remediation_id)
        row = {"PartitionKey": shard_of(pointer.remediation_id), "RowKey": pointer_key(key)}
        self._writer.commit([("update", row, {**only_if(pointer.etag), "mode": UpdateMode.MERGE})])

    def load(self, remediation_id: str) -> Stored | None:
        """A remediation by its id: one point read.

        Raises:
            CorruptDocument: the row is there and cannot be read.
        """
        if not is_remediation_id(remediation_id):
            return None
        try:
            row = self._table.get_entity(shard_of(remediation_id), f"r:{remediation_id}")
        except ResourceNotFoundError:
            return None
        return stored_in(row)

    def load_all(self, remediation_ids: Iterable[str]) -> Found:
        """Remediations of one shard, by twelve in a query: a seventh of what as many point reads cost."""
        ids, found = sorted(remediation_ids), Found()
        for start in range(0, len(ids), _MAX_ALTERNATIVES):
            some = ids[start : start + _MAX_ALTERNATIVES]
            any_of = " or ".join(f"RowKey eq 'r:{remediation_id}'" for remediation_id in some)
            # The range spares storage a scan of the whole partition for the alternatives.
            found |= self._load_range(some[0], some[-1], any_of)
        return found

    def load_due(self, entries: Sequence[DueEntry]) -> Found:
        """The remediations of entries of one shard, best `BATCH_SIZE` of them.

        What was opened in the same minutes stands side by side, and is read at a third of what `load_all` costs.
        """
        wanted, found = {entry.remediation_id for entry in entries}, Found()
        for run in runs_of(entries):
            if len(run) > _MAX_ALTERNATIVES:
                first, *_, last = run
                millis = sorted(f"{to_millis(entry.at):013d}" for entry in run)
                due_like_these = f"EntryAt ge '{millis[0]}' and EntryAt le '{millis[-1]}'"
                # Nearly every document has one part; with the Timestamp the SDK has an ETag in any case.
                columns = ["RowKey", "EntryAt", "Document0", "Timestamp"]
                found |= self._load_range(first.remediation_id, last.remediation_id, due_like_these, columns)
        whole = {each: found[each] for each in wanted & found.keys() if isinstance(found[each], Stored)}
        return whole | self.load_all(wanted - whole.keys())

    def save(self, stored: Stored, after: Remediation) -> Stored:
        """Replace a remediation if nobody else has; returns the row now.

        Raises:
            WriteConflict: somebody has.
        """
        entry, after, write = stored.due_entry, document_limits.limit(after), new_write()
        if after.due_at is not None and after.due_at < entry.at:
            entry = due_entry(after.id, after.due_at)
            operations = replacement(Change(stored, after), write, keep_old=True)
        else:
            operations = [update(stored, remediation_row(after, entry, write))]
        return Stored(after, self._writer.commit(operations), entry)

    def save_all(self, changes: Iterable[Change]) -> Iterator[Saved | Unsaved]:
        """Store changes in large transactions, each with its due entry moved (`change_writer`)."""
        return self._writer.save_all(changes)

    def due(self, shard: str, now: datetime, limit: int) -> list[DueEntry]:
        """The entries of a shard up to now, soonest first, no more than asked for."""
        # ";" follows ":" in ASCII: it ends the range behind every key that begins like this.
        return list(islice(self._entries(shard, f"d:{to_millis(now):013d};", min(limit, _PAGE_SIZE)), limit))

    def entries(self, shard: str, limit: int) -> list[DueEntry]:
        """The first entries of a shard, due or not, soonest first, no more than asked for."""
        return list(islice(self._entries(shard, "d;", min(limit, _PAGE_SIZE)), limit))

    def soonest(self, shard: str) -> DueEntry | None:
        """The first entry of a shard, due or not."""
        return next(self._entries(shard, "d;", page_size=1), None)

    def purge(self, shard: str, over_before: datetime) -> int:
        """Remove remediations that were over before then, and latest pointers that name one of them.

        What has ended and is not announced yet is not over.

        Returns:
            How many remediations were removed.
        """
        # Ids count down with time, and what was over by then was opened before: what is older sorts behind.
        older = id_prefix(over_before)
        rows = self._table.query_entities(
            f"PartitionKey eq '{shard}' and RowKey gt 'r:{older}' and RowKey lt 'r;'",
            results_per_page=_PAGE_SIZE,
            select=["PartitionKey", "RowKey", "Status", "OverAt"],
        )
        # A status that this version does not know is left to one that does.
        over = self._over([row for row in rows if row.get("Status") in _TERMINAL], over_before)
        pointers = self._table.query_entities(
            f"PartitionKey eq '{shard}' and RowKey gt 'o:' and RowKey lt 'o;' and Remediation gt '{older}'",
            results_per_page=_PAGE_SIZE,
            select=["PartitionKey", "RowKey", "Remediation", "Timestamp"],
        )
        pointer_to = {f"r:{pointer['Remediation']}": pointer for pointer in pointers}
        for start in range(0, len(over), _MAX_PURGED_PER_TRANSACTION):
            some = over[start : start + _MAX_PURGED_PER_TRANSACTION]
            dangling = [pointer_to[row["RowKey"]] for row in some if row["RowKey"] in pointer_to]
            self._table.submit_transaction(
                [*(("delete", row) for row in some), *(("delete", row, only_if(etag_of(row))) for row in dangling)]
            )
        return len(over)

    def _over(self, ended: Sequence[Mapping[str, Any]], before: datetime) -> list[Mapping[str, Any]]:
        """Those of the rows whose remediations were over before then."""
        # Rows that an older version wrote do not say so themselves, nor do those that are not over.
        silent = [row["RowKey"].removeprefix("r:") for row in ended if "OverAt" not in row]
        found = self.load_all(filter(is_remediation_id, silent)) if silent else {}
        over = {
            f"r:{key}"
            for key, stored in found.items()
            if isinstance(stored, Stored) and stored.remediation.over_at and stored.remediation.over_at < before
        }
        limit = f"{to_millis(before):013d}"
        return [row for row in ended if (row["OverAt"] < limit if "OverAt" in row else row["RowKey"] in over)]

    def put_off(self, entry: DueEntry, at: datetime) -> None:
        """Poll what cannot be read or stored again at that time; the row names the new entry, should it be mended.

        Raises:
            WriteConflict: there is no such row.
        """
        later = due_entry(entry.remediation_id, at)
        row = {"PartitionKey": shard_of(entry.remediation_id), "RowKey": f"r:{entry.remediation_id}"}
        self._writer.commit(
            [
                ("update", {**row, "EntryAt": f"{to_millis(at):013d}"}, {"mode": UpdateMode.MERGE}),
                ("upsert", entry_row(later), {}),
                ("delete", entry_row(entry), {}),
            ]
        )

    def drop_entry(self, entry: DueEntry) -> None:
        """Remove a stale entry; that it is gone already is as good."""
        row = entry_row(entry)
        self._table.delete_entity(row["PartitionKey"], row["RowKey"])

    def _written(self, opening: Remediation) -> Stored | None:
        """Its row, if that is there."""
        try:
            return self.load(opening.id)
        except CorruptDocument:
            return None

    def _fulfil_claim(self, opening: Remediation) -> Stored | None:
        """Write the due entry and the row that a claim has promised, if the row is not there yet.

        The entry comes first: what is not polled would wait for ever. Where the row is there, the entry is stale.
        """
        entry = due_entry(opening.id, opening.opened_at)
        self._table.upsert_entity(entry_row(entry))
        etag = self._create(remediation_row(opening, entry))
        return Stored(opening, etag, entry) if etag else None

    def _pointer(self, shard: str, instance_key: str) -> LatestPointer | None:
        try:
            row = self._table.get_entity(shard, pointer_key(instance_key))
        except ResourceNotFoundError:
            return None
        try:
            return pointer_in(row)
        except CorruptRow as corrupt:
            self.corrupt_rows.report(shard, pointer_key(instance_key), str(corrupt))
            return self._pointer_from_rows(shard, instance_key, etag_of(row))

    def _pointer_from_rows(self, shard: str, instance_key: str, etag: str) -> LatestPointer:
        """The latest pointer as the instance's remediations have it; it is written when the next one opens."""
        rows = self._table.query_entities(
            f"PartitionKey eq '{shard}' and RowKey gt 'r:' and RowKey lt 'r;' and InstanceKey eq '{instance_key}'",
            select=["RowKey"],
        )
        names = (row["RowKey"].removeprefix("r:") for row in rows)
        ids = list(islice(filter(is_remediation_id, names), MAX_OPENINGS))
        return LatestPointer(ids[0] if ids else "", tuple(map(opened_at_of, ids)), etag)

    def _create(self, row: Mapping[str, Any]) -> str | None:
        """The new row's ETag; None if there is one with its key, which is left as it is."""
        try:
            # What was written unnoticed is found.
            options = {"response_preference": "return-no-content", **REPEAT_UNANSWERED}
            return str(self._table.create_entity(row, **options)["etag"])
        except ResourceExistsError:
            return None

    def _entries(self, shard: str, end: str, page_size: int) -> Iterator[DueEntry]:
        """The entries up to a key; one that cannot be read is removed: the entry that counts is named by its row."""
        rows = self._table.query_entities(
            f"PartitionKey eq '{shard}' and RowKey gt 'd:' and RowKey lt '{end}'",
            results_per_page=page_size,
            select=["PartitionKey", "RowKey"],
        )
        for row in rows:
            try:
                yield entry_in(row)
            except CorruptRow as corrupt:
                self.corrupt_rows.report(shard, row["RowKey"], str(corrupt))
                self._table.delete_entity(row["PartitionKey"], row["RowKey"])

    def _load_range(self, first_id: str, last_id: str, condition: str, columns: list[str] | None = None) -> Found:
        in_range = f"RowKey ge 'r:{first_id}' and RowKey le 'r:{last_id}'"
        query = f"PartitionKey eq '{shard_of(first_id)}' and {in_range} and ({condition})"
        found = Found()
        for row in self._table.query_entities(query, select=columns):
            remediation_id = row["RowKey"].removeprefix("r:")
            try:
                found[remediation_id] = stored_in(row)
            except CorruptDocument as corrupt:
                found[remediation_id] = corrupt
        return found
