"""Seals of the hash chain over outcomes: one row for each day, in the partition `seals`, written once."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TableClient

from shared.domain.outcome_chain import Seal
from shared.storage.shared_rows import CORRUPT, Row, SharedRows

_PARTITION = "seals"
_COLUMNS = ("Count", "PreviousHash", "Hash")


class SealStore:
    """Adds and reads seals. Raises `azure.core.exceptions.AzureError` without storage."""

    def __init__(self, table: TableClient, now: Callable[[], datetime]) -> None:
        """Keep the rows in this table."""
        self._table = table
        self._rows = SharedRows(table, _PARTITION, now)

    def add(self, seal: Seal) -> Seal:
        """Write a seal down, unless the day has one: the first stays, and is returned."""
        values = dict(zip(_COLUMNS, (seal.count, seal.previous_hash, seal.hash), strict=True))
        try:
            self._table.create_entity({"PartitionKey": _PARTITION, "RowKey": seal.day.isoformat(), **values})
        except ResourceExistsError:
            return next(iter(self.between(seal.day, seal.day + timedelta(days=1))), seal)
        return seal

    def between(self, first: date, end: date) -> list[Seal]:
        """The seals from the first day to that before `end`, sorted, but those that cannot be read."""
        condition = f"PartitionKey eq '{_PARTITION}' and RowKey ge '{first}' and RowKey lt '{end}'"
        return [seal for row in self._table.query_entities(condition) if (seal := self._read(row))]

    def last_before(self, day: date) -> Seal | None:
        """The newest seal of the year before a day."""
        return max(self.between(day - timedelta(days=366), day), key=lambda seal: seal.day, default=None)

    def _read(self, row: Row) -> Seal | None:
        try:
            count, previous_hash, last_hash = (row[each] for each in _COLUMNS)
            return Seal(date.fromisoformat(row["RowKey"]), int(count), str(previous_hash), str(last_hash))
        except CORRUPT as corrupt:
            self._rows.report(row, corrupt)
            return None
