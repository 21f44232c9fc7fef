"""The token buckets of rate limits, one row each, shared by all hosts.

The rows stand in a partition of their own. Each holds one time, the bucket's TAT (`rate_limits.rate_limiter.Gcra`).
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from azure.data.tables import TableClient

from shared.clock import from_iso, utc_now
from shared.rate_limits.rate_limiter import BucketBusy
from shared.storage.conflicts import WriteConflict, no_pause
from shared.storage.shared_rows import CORRUPT, Row, SharedRows

_PARTITION = "pacing"

_MAX_AHEAD = timedelta(days=2)
"""How far ahead a TAT may be: at the default limit, the slots of 1.7 million writes of one subscription."""


class BucketConflict(WriteConflict, BucketBusy):
    """Other hosts kept changing a bucket first."""


class BucketStore:
    """Reads and moves the TAT of named buckets. Raises `azure.core.exceptions.AzureError` without storage.

    A row that says nothing, or a time of no use, counts as a bucket that was never used, and is replaced.
    """

    def __init__(
        self, table: TableClient, now: Callable[[], datetime] = utc_now, pause: Callable[[int], None] = no_pause
    ) -> None:
        """Keep the buckets in this table; `pause` as in `retry_on_conflict`."""
        self._table = table
        self._now = now
        self._pause = pause
        self._rows = SharedRows(table, _PARTITION, now)

    def check(self) -> None:
        """Read one bucket, whichever comes first: raises if the partition of the buckets gives none."""
        next(iter(self._table.query_entities(f"PartitionKey eq '{_PARTITION}'", results_per_page=1)), None)

    def tat(self, bucket: str) -> datetime | None:
        """The bucket's TAT; None for a bucket that was never used."""
        return self._tat_in(self._rows.read(bucket))

    def advance(self, bucket: str, move: Callable[[datetime | None], datetime]) -> datetime | None:
        """Set the bucket's TAT to what `move` makes of it, by compare-and-swap; the same is not written again.

        Returns:
            The TAT before; None for a bucket that was never used.

        Raises:
            BucketConflict: other hosts kept changing the bucket first.
        """
        before: datetime | None = None

        def moved(row: Row | None) -> Row | None:
            nonlocal before
            before = self._tat_in(row)
            after = move(before)
            return None if after == before else {"Horizon": after.isoformat()}

        try:
            self._rows.change(bucket, moved, self._pause)
        except WriteConflict as conflict:
            raise BucketConflict(str(conflict)) from conflict
        return before

    def _tat_in(self, row: Row | None) -> datetime | None:
        if row is None:
            return None
        try:
            tat = from_iso(row["Horizon"])
            if tat - self._now() > _MAX_AHEAD:
                raise ValueError(f"{tat} is further ahead than slots are given")
        except CORRUPT as corrupt:
            self._rows.report(row, corrupt)
            return None
        return tat
