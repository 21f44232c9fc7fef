"""Retention: remediations that were over long ago, and slots that count no more, are removed once a day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError

from shared import logs
from shared.healing.shard_failures import ShardFailures
from shared.storage.backup_slots import BackupSlots
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import SHARDS


@dataclass(frozen=True, slots=True)
class Retention:
    """Removes old remediations."""

    store: RemediationStore
    backup_slots: BackupSlots
    retention_days: int
    now: Callable[[], datetime]

    def purge(self) -> None:
        """Remove remediations whose end was announced more than `RETENTION_DAYS` ago; all others stay.

        Raises:
            azure.core.exceptions.AzureError: storage refused every shard; the next run removes the rest.
        """
        over_before, purged, failures = self.now() - timedelta(days=self.retention_days), 0, ShardFailures()
        for shard in SHARDS:
            try:
                purged += self.store.purge(shard, over_before)
            except AzureError as failure:
                failures.add("shard.not_purged", shard, failure)
        failures.raise_if_all(SHARDS)
        self.store.incidents.purge(over_before)
        self.store.corrupt_rows.purge()
        slots = self.backup_slots.purge()
        logs.info("remediations.purged", count=purged, overBefore=over_before, backupSlots=slots)
