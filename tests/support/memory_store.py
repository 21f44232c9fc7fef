"""The real store on a table in memory."""

from collections.abc import Callable
from datetime import datetime
from typing import cast

from azure.data.tables import TableClient

from shared.clock import utc_now
from shared.domain.remediation import Remediation
from shared.storage.bucket_store import BucketStore
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import SHARDS, stored_in
from tests.support.memory_table import MemoryTable, nothing


class MemoryStore(RemediationStore):
    """Has a word at every request to storage, where a crash could hit."""

    def __init__(self, boundary: Callable[[], None] = nothing, now: Callable[[], datetime] = utc_now) -> None:
        self._tells = boundary
        self._is_quiet = False
        self._now = now
        self.table = MemoryTable(self._tell)
        super().__init__(cast(TableClient, self.table), now)

    @property
    def buckets(self) -> BucketStore:
        """The rate limits' buckets in the same table."""
        return BucketStore(self._table, self._now)

    def remediations(self) -> list[Remediation]:
        """Everything that was ever opened; nobody notices that it is looked at."""
        self._is_quiet = True
        try:
            queries = (f"PartitionKey eq '{shard}' and RowKey gt 'r:' and RowKey lt 'r;'" for shard in SHARDS)
            return [stored_in(row).remediation for query in queries for row in self._table.query_entities(query)]
        finally:
            self._is_quiet = False

    def _tell(self) -> None:
        if not self._is_quiet:
            self._tells()
