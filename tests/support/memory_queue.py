"""The queue of sync jobs in memory."""

from datetime import datetime, timedelta

from shared.storage.queues import SyncJob, SyncJobQueue


class MemoryQueue(SyncJobQueue):
    """Keeps the jobs, with their delays."""

    def __init__(self, *jobs: SyncJob) -> None:
        self.sent = [(job, timedelta()) for job in jobs]
        self.oldest_visible: datetime | None = None

    def send(self, job: SyncJob, delay: timedelta = timedelta()) -> None:
        self.sent.append((job, delay))

    def oldest(self) -> datetime | None:
        return self.oldest_visible

    def depth(self) -> int:
        return len(self.sent)
