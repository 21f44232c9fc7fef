"""Storage: the table, the queues and the container, and the rows in them."""

import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from azure.data.tables import TableClient

from shared.composition import settings
from shared.composition.once import once
from shared.domain.mode import Mode
from shared.storage import connection
from shared.storage.backup_slots import BackupSlots
from shared.storage.bucket_store import BucketStore
from shared.storage.conflicts import RandomPause
from shared.storage.finding_store import FindingStore
from shared.storage.notice_outbox import NoticeOutbox
from shared.storage.queues import SYNC_JOBS, SyncJobQueue
from shared.storage.remediation_list import RemediationReader
from shared.storage.remediation_store import TABLE_NAME, RemediationStore
from shared.storage.run_store import RunStore
from shared.storage.shard_leases import CONTAINER_NAME
from shared.storage.storage_clock import STORAGE_CLOCK

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient


@once
def table() -> TableClient:
    """The app's table."""
    return connection.open_table(TABLE_NAME)


@once
def store() -> RemediationStore:
    """The rows of all remediations."""
    return RemediationStore(table(), STORAGE_CLOCK)


@once
def reader() -> RemediationReader:
    """Lists of remediations."""
    return RemediationReader(table(), store(), STORAGE_CLOCK)


@once
def buckets() -> BucketStore:
    """The buckets of the rate limits."""
    return BucketStore(table(), STORAGE_CLOCK, RandomPause(time.sleep, random.random))


@once
def backup_slots() -> BackupSlots:
    """The slots of backups on demand."""
    # Who observes makes no backup.
    daily_cap = settings().backup_daily_cap if settings().mode is Mode.HEAL else 0
    return BackupSlots(table(), daily_cap, STORAGE_CLOCK)


@once
def finding_store() -> FindingStore:
    """The findings that were reported."""
    return FindingStore(table())


@once
def run_store() -> RunStore:
    """When the timers ran last."""
    return RunStore(table(), STORAGE_CLOCK)


def subscription_names() -> Mapping[str, str]:
    """Names of subscriptions by their ids in lower case, as sweeps have seen them last."""
    return run_store().subscription_names()


@once
def outbox() -> NoticeOutbox:
    """The notices that are to be sent."""
    return NoticeOutbox(table(), STORAGE_CLOCK)


@once
def jobs() -> SyncJobQueue:
    """The queue of sync jobs."""
    return SyncJobQueue(connection.open_queue(SYNC_JOBS))


@once
def lease_container() -> "ContainerClient":
    """The container of the leases on shards."""
    return connection.open_container(CONTAINER_NAME)
