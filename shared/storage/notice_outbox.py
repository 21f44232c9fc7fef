"""Notices on their way to people, in a partition of their own, for all hosts.

Row `known:{id}` says that a notice was taken, and stays; row `due:{id}` has its document until it is sent. So a notice
that comes again, because the event that tells the same was announced again, is sent once. Row `digest` has when the
last digest was made.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import msgspec
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableClient, UpdateMode

from shared.clock import from_iso, to_iso, to_millis
from shared.domain.notice import Notice
from shared.storage.corrupt_rows import CorruptRows
from shared.storage.shared_rows import CORRUPT, Row, SharedRows
from shared.storage.table_rows import etag_of, only_if

_PARTITION = "notices"
_TURN = "turn"
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_ALL_DUE = f"PartitionKey eq '{_PARTITION}' and RowKey ge 'due:' and RowKey lt 'due;'"
_ALL_KNOWN = f"PartitionKey eq '{_PARTITION}' and RowKey ge 'known:' and RowKey lt 'known;'"
_KEY = ["RowKey"]
_CONFLICTS = (409, 412)
"""The row is there already, or was changed by another host first."""
_DIGEST = "digest"
Operation = tuple[Any, ...]
"""Of a transaction, as `TableClient.submit_transaction` takes it."""
_MAX_TURN = timedelta(hours=2)
"""Longer than any turn, and than any wait after a failure."""


@dataclass(frozen=True, slots=True)
class _Turn:
    until: datetime
    """Until then nobody else sends."""
    failures: int
    """In a row."""


@dataclass(frozen=True, slots=True)
class LastDigest:
    """When the last digest was made."""

    at: datetime
    etag: str
    """Of its row."""


class NoticeOutbox:
    """Keeps notices. Raises `azure.core.exceptions.AzureError` without storage."""

    def __init__(self, table: TableClient, now: Callable[[], datetime]) -> None:
        """Keep them in this table."""
        self._table = table
        self._now = now
        self._rows = SharedRows(table, _PARTITION, now)
        self._corrupt_rows = CorruptRows(table, now)

    def put(self, notices: Iterable[Notice]) -> None:
        """Take notices to be sent; those that were taken before are not taken again."""
        for notice in notices:
            self._commit(self._taking(notice))

    def last_digest(self) -> LastDigest | None:
        """When the last digest was made; None if none was. A row that cannot be read is of long ago."""
        row = self._rows.read(_DIGEST)
        if row is None:
            return None
        try:
            return LastDigest(from_iso(row["At"]), etag_of(row))
        except CORRUPT as corrupt:
            self._rows.report(row, corrupt)
            return LastDigest(_NEVER, etag_of(row))

    def put_digest(self, notice: Notice, last: LastDigest | None, now: datetime) -> bool:
        """Take a digest that follows `last`; False if another host has made one since."""
        made = {"PartitionKey": _PARTITION, "RowKey": _DIGEST, "At": to_iso(now)}
        swap: Operation = ("create", made)
        if last:
            swap = ("update", made, {"mode": UpdateMode.REPLACE, **only_if(last.etag)})
        return self._commit([swap, *self._taking(notice)])

    def _taking(self, notice: Notice) -> list[Operation]:
        known = {"PartitionKey": _PARTITION, "RowKey": f"known:{notice.id}", "At": _sortable(self._now())}
        document = msgspec.json.encode(notice).decode()
        due = {"PartitionKey": _PARTITION, "RowKey": f"due:{notice.id}", "Document": document}
        return [("create", known), ("create", due)]

    def _commit(self, operations: Sequence[Operation]) -> bool:
        """Carry them out together; False if a row is there already, or another host changed one first."""
        try:
            self._table.submit_transaction(operations)
        except HttpResponseError as refusal:
            if refusal.status_code not in _CONFLICTS:
                raise
            return False
        return True

    def due(self, most: int) -> list[Notice]:
        """Notices that are not sent yet, at most so many; a row that cannot be read is reported and dropped."""
        notices = []
        for row in islice(self._table.query_entities(_ALL_DUE, results_per_page=most), most):
            try:
                notices.append(msgspec.json.decode(row["Document"], type=Notice))
            except (KeyError, TypeError, ValueError) as corrupt:
                self._corrupt_rows.report(_PARTITION, row["RowKey"], f"{type(corrupt).__name__}: {corrupt}")
                self._remove(row["RowKey"])
        return notices

    def remove(self, sent: Sequence[Notice]) -> None:
        """These are sent."""
        for notice in sent:
            self._remove(f"due:{notice.id}")

    def withdraw(self, notice_ids: Iterable[str]) -> None:
        """These are told otherwise: they are not sent, if that has not happened yet."""
        for notice_id in notice_ids:
            self._remove(f"due:{notice_id}")

    def take_turn(self, duration: timedelta) -> int | None:
        """Take the right to send for so long; one host has it at a time.

        Returns:
            How many times in a row sending has failed; None if another host has the turn, or waits after a failure.

        Raises:
            WriteConflict: other hosts kept changing the row first.
        """
        failures: int | None = None

        def taken(row: Row | None) -> Row | None:
            nonlocal failures
            turn, now = _read_turn(row), self._now()
            # A time further ahead is none that this app wrote.
            failures = None if now < turn.until <= now + _MAX_TURN else turn.failures
            return None if failures is None else {"Until": to_iso(now + duration), "Failures": failures}

        self._rows.change(_TURN, taken)
        return failures

    def end_turn(self, wait: timedelta, failures: int) -> None:
        """Give the right to send back: to be taken again after `wait`, with so many failures in a row."""
        turn = {"Until": to_iso(self._now() + wait), "Failures": failures}
        self._rows.change(_TURN, lambda _: turn)

    def purge(self, taken_before: datetime) -> int:
        """Forget the notices that were taken before then; returns how many of them were never sent."""
        unsent = {str(row["RowKey"]).removeprefix("due:") for row in self._table.query_entities(_ALL_DUE, select=_KEY)}
        old = f"{_ALL_KNOWN} and At lt '{_sortable(taken_before)}'"
        forgotten = {str(row["RowKey"]).removeprefix("known:") for row in self._table.query_entities(old, select=_KEY)}
        for notice_id in forgotten:
            self._remove(f"due:{notice_id}")
            self._remove(f"known:{notice_id}")
        return len(unsent & forgotten)

    def _remove(self, key: str) -> None:
        """Remove a row, if it is there."""
        self._table.delete_entity(_PARTITION, key)


def _read_turn(row: Row | None) -> _Turn:
    """A row that cannot be read keeps nobody from sending."""
    try:
        return _Turn(from_iso(row["Until"]), int(row["Failures"])) if row else _Turn(_NEVER, 0)
    except CORRUPT:
        return _Turn(_NEVER, 0)


def _sortable(moment: datetime) -> str:
    return f"{to_millis(moment):013d}"
