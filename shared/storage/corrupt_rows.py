"""Rows that cannot be read: each is reported, noted for `/api/health`, and keeps no other row from being used.

A note stands in a partition of its own, beside what it is about, so that every host can count what another one met.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from threading import Lock

from azure.core.exceptions import AzureError
from azure.data.tables import TableClient

from shared import logs
from shared.clock import to_millis, utc_now

PARTITION = "corrupt"
_REPORT_INTERVAL = timedelta(hours=1)
"""Between two reports of the same row by one process: it stays as it is until a person looks at it."""
_NOTE_AGE = timedelta(days=1)
"""How long a row counts as corrupt after it was met last."""
_MAX_REMEMBERED = 1_000
MAX_COUNTED = 1_000
_MAX_KEY_CHARS = 400
"""Of 1 KiB in UTF-16 that a row key may hold."""


class CorruptRows:
    """Reports and counts the rows that cannot be read; for any number of threads."""

    def __init__(self, table: TableClient, now: Callable[[], datetime] = utc_now) -> None:
        """Keep the notes in this table."""
        self._table = table
        self._now = now
        self._reported: dict[tuple[str, str], datetime] = {}
        self._lock = Lock()

    def report(self, partition: str, row_key: str, reason: str) -> None:
        """Log and note a row that cannot be read, once an hour; whatever becomes of the note, the caller goes on."""
        now = self._now()
        if not self._is_news((partition, row_key), now):
            return
        if row_key.startswith("r:"):
            logs.error("remediation.corrupt", remediationId=row_key.removeprefix("r:"), reason=reason)
        else:
            logs.error("row.corrupt", partition=partition, row=row_key, reason=reason)
        with suppress(AzureError):  # the log has it
            self._table.upsert_entity(
                {
                    "PartitionKey": PARTITION,
                    "RowKey": f"{partition}|{row_key}"[:_MAX_KEY_CHARS],
                    "Reason": reason[:_MAX_KEY_CHARS],
                    "MetAt": _sortable(now),
                }
            )

    def count(self) -> int:
        """How many rows were met within a day that could not be read; no more than `MAX_COUNTED`.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        notes = self._table.query_entities(
            f"PartitionKey eq '{PARTITION}' and MetAt gt '{_sortable(self._now() - _NOTE_AGE)}'", select=["RowKey"]
        )
        return sum(1 for _ in islice(notes, MAX_COUNTED))

    def purge(self) -> None:
        """Remove the notes that count no more.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        old = f"PartitionKey eq '{PARTITION}' and MetAt le '{_sortable(self._now() - _NOTE_AGE)}'"
        for note in self._table.query_entities(old, select=["PartitionKey", "RowKey"]):
            self._table.delete_entity(note["PartitionKey"], note["RowKey"])

    def _is_news(self, key: tuple[str, str], now: datetime) -> bool:
        with self._lock:
            before = self._reported.get(key)
            if before is not None and now - before < _REPORT_INTERVAL:
                return False
            self._reported.pop(key, None)
            self._reported[key] = now
            if len(self._reported) > _MAX_REMEMBERED:
                del self._reported[next(iter(self._reported))]
            return True


def _sortable(moment: datetime) -> str:
    return f"{to_millis(moment):013d}"
