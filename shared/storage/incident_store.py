"""Incidents in storage, in a partition of their own.

    {key of a cause}    the latest failures for this cause, and its latest incident
    i:{incident id}     the incident; ids count down with time, so these rows read newest first
    open:{incident id}  mark of an incident about which something is left to do

What one failure changes is changed in one transaction.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableClient, UpdateMode

from shared.clock import from_millis, to_millis
from shared.domain import incident
from shared.domain.incident import Counted, Failure, Incident, IncidentStatus, Tally
from shared.domain.incident_cause import Cause
from shared.domain.remediation import id_prefix, is_remediation_id, opened_at_of
from shared.storage.conflicts import WriteConflict, retry_on_conflict
from shared.storage.corrupt_rows import CorruptRows
from shared.storage.own_writes import REPEAT_UNANSWERED, new_write, own_row
from shared.storage.shared_rows import CORRUPT, Row
from shared.storage.table_rows import etag_of, only_if

_PARTITION = "incidents"
_MAX_ALTERNATIVES = 12
"""A filter may hold 15 comparisons (Table service, "Querying tables and entities")."""
_CONFLICTS = frozenset({404, 409, 412})
_MAX_ATTENDED = 1_000

_Operation = tuple[str, Mapping[str, Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class StoredIncident:
    """An incident as it was read, with the condition of a compare-and-swap."""

    incident: Incident
    etag: str


class IncidentStore:
    """Counts failures, keeps incidents. Raises `azure.core.exceptions.AzureError` without storage.

    A row that is lost or cannot be read counts as none.
    """

    def __init__(self, table: TableClient, now: Callable[[], datetime]) -> None:
        """Keep the rows in this table."""
        self._table = table
        self._now = now
        self._corrupt_rows = CorruptRows(table, now)

    def count(self, causes: Sequence[Cause], failures: Sequence[str]) -> Counted:
        """Count the failures of these remediations, which have these causes, the narrowest scope first.

        Raises:
            WriteConflict: other hosts kept changing the rows first.
        """
        write, tried = new_write(), set[str]()
        return retry_on_conflict(lambda: self._count(causes, failures, write, tried))

    def opened(self, causes: Sequence[Cause]) -> Incident | None:
        """The incident of these causes that is open, if there is one."""
        tallies = {key: self._read_tally(row) for key, row in self._rows(cause.key for cause in causes).items()}
        known = self._load(each.incident_id for each in tallies.values())
        return next((each.incident for each in known.values() if each.incident.closed_at is None), None)

    def load(self, incident_id: str) -> StoredIncident | None:
        """An incident by its id."""
        return self._load([incident_id]).get(incident_id) if is_remediation_id(incident_id) else None

    def attended(self) -> list[StoredIncident]:
        """The incidents about which something is left to do, the newest first: one request if there are none."""
        marks = f"PartitionKey eq '{_PARTITION}' and RowKey ge 'open:' and RowKey lt 'open;'"
        rows = islice(self._table.query_entities(marks, select=["RowKey"]), _MAX_ATTENDED)
        ids = [row["RowKey"].removeprefix("open:") for row in rows]
        known = self._rows(f"i:{each}" for each in ids if is_remediation_id(each)) if ids else {}
        attended = []
        for each in ids:
            row = known.get(f"i:{each}")
            stored = self._read(row) if row else None
            if stored and not stored.incident.is_over:
                attended.append(stored)
            elif stored or not row:
                # One that cannot be read keeps its mark: another version of the app may read it, or a person mend it.
                self._table.delete_entity(_PARTITION, f"open:{each}")
        return attended

    def page(self, top: int, after: str | None = None, status: IncidentStatus | None = None) -> list[Incident]:
        """The newest incidents, behind the one with this id; of this status, if there is one."""
        query = f"PartitionKey eq '{_PARTITION}' and RowKey gt 'i:{after or ''}' and RowKey lt 'i;'"
        rows = self._table.query_entities(query, results_per_page=top)
        found = (stored.incident for row in rows if (stored := self._read(row)))
        return list(islice((each for each in found if status in (None, each.status)), top))

    def save(self, stored: StoredIncident, after: Incident) -> StoredIncident:
        """Replace an incident if nobody else has.

        Raises:
            WriteConflict: somebody has.
        """
        replacement = _replacement(stored, after)
        try:
            return StoredIncident(after, self._commit([replacement]))
        except WriteConflict:
            if own := own_row(self._table, replacement[1]):
                return StoredIncident(after, etag_of(own))
            raise

    def change(self, incident_id: str, change: Callable[[Incident], Incident | None]) -> StoredIncident | None:
        """Set an incident to what `change` makes of it; returns it if it was changed, and None if not.

        Raises:
            WriteConflict: other hosts kept changing it first.
        """

        def attempt() -> StoredIncident | None:
            stored = self.load(incident_id)
            after = change(stored.incident) if stored else None
            return self.save(stored, after) if stored and after else None

        return retry_on_conflict(attempt)

    def purge(self, closed_before: datetime) -> None:
        """Forget incidents that were closed before then, and failures that count no more."""
        rows = self._table.query_entities(f"PartitionKey eq '{_PARTITION}' and RowKey lt 'g'")
        stale = [row for row in rows if self._is_stale(self._read_tally(row))]
        older = f"PartitionKey eq '{_PARTITION}' and RowKey gt 'i:{id_prefix(closed_before)}' and RowKey lt 'i;'"
        known = [(row, self._read(row)) for row in self._table.query_entities(older)]
        over = [row for row, stored in known if stored is None or _was_over(stored.incident, closed_before)]
        for row in (*stale, *over):
            with suppress(ResourceModifiedError, ResourceNotFoundError):
                self._table.delete_entity(_PARTITION, row["RowKey"], **only_if(etag_of(row)))

    def _count(self, causes: Sequence[Cause], failures: Sequence[str], write: str, tried: set[str]) -> Counted:
        """`tried` has the ids of the incidents that were to be opened before, and is added to.

        One of them is open if the SDK has repeated the request after it was carried out: its mark has the name of the
        write (`own_writes`). The id does not tell: two that open within the same millisecond have the same one.
        """
        rows = self._rows(cause.key for cause in causes)
        tallies = {cause.key: self._read_tally(rows.get(cause.key)) for cause in causes}
        known = self._load(tally.incident_id for tally in tallies.values())
        incidents = {each: stored.incident for each, stored in known.items()}
        counted = incident.count(tallies, incidents, causes, failures, self._now())
        if counted.incident is None:
            changes = _tally_changes(rows, tallies, counted.tallies)
        elif counted.is_new:
            tried.add(counted.incident.id)
            opening: list[_Operation] = [("create", _incident_row(counted.incident), {})]
            opening.append(("create", _mark(counted.incident, write), {}))
            changes = opening + _tally_changes(rows, tallies, counted.tallies)
            changes += self._leave_others(counted.incident, tallies)
        else:
            changes = [_replacement(known[counted.incident.id], counted.incident)]
            mark = _mark(counted.incident, write)
            is_new = counted.incident.id in tried and own_row(self._table, mark) is not None
            counted = replace(counted, is_new=is_new)
        if changes:
            self._commit(changes)
        return counted

    def _leave_others(self, opened: Incident, tallies: Mapping[str, Tally]) -> list[_Operation]:
        """The founders count no more for their other causes either."""
        failures = [failure for tally in tallies.values() for failure in tally.recent.values()]
        rows = self._rows({key for failure in failures for key in failure.keys} - tallies.keys())
        before = {key: self._read_tally(row) for key, row in rows.items()}
        return _tally_changes(rows, before, incident.without(before, opened))

    def _is_stale(self, tally: Tally) -> bool:
        now = self._now()
        is_known = tally.incident_id is not None and now - opened_at_of(tally.incident_id) < incident.MAX_AGE
        return not is_known and all(now - failure.at >= incident.WINDOW for failure in tally.recent.values())

    def _rows(self, keys: Iterable[str]) -> dict[str, Row]:
        wanted, found = sorted(set(keys)), dict[str, Row]()
        for start in range(0, len(wanted), _MAX_ALTERNATIVES):
            any_of = " or ".join(f"RowKey eq '{key}'" for key in wanted[start : start + _MAX_ALTERNATIVES])
            query = f"PartitionKey eq '{_PARTITION}' and ({any_of})"
            found |= {row["RowKey"]: row for row in self._table.query_entities(query)}
        return found

    def _load(self, ids: Iterable[str | None]) -> dict[str, StoredIncident]:
        rows = self._rows(f"i:{each}" for each in ids if is_remediation_id(each))
        return {stored.incident.id: stored for row in rows.values() if (stored := self._read(row))}

    def _read(self, row: Row) -> StoredIncident | None:
        try:
            found = msgspec.json.decode(row["Document"], type=Incident)
            if row["RowKey"] != f"i:{found.id}" or not is_remediation_id(found.id):
                raise ValueError(f"the document is that of {ascii(found.id)[:100]}")
            return StoredIncident(found, etag_of(row))
        except CORRUPT as corrupt:
            self._corrupt_rows.report(_PARTITION, row["RowKey"], f"{type(corrupt).__name__}: {corrupt}")
            return None

    def _read_tally(self, row: Row | None) -> Tally:
        if row is None:
            return Tally()
        try:
            recent = {
                each: Failure(from_millis(int(failure[0])), tuple(map(str, failure[1])))
                for each, failure in json.loads(row["Recent"]).items()
                if is_remediation_id(each)  # an earlier version counted instances
            }
            return Tally(recent, row["Incident"] if is_remediation_id(row["Incident"]) else None)
        except CORRUPT as corrupt:
            self._corrupt_rows.report(_PARTITION, row["RowKey"], f"{type(corrupt).__name__}: {corrupt}")
            return Tally()

    def _commit(self, operations: Sequence[_Operation]) -> str:
        """Carry out these operations, all or none; returns the new ETag of the first one's row.

        Raises:
            WriteConflict: another host changed one of the rows first.
        """
        try:
            return str(self._table.submit_transaction(operations, **REPEAT_UNANSWERED)[0]["etag"])
        except HttpResponseError as failure:
            if failure.status_code in _CONFLICTS:
                raise WriteConflict("another host counted first") from failure
            raise


def _was_over(known: Incident, before: datetime) -> bool:
    return known.is_over and known.closed_at is not None and known.closed_at < before


def _replacement(stored: StoredIncident, after: Incident) -> _Operation:
    return "update", _incident_row(after), {**only_if(stored.etag), "mode": UpdateMode.REPLACE}


def _tally_changes(
    rows: Mapping[str, Row], before: Mapping[str, Tally], after: Mapping[str, Tally]
) -> list[_Operation]:
    operations: list[_Operation] = []
    for key, tally in after.items():
        written = {"PartitionKey": _PARTITION, "RowKey": key, **_columns(tally)}
        if key not in rows:
            operations.append(("create", written, {}))
        elif tally != before[key]:
            operations.append(("update", written, {**only_if(etag_of(rows[key])), "mode": UpdateMode.REPLACE}))
    return operations


def _columns(tally: Tally) -> dict[str, str]:
    recent = {each: [to_millis(failure.at), failure.keys] for each, failure in tally.recent.items()}
    return {"Recent": json.dumps(recent), "Incident": tally.incident_id or ""}


def _incident_row(known: Incident) -> dict[str, str]:
    document = msgspec.json.encode(known).decode()
    return {"PartitionKey": _PARTITION, "RowKey": f"i:{known.id}", "Document": document, "Write": new_write()}


def _mark(known: Incident, write: str) -> dict[str, str]:
    return {"PartitionKey": _PARTITION, "RowKey": f"open:{known.id}", "Write": write}
