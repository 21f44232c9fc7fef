"""Which instances have no recovery point at all, and since when that is known: one row for each.

Azure does not say when an instance was configured. So whether its first backup is overdue is told by when a search met
it first without a recovery point.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice

from azure.data.tables import TableClient

from shared.clock import foreign_time, to_iso

MAX_WAITING = 10_000
"""Instances that are kept; those beyond are met anew when others have their first point."""
_PARTITION = "first-points"
_BATCH_SIZE = 100
"""Rows in a transaction: its limit."""


class FirstPoints:
    """Reads and writes the rows. Raises `azure.core.exceptions.AzureError` without storage."""

    def __init__(self, table: TableClient) -> None:
        """Keep the rows in this table."""
        self._table = table

    def waiting(self) -> Mapping[str, datetime]:
        """Since when each instance, by its key, is known to have no recovery point."""
        rows = islice(self._table.query_entities(f"PartitionKey eq '{_PARTITION}'"), MAX_WAITING)
        seen = {str(row["RowKey"]): foreign_time(row.get("SeenAt")) for row in rows}
        return {key: at for key, at in seen.items() if at}

    def note(self, keys: Iterable[str], now: datetime) -> None:
        """These were met first now."""
        rows = [{"PartitionKey": _PARTITION, "RowKey": key, "SeenAt": to_iso(now)} for key in keys]
        for start in range(0, len(rows), _BATCH_SIZE):
            self._table.submit_transaction([("upsert", row) for row in rows[start : start + _BATCH_SIZE]])

    def forget(self, keys: Iterable[str]) -> None:
        """These have one now, or are gone."""
        for key in keys:
            self._table.delete_entity(_PARTITION, key)
