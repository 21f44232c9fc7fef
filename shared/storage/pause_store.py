"""The pauses of scopes, one row each in a partition of their own, for all hosts."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock

from azure.data.tables import TableClient

from shared.clock import from_iso, to_iso
from shared.domain.pause import Pause
from shared.domain.resource_ids import fold
from shared.storage.corrupt_rows import CorruptRows

_PARTITION = "pauses"
CACHE_TIME = timedelta(seconds=10)
"""How long a host may not know of a pause or its end: a read for each sync call would cost as much as its record."""


class PauseStore:
    """Keeps pauses; for any number of threads. Raises `azure.core.exceptions.AzureError` without storage."""

    def __init__(self, table: TableClient, now: Callable[[], datetime]) -> None:
        """Keep the pauses in this table."""
        self._table = table
        self._now = now
        self._corrupt_rows = CorruptRows(table, now)
        self._lock = Lock()
        self._known: tuple[datetime, tuple[Pause, ...]] | None = None

    def pauses(self) -> Sequence[Pause]:
        """Those that are not over, as this host knew them within `CACHE_TIME`."""
        now = self._now()
        with self._lock:
            if self._known is None or not now - CACHE_TIME < self._known[0] <= now:
                self._known = (now, tuple(self._read()))
            return [pause for pause in self._known[1] if pause.until is None or now < pause.until]

    def add(self, pause: Pause) -> None:
        """Begin a pause; one of the same scope is replaced."""
        self._table.upsert_entity(
            {
                "PartitionKey": _PARTITION,
                "RowKey": _row_key(pause.scope),
                "Scope": pause.scope,
                "By": pause.by,
                "Reason": pause.reason,
                "Until": to_iso(pause.until) if pause.until else "",
            }
        )
        self._forget()

    def remove(self, scope: str) -> None:
        """End the pause of this scope; that there is none is as good."""
        self._table.delete_entity(_PARTITION, _row_key(scope))
        self._forget()

    def _forget(self) -> None:
        with self._lock:
            self._known = None

    def _read(self) -> list[Pause]:
        pauses = []
        for row in self._table.query_entities(f"PartitionKey eq '{_PARTITION}'"):
            try:
                pauses.append(Pause(row["Scope"], row["By"], row["Reason"], from_iso(row["Until"])))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as corrupt:
                self._corrupt_rows.report(_PARTITION, row["RowKey"], f"{type(corrupt).__name__}: {corrupt}")
        return sorted(pauses, key=lambda pause: pause.scope)


def _row_key(scope: str) -> str:
    """Two spellings of one scope have one row; a glob itself may hold what no key may."""
    return sha256(fold(scope).encode()).hexdigest()
