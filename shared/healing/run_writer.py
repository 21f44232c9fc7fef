"""Stores what a poll run finds out while it goes on, queues the jobs that follow, and has announced what has ended."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import Any

from azure.core.exceptions import AzureError

from shared import logs
from shared.domain import announcements, recovery_steps
from shared.domain.remediation import Remediation, Status
from shared.healing.incidents import Incidents
from shared.healing.outcome_publisher import PUBLISH_BATCH_SIZE, OutcomePublisher
from shared.healing.ports import JobQueue
from shared.healing.set_aside import set_aside
from shared.healing.shard_failures import ShardFailures
from shared.healing.transition_log import log_transitions
from shared.healing.wake import note_waiting
from shared.logs import LogRelay
from shared.storage.change_writer import MAX_CHANGES_PER_TRANSACTION
from shared.storage.queues import SyncJob
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import SHARDS, Change, Saved, Stored, Unsaved, shard_of

_WRITES_PER_SHARD = 2
"""Transactions of a shard that are under way at once."""


class RunWriter:
    """Takes what poll runs find out; the threads that store and announce it are started when needed, and kept."""

    def __init__(
        self,
        store: RemediationStore,
        incidents: Incidents,
        jobs: JobQueue,
        publisher: OutcomePublisher | None,
        now: Callable[[], datetime],
    ) -> None:
        """`publisher`: None without a topic for outcomes."""
        self.store = store
        self.incidents = incidents
        self.jobs = jobs
        self.publisher = publisher
        self.now = now
        self.store_threads = ThreadPoolExecutor(_WRITES_PER_SHARD * len(SHARDS))
        self.publish_thread = ThreadPoolExecutor(1)

    @contextmanager
    def open(self, publish_until: datetime, failures: ShardFailures) -> Iterator["RunResults"]:
        """Take the results of one run; at the end of the block all are stored and announced, or noted as failures."""
        results = RunResults(self, publish_until, failures)
        try:
            yield results
        except Exception:
            results.finish()  # what was found out until then is as true
            raise
        except BaseException:
            results.abandon()
            raise
        results.finish()


class RunResults:
    """The results of one poll run on their way to storage and topic, while the other polls go on.

    They are stored as soon as there are enough for a transaction, each shard for itself, and what has ended or needs
    a person is announced once it is stored.
    """

    def __init__(self, writer: RunWriter, publish_until: datetime, failures: ShardFailures) -> None:
        """Begin without results."""
        self._writer = writer
        self._publish_until = publish_until
        self._failures = failures
        self._lock = Lock()
        self._changes: dict[str, list[Change]] = {shard: [] for shard in SHARDS}
        self._news: list[Stored] = []
        self._work: list[Future[None]] = []
        self._relay = LogRelay()
        self._topic_is_down = False

    def add(self, change: Change) -> None:
        """Take a result, of any thread."""
        if change.after is change.stored.remediation and announcements.has_news(change.after):
            self._announce([change.stored])  # it is stored already, and only waits for its announcement
            return
        shard = shard_of(change.after.id)
        with self._lock:
            self._changes[shard].append(change)
            is_full = len(self._changes[shard]) == MAX_CHANGES_PER_TRANSACTION
            # A call that must not be made again is on record at once: a crash would take those of a whole batch.
            is_urgent = recovery_steps.has_begun_backup(change.stored.remediation, change.after)
            batch = self._changes[shard] if is_full or is_urgent else []
            if batch:
                self._changes[shard] = []
        if batch:
            self._start(self._writer.store_threads, self._store, batch)

    def finish(self) -> None:
        """Store and announce what is left, and wait for all of it."""
        for batch in self._changes.values():
            if batch:
                self._start(self._writer.store_threads, self._store, batch)
        self._wait()
        if self._news:
            self._start(self._writer.publish_thread, self._publish, self._news)
            self._wait()

    def abandon(self) -> None:
        """Wait for what was begun, and begin nothing more."""
        wait(self._work)
        self._relay.flush()

    def _wait(self) -> None:
        # What is stored has more to be announced: that is begun by the time the storing is over.
        wait(self._work)
        self.abandon()
        for work in self._work:
            work.result()

    def _start(self, threads: ThreadPoolExecutor, work: Callable[[list[Any]], None], batch: list[Any]) -> None:
        started = threads.submit(self._relay.wrap(work), batch)
        with self._lock:
            self._work.append(started)

    def _store(self, changes: list[Change]) -> None:
        shard = shard_of(changes[0].after.id)
        if shard in self._failures:
            return
        news: list[Stored] = []
        steps: list[tuple[Remediation, Remediation]] = []
        changes = self._writer.incidents.join(changes)
        note_waiting(self._writer.store, [(change.stored.remediation, change.after) for change in changes])
        try:
            for saved in self._writer.store.save_all(changes):
                if isinstance(saved, Unsaved):
                    set_aside(self._writer.store, saved, self._writer.now())
                    continue
                _log(saved)
                steps.append((saved.before, saved.stored.remediation))
                self._enqueue(saved.before, saved.stored.remediation)
                if announcements.has_news(saved.stored.remediation):
                    news.append(saved.stored)
        except AzureError as failure:
            self._failures.add("shard.not_stored", shard, failure)
        self._writer.incidents.release(steps)
        self._announce(news)

    def _announce(self, news: Sequence[Stored]) -> None:
        with self._lock:
            self._news += [each for each in news if each.remediation.due_at is not None]
            batches = []
            while len(self._news) >= PUBLISH_BATCH_SIZE:
                batches.append(self._news[:PUBLISH_BATCH_SIZE])
                self._news = self._news[PUBLISH_BATCH_SIZE:]
        for batch in batches:
            self._start(self._writer.publish_thread, self._publish, batch)

    def _publish(self, news: list[Stored]) -> None:
        """On one thread: whether the topic takes anything is found out once."""
        publisher = self._writer.publisher
        if publisher is None:
            return
        if self._topic_is_down:
            publisher.put_off(news, self._failures)
        else:
            self._topic_is_down = not publisher.publish(news, self._publish_until, self._failures)

    def _enqueue(self, before: Remediation, after: Remediation) -> None:
        """Queue the job that a stored step asks for; if that fails, the due entry asks for it again."""
        is_same_wait = before.status is Status.QUEUED and after.not_before == before.not_before
        if after.status is not Status.QUEUED or is_same_wait:
            return
        if after.history == before.history:
            logs.warning("job.requeued", remediationId=after.id, attempt=after.attempt.number)
        try:
            self._writer.jobs.send(SyncJob(after.id, after.attempt.number))
        except AzureError as failure:
            reason = logs.describe_exception(failure)
            logs.error("job.not_queued", remediationId=after.id, dueAt=after.due_at, reason=reason)


def _log(saved: Saved) -> None:
    after = saved.stored.remediation
    log_transitions(saved.before, after)
    if after.deferrals > saved.before.deferrals:
        logs.warning("remediation.deferred", remediationId=after.id, dueAt=after.due_at, error=after.error)
