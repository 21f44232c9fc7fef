"""The token buckets of rate limits, one row each, shared by all hosts.

The rows stand in a partition of their own. Each holds one time, the bucket's TAT (`rate_limits.rate_limiter.Gcra`).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableClient, UpdateMode

from shared.clock import from_iso
from shared.storage.conflicts import WriteConflict, retry_on_conflict
from shared.storage.table_rows import etag_of, only_if

_PARTITION = "pacing"


class BucketStore:
    """Reads and moves the TAT of named buckets. Raises `azure.core.exceptions.AzureError` without storage."""

    def __init__(self, table: TableClient) -> None:
        """Keep the buckets in this table."""
        self._table = table

    def tat(self, bucket: str) -> datetime | None:
        """The bucket's TAT; None for a bucket that was never used."""
        row = self._row(bucket)
        return from_iso(row["Horizon"]) if row else None

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
        before = from_iso(row["Horizon"]) if row else None
        after = {"PartitionKey": _PARTITION, "RowKey": bucket, "Horizon": move(before).isoformat()}
        try:
            if row is None:
                self._table.create_entity(after)
            else:
                self._table.update_entity(after, UpdateMode.REPLACE, **only_if(etag_of(row)))
        except (ResourceExistsError, ResourceModifiedError) as faster:
            raise WriteConflict(f"another host took slots of {bucket}") from faster
        return before

    def _row(self, bucket: str) -> Any:
        try:
            return self._table.get_entity(_PARTITION, bucket)
        except ResourceNotFoundError:
            return None
