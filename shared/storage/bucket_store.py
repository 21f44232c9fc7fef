"""The token buckets of rate limits, one row each, shared by all hosts.

The rows stand in a partition of their own. Each holds one time, the bucket's TAT (`rate_limits.rate_limiter.Gcra`).
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableClient, UpdateMode

from shared.clock import from_iso, utc_now
from shared.storage.conflicts import WriteConflict, retry_on_conflict
from shared.storage.corrupt_rows import CorruptRows
from shared.storage.table_rows import etag_of, only_if

_PARTITION = "pacing"


_MAX_AHEAD = timedelta(days=2)
"""How far ahead a TAT may be: at the default limit, the slots of 1.7 million writes of one subscription."""


class BucketStore:
    """Reads and moves the TAT of named buckets. Raises `azure.core.exceptions.AzureError` without storage.

    A row that says nothing, or a time of no use, counts as a bucket that was never used, and is replaced.
    """

    def __init__(self, table: TableClient, now: Callable[[], datetime] = utc_now) -> None:
        """Keep the buckets in this table."""
        self._table = table
        self._now = now
        self._corrupt_rows = CorruptRows(table, now)

    def check(self) -> None:
        """Read one bucket, whichever comes first: raises if the partition of the buckets gives none."""
        next(iter(self._table.query_entities(f"PartitionKey eq '{_PARTITION}'", results_per_page=1)), None)

    def tat(self, bucket: str) -> datetime | None:
        """The bucket's TAT; None for a bucket that was never used."""
        row = self._row(bucket)
        return self._tat_in(row) if row else None

    def advance(self, bucket: str, move: Callable[[datetime | None], datetime]) -> datetime | None:
        """Set the bucket's TAT to what `move` makes of it, by compare-and-swap.

        Returns:
            The TAT before; None for a bucket that was never used.

        Raises:
            WriteConflict: other hosts kept changing the bucket first.
        """
        return retry_on_conflict(lambda: self._swap(bucket, move))

    def _swap(self, bucket: str, move: Callable[[datetime | None], datetime]) -> datetime | None:
        row = self._row(bucket)
        before = self._tat_in(row) if row else None
        after = {"PartitionKey": _PARTITION, "RowKey": bucket, "Horizon": move(before).isoformat()}
        try:
            if row is None:
                self._table.create_entity(after)
            else:
                self._table.update_entity(after, UpdateMode.REPLACE, **only_if(etag_of(row)))
        except (ResourceExistsError, ResourceModifiedError) as faster:
            raise WriteConflict(f"another host took slots of {bucket}") from faster
        return before

    def _tat_in(self, row: Mapping[str, Any]) -> datetime | None:
        try:
            tat = from_iso(row["Horizon"])
            if tat - self._now() > _MAX_AHEAD:
                raise ValueError(f"{tat} is further ahead than slots are given")
        except (KeyError, TypeError, ValueError, OverflowError) as corrupt:
            self._corrupt_rows.report(_PARTITION, row["RowKey"], f"{type(corrupt).__name__}: {corrupt}")
            return None
        return tat

    def _row(self, bucket: str) -> Any:
        try:
            return self._table.get_entity(_PARTITION, bucket)
        except ResourceNotFoundError:
            return None
