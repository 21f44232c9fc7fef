"""Retention: the daily purge of remediations that ended long ago."""

from datetime import datetime, timedelta
from typing import cast

import pytest
from azure.data.tables import TableClient

from shared.healing.retention import Retention
from shared.settings import MAX_DAYS
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import SHARDS
from tests.support.memory_table import MemoryTable
from tests.support.remediations import NOW


class Purged(RemediationStore):
    """Remembers since when what ended is kept."""

    def __init__(self) -> None:
        super().__init__(cast(TableClient, MemoryTable()), lambda: NOW)
        self.opened_before: list[tuple[str, datetime]] = []

    def purge(self, shard: str, opened_before: datetime) -> int:
        self.opened_before.append((shard, opened_before))
        return 0


@pytest.mark.parametrize("days", [1, MAX_DAYS])
def test_each_shard_is_purged_of_what_is_older_than_the_retention(days: int) -> None:
    store = Purged()
    Retention(store, days, lambda: NOW).purge()
    assert store.opened_before == [(shard, NOW - timedelta(days=days)) for shard in SHARDS]
