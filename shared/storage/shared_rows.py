"""Rows that all hosts change by compare-and-swap, each for itself, in a partition of their own.

A row has a random name of its last swap (`own_writes`).
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableClient, UpdateMode

from shared.storage.conflicts import WriteConflict, no_pause, retry_on_conflict
from shared.storage.corrupt_rows import CorruptRows
from shared.storage.own_writes import REPEAT_UNANSWERED, new_write
from shared.storage.table_rows import etag_of, only_if

Row = Mapping[str, Any]
CORRUPT = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, OSError)
"""Raised by reading a row that says nothing of use."""


class SharedRows:
    """Reads and swaps rows. Raises `azure.core.exceptions.AzureError` without storage."""

    def __init__(self, table: TableClient, partition: str, now: Callable[[], datetime]) -> None:
        """The rows of this partition."""
        self._table = table
        self._partition = partition
        self._corrupt_rows = CorruptRows(table, now)

    def read(self, key: str) -> Row | None:
        """The row of this key; None if there is none."""
        try:
            return self._table.get_entity(self._partition, key)
        except ResourceNotFoundError:
            return None

    def change(
        self, key: str, change: Callable[[Row | None], Row | None], pause: Callable[[int], None] = no_pause
    ) -> None:
        """Set a row to the properties that `change` makes of it; None leaves it as it is.

        Args:
            change: called again with what another host has made of the row, if that was faster.
            pause: as in `retry_on_conflict`.

        Raises:
            WriteConflict: other hosts kept changing the row first.
        """
        write = new_write()
        retry_on_conflict(lambda: self._swap(key, change, write), pause)

    def purge(self, condition: str) -> int:
        """Remove the rows that fulfil a condition of a filter, unless another host changes them; returns how many."""
        query = f"PartitionKey eq '{self._partition}' and {condition}"
        purged = 0
        for row in self._table.query_entities(query, select=["PartitionKey", "RowKey", "Timestamp"]):
            with suppress(ResourceModifiedError, ResourceNotFoundError):
                self._table.delete_entity(row["PartitionKey"], row["RowKey"], **only_if(etag_of(row)))
                purged += 1
        return purged

    def report(self, row: Row, corrupt: Exception) -> None:
        """Report a row that cannot be read; the caller goes on without it."""
        self._corrupt_rows.report(self._partition, row["RowKey"], f"{type(corrupt).__name__}: {corrupt}")

    def _swap(self, key: str, change: Callable[[Row | None], Row | None], write: str) -> None:
        row = self.read(key)
        if row is not None and row.get("Write") == write:
            return  # the conflict before was with itself
        properties = change(row)
        if properties is None:
            return
        after = {"PartitionKey": self._partition, "RowKey": key, **properties, "Write": write}
        try:
            if row is None:
                self._table.create_entity(after, **REPEAT_UNANSWERED)
            else:
                self._table.update_entity(after, UpdateMode.REPLACE, **only_if(etag_of(row)))
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError) as faster:
            raise WriteConflict(f"another host changed {key} in {self._partition} first") from faster
