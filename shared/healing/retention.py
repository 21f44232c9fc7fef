"""Retention: remediations that ended long ago are removed once a day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared import logs
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import SHARDS


@dataclass(frozen=True, slots=True)
class Retention:
    """Removes old remediations."""

    store: RemediationStore
    retention_days: int
    now: Callable[[], datetime]

    def purge(self) -> None:
        """Remove ended remediations that were opened more than `RETENTION_DAYS` ago; active ones stay.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached; the next run removes the rest.
        """
        opened_before = self.now() - timedelta(days=self.retention_days)
        purged = sum(self.store.purge(shard, opened_before) for shard in SHARDS)
        self.store.corrupt_rows.purge()
        logs.info("remediations.purged", count=purged, openedBefore=opened_before)
