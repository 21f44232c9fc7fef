"""Notices on their way to people, in a partition of their own, for all hosts.

Row `known:{id}` says that a notice was taken, and stays; row `due:{id}` has its document until it is sent. So a notice
that comes again, because the event that tells the same was announced again, is sent once.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableClient

from shared.clock import from_iso, to_iso, to_millis
from shared.domain.notice import Notice
from shared.storage.corrupt_rows import CorruptRows
from shared.storage.shared_rows import CORRUPT, Row, SharedRows

_PARTITION = "notices"
_TURN = "turn"
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_ALL_DUE = f"PartitionKey eq '{_PARTITION}' and RowKey ge 'due:' and RowKey lt 'due;'"
_ALL_KNOWN = f"PartitionKey eq '{_PARTITION}' and RowKey ge 'known:' and RowKey lt 'known;'"
_KEY = ["RowKey"]
_CONFLICT = 409
_MAX_TURN = timedelta(hours=2)
"""Longer than any turn, and than any wait after a failure."""


@dataclass(frozen=True, slots=True)
class _Turn:
    until: datetime
    """Until then nobody else sends."""
    failures: int
    """In a row."""


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
            known = {"PartitionKey": _PARTITION, "RowKey": f"known:{notice.id}", "At": _sortable(self._now())}
            document = msgspec.json.encode(notice).decode()
            due = {"PartitionKey": _PARTITION, "RowKey": f"due:{notice.id}", "Document": document}
            try:
                self._table.submit_transaction([("create", known), ("create", due)])
            except HttpResponseError as refusal:
                if refusal.status_code != _CONFLICT:
                    raise

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
