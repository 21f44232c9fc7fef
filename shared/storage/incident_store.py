"""Incidents in storage: one row for each code and vault, in a partition of their own."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableClient, UpdateMode

from shared.clock import from_millis, to_millis
from shared.domain import incident
from shared.domain.incident import Incident, Tally
from shared.domain.remediation import is_remediation_id
from shared.storage.conflicts import WriteConflict, retry_on_conflict
from shared.storage.corrupt_rows import CorruptRows
from shared.storage.table_rows import etag_of, only_if

_PARTITION = "incidents"


class IncidentStore:
    """Counts failures, opens and closes incidents. Raises `azure.core.exceptions.AzureError` without storage.

    A row that is lost or cannot be read counts as one without failures.
    """

    def __init__(self, table: TableClient, now: Callable[[], datetime]) -> None:
        """Keep the rows in this table."""
        self._table = table
        self._now = now
        self._corrupt_rows = CorruptRows(table, now)

    def count(self, key: str, failures: Sequence[str]) -> tuple[Incident | None, bool]:
        """Count the failures of these instances: the open incident, if there is one, and whether they opened it.

        Raises:
            WriteConflict: other hosts kept changing the row first.
        """
        return retry_on_conflict(lambda: self._count(key, failures))

    def close(self, key: str, incident_id: str) -> Incident | None:
        """Close an incident; None if it is closed already.

        Raises:
            WriteConflict: other hosts kept changing the row first.
        """
        return retry_on_conflict(lambda: self._close(key, incident_id))

    def _count(self, key: str, failures: Sequence[str]) -> tuple[Incident | None, bool]:
        row = self._row(key)
        before = self._read(row)
        after = incident.count(before, key, failures, self._now())
        self._write(key, row, after)
        known = before.incident.id if before.incident else None
        return after.incident, after.incident is not None and after.incident.id != known

    def _close(self, key: str, incident_id: str) -> Incident | None:
        row = self._row(key)
        before = self._read(row)
        if before.incident is None or before.incident.id != incident_id:
            return None
        self._write(key, row, Tally())
        return before.incident

    def _write(self, key: str, row: Any, tally: Tally) -> None:
        opened = tally.incident
        after = {
            "PartitionKey": _PARTITION,
            "RowKey": key,
            "Recent": json.dumps({each: to_millis(at) for each, at in tally.recent.items()}),
            "Incident": opened.id if opened else "",
            "Canaries": ",".join(opened.canaries) if opened else "",
            "Members": opened.members if opened else 0,
        }
        try:
            if row is None:
                self._table.create_entity(after)
            else:
                self._table.update_entity(after, UpdateMode.REPLACE, **only_if(etag_of(row)))
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError) as faster:
            raise WriteConflict(f"another host counted failures of {key}") from faster

    def _read(self, row: Mapping[str, Any] | None) -> Tally:
        if row is None:
            return Tally()
        try:
            recent = {str(each): from_millis(int(at)) for each, at in json.loads(row["Recent"]).items()}
            if not row["Incident"]:
                return Tally(recent)
            if not is_remediation_id(row["Incident"]):
                raise ValueError(f"{ascii(row['Incident'])[:100]} is no incident")
            return Tally(recent, Incident(row["Incident"], tuple(row["Canaries"].split(",")), int(row["Members"])))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as corrupt:
            self._corrupt_rows.report(_PARTITION, row["RowKey"], f"{type(corrupt).__name__}: {corrupt}")
            return Tally()

    def _row(self, key: str) -> Any:
        try:
            return self._table.get_entity(_PARTITION, key)
        except ResourceNotFoundError:
            return None
