"""Incidents in storage: one row for each code and vault, in a partition of their own."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime

from azure.data.tables import TableClient

from shared.clock import from_millis, to_millis
from shared.domain import incident
from shared.domain.incident import Incident, Tally
from shared.domain.remediation import is_remediation_id
from shared.storage.shared_rows import CORRUPT, Row, SharedRows

_PARTITION = "incidents"


class IncidentStore:
    """Counts failures, opens and closes incidents. Raises `azure.core.exceptions.AzureError` without storage.

    A row that is lost or cannot be read counts as one without failures.
    """

    def __init__(self, table: TableClient, now: Callable[[], datetime]) -> None:
        """Keep the rows in this table."""
        self._now = now
        self._rows = SharedRows(table, _PARTITION, now)

    def count(self, key: str, failures: Sequence[str]) -> tuple[Incident | None, bool]:
        """Count the failures of these instances: the open incident, if there is one, and whether they opened it.

        Raises:
            WriteConflict: other hosts kept changing the row first.
        """
        before = after = Tally()

        def counted(row: Row | None) -> Row:
            nonlocal before, after
            before = self._read(row)
            after = incident.count(before, key, failures, self._now())
            return _written(after)

        self._rows.change(key, counted)
        known = before.incident.id if before.incident else None
        return after.incident, after.incident is not None and after.incident.id != known

    def opened(self, key: str) -> Incident | None:
        """The open incident."""
        return self._read(self._rows.read(key)).incident

    def close(self, key: str, incident_id: str) -> Incident | None:
        """Close an incident; None if it is closed already.

        Raises:
            WriteConflict: other hosts kept changing the row first.
        """
        closed: Incident | None = None

        def without(row: Row | None) -> Row | None:
            nonlocal closed
            opened = self._read(row).incident
            closed = opened if opened and opened.id == incident_id else None
            return _written(Tally()) if closed else None

        self._rows.change(key, without)
        return closed

    def _read(self, row: Row | None) -> Tally:
        if row is None:
            return Tally()
        try:
            recent = {str(each): from_millis(int(at)) for each, at in json.loads(row["Recent"]).items()}
            if not row["Incident"]:
                return Tally(recent)
            if not is_remediation_id(row["Incident"]):
                raise ValueError(f"{ascii(row['Incident'])[:100]} is no incident")
            return Tally(recent, Incident(row["Incident"], tuple(row["Canaries"].split(",")), int(row["Members"])))
        except CORRUPT as corrupt:
            self._rows.report(row, corrupt)
            return Tally()


def _written(tally: Tally) -> Row:
    opened = tally.incident
    return {
        "Recent": json.dumps({each: to_millis(at) for each, at in tally.recent.items()}),
        "Incident": opened.id if opened else "",
        "Canaries": ",".join(opened.canaries) if opened else "",
        "Members": opened.members if opened else 0,
    }
