"""The queue of sync jobs in memory."""

from datetime import timedelta

from shared.storage.queues import SyncJob, SyncJobQueue


class MemoryQueue(SyncJobQueue):
    """Keeps the jobs, with their delays."""

    def __init__(self, *jobs: SyncJob) -> None:
        self.sent = [(job, timedelta()) for job in jobs]

    def send(self, job: SyncJob, delay: timedelta = timedelta()) -> None:
        self.sent.append((job, delay))

    def depth(self) -> int:
        return len(self.sent)
