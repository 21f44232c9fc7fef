"""The poller: polls what is due and nothing else, stores what came of it, announces what ended.

Polls run side by side within a time budget; what is not reached stays due. An exception about one remediation is
that remediation's alone, and a shard that storage refuses keeps no other from going on. Results are stored before
anybody is told about them.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from threading import Semaphore

from azure.core.exceptions import AzureError

from shared import logs
from shared.domain import announcements, sync_jobs
from shared.domain.remediation import Status
from shared.domain.remediation_json import CorruptDocument
from shared.healing.due_reader import Due, DueReader, DueRow, may_wait_in_cache
from shared.healing.incidents import Incidents
from shared.healing.next_step import NextStep
from shared.healing.outcome_publisher import OutcomePublisher
from shared.healing.poll_cache import PollCache
from shared.healing.ports import JobQueue, Leases, Shards
from shared.healing.run_writer import RunResults, RunWriter
from shared.healing.set_aside import SET_ASIDE_INTERVAL
from shared.healing.shard_failures import ShardFailures
from shared.healing.transition_log import log_transitions
from shared.logs import LogRelay
from shared.storage.conflicts import WriteConflict
from shared.storage.queues import InvalidJob, ShardJob
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import SHARDS, Change, DueEntry, shard_of

_POLL_TIMEOUT = timedelta(seconds=25)
"""New polls are made for so long; below the default schedule of 30 s, so that the next run is on time."""
_PUBLISH_TIMEOUT = timedelta(seconds=10)
"""Beyond that, for outcomes: a topic that keeps silent must not keep the next run waiting."""
_FAILED_POLL_INTERVAL = timedelta(minutes=5)
"""Before a remediation is polled again whose poll failed in a way that nobody foresaw."""
_READ_AHEAD = 8
"""Remediations read, for each poll that can be made at the same time."""


class Poller:
    """Works through the due entries.

    What still waits and is due again soon is kept in the cache and written nowhere: the next run goes on from there,
    and what ends the wait is stored against the ETag that was read at first. A host that does not have it in its
    cache reads and asks anew.
    """

    def __init__(
        self,
        *,
        store: RemediationStore,
        next_step: NextStep,
        cache: PollCache,
        incidents: Incidents,
        jobs: JobQueue,
        shards: Shards,
        leases: Leases,
        publisher: OutcomePublisher | None,
        now: Callable[[], datetime],
        concurrency: int,
        max_due_per_host: int = 10_000,
        attend_incidents: Callable[[], None],
        record_run: Callable[[int, int], None] = lambda due, polled: None,
    ) -> None:
        """Threads are started when they are first needed, and kept.

        Args:
            publisher: None without a topic for outcomes.
            concurrency: polls that this process makes at the same time, for all shards that it works on.
            max_due_per_host: due entries that one host can poll within its time; more are shared with other hosts.
            attend_incidents: called after each run over all shards.
            record_run: hears of each run over all shards how many were due, and polled.
        """
        self._store = store
        self._next_step = next_step
        self._cache = cache
        self._shards = shards
        self._leases = leases
        self._publisher = publisher
        self._now = now
        self._max_due_per_host = max_due_per_host
        self._attend_incidents = attend_incidents
        self._record_run = record_run
        # To take a lease and release it costs as much as a poll; two hosts seldom work on a shard of few.
        self._max_due_without_lease = max_due_per_host // 20
        self._max_read_ahead = _READ_AHEAD * concurrency
        self._due = DueReader(store, cache, now)
        self._writer = RunWriter(store, incidents, jobs, publisher, now)
        self._poll_threads = ThreadPoolExecutor(concurrency)

    def run(self) -> None:
        """One run over all shards, by the timer.

        Raises:
            azure.core.exceptions.AzureError: storage refused every shard; what is not stored stays due.
        """
        due, polled = self._run([shard for shard in SHARDS if not self._cache.shard_lock(shard).locked()])
        self._attend_incidents()
        self._record_run(due, polled)

    def run_shard(self, message: str) -> None:
        """A run over one shard, by the queue.

        Raises:
            azure.core.exceptions.AzureError: storage refused the shard; what is not stored stays due.
        """
        try:
            job = ShardJob.from_message(message)
        except InvalidJob as invalid:
            logs.error("shard.invalid", reason=str(invalid))
            return
        if not self._cache.shard_lock(job.shard).locked():
            self._run([job.shard])

    def _run(self, shards: Sequence[str]) -> tuple[int, int]:
        """Returns how many were due, and how many were polled."""
        started, failures = self._now(), ShardFailures()
        due = self._due.due(shards, started, failures)
        oldest = self._due.oldest(due)
        is_much = sum(map(len, due.values())) > self._max_due_per_host
        polled = (self._share if is_much else self._work)(due, started, failures)
        failures.raise_if_all(shards)
        self._report(started, due, oldest, polled)
        return sum(map(len, due.values())), polled

    def _share(self, due: Due, started: datetime, failures: ShardFailures) -> int:
        """Wake other hosts, and work on one shard after the other, so that there is one for each of them.

        Returns:
            How many were polled here. What nobody takes is polled here too, while there is time.
        """
        waiting = sorted((shard for shard in due if due[shard]), key=lambda shard: self._due.due_at(due[shard][0]))
        self._wake(waiting[1:])
        polled = 0
        for shard in waiting:
            if self._now() > started + _POLL_TIMEOUT:
                break
            if shard != waiting[0]:
                due = self._due.due([shard], self._now(), failures)  # others have polled some of it since
            polled += self._work({shard: due.get(shard, [])}, started, failures)
        return polled

    def _wake(self, shards: Sequence[str]) -> None:
        """Have the platform run `poll_shard`, on more hosts if there are too few."""
        for shard in shards:
            try:
                self._shards.send(ShardJob(shard))
            except AzureError as failure:
                logs.error("shard.not_queued", shard=shard, reason=logs.describe_exception(failure))

    def _work(self, due: Due, started: datetime, failures: ShardFailures) -> int:
        """Poll what is due, store and announce it; returns how many were polled."""
        deadline = started + _POLL_TIMEOUT
        with self._held(due) as mine, self._writer.open(deadline + _PUBLISH_TIMEOUT, failures) as results:
            return self._poll_all({shard: due[shard] for shard in mine}, deadline, failures, results)

    @contextmanager
    def _held(self, due: Due) -> Iterator[list[str]]:
        """The shards that nobody else works on already, in this process or in another, until it is done."""
        with ExitStack() as held:
            mine = []
            for shard, entries in due.items():
                lock = self._cache.shard_lock(shard)
                if entries and lock.acquire(blocking=False):
                    held.callback(lock.release)
                    if len(entries) <= self._max_due_without_lease or self._take_lease(shard, held):
                        mine.append(shard)
            yield mine

    def _take_lease(self, shard: str, held: ExitStack) -> bool:
        """Whether no other host works on the shard; none does so from now on until it is given up."""
        try:
            lease = self._leases.take(shard)
        except AzureError as failure:
            # It saves work, and is not needed for it.
            logs.warning("shard.not_leased", shard=shard, reason=logs.describe_exception(failure))
            return True
        if lease is not None:
            held.callback(lease.release)
        return lease is not None

    def _poll_all(self, due: Due, deadline: datetime, failures: ShardFailures, results: RunResults) -> int:
        """Poll everything, each as soon as it is read; returns how many were polled."""
        polls: list[Future[bool]] = []
        # Read just ahead of the polls: what is read sooner takes processor time from them, and grows stale.
        room = Semaphore(self._max_read_ahead)
        relay = LogRelay()
        poll = relay.wrap(partial(self._poll, deadline=deadline, results=results))
        try:
            # Read by this thread alone: shards that are worked on side by side then get on at the same pace.
            for row in self._due.rows(due, deadline, failures):
                room.acquire()
                polls.append(self._poll_threads.submit(poll, row))
                polls[-1].add_done_callback(lambda _: room.release())
            return sum(made.result() for made in polls)
        finally:
            for made in polls:
                made.cancel()
            wait(polls)
            relay.flush()

    def _poll(self, due: DueRow, deadline: datetime, results: RunResults) -> bool:
        """Poll one, if there is time; returns whether there was."""
        if self._now() > deadline:
            return False
        try:
            change = self._change(*due)
        except Exception as failure:  # whatever is wrong with this one, the others go on; it stays due
            reason = logs.describe_exception(failure)
            logs.error("poll.failed", remediationId=due.entry.remediation_id, reason=reason)
            if not isinstance(failure, AzureError):
                self._put_off(due.entry, _FAILED_POLL_INTERVAL)
            return True
        if change is not None:
            results.add(change)
        return True

    def _change(self, entry: DueEntry, row: Change | CorruptDocument | None) -> Change | None:
        """The change to be stored for the entry's remediation; None if nothing is."""
        if isinstance(row, CorruptDocument):
            self._store.corrupt_rows.report(shard_of(entry.remediation_id), f"r:{entry.remediation_id}", str(row))
            self._put_off(entry, SET_ASIDE_INTERVAL)
            return None
        if row is None:
            self._resume_or_drop(entry)
            return None
        if row.stored.due_entry != entry or row.after.due_at is None:
            self._store.drop_entry(entry)
            return None
        after = self._next_step.take(row.after)
        return self._cache_or_store(
            Change(row.stored, after if self._publisher else announcements.skip_announcement(after))
        )

    def _put_off(self, entry: DueEntry, interval: timedelta) -> None:
        """Poll no sooner what cannot be polled now; if that cannot be stored, the next run finds it as it is."""
        with suppress(WriteConflict, AzureError):
            self._store.put_off(entry, self._now() + interval)

    def _resume_or_drop(self, entry: DueEntry) -> None:
        """There is an entry and no row: its host is about to write it, or has died; or the row was purged."""
        pointer = self._store.latest_pointer_beside(entry.remediation_id)
        claim = pointer.unfulfilled_claim(self._now()) if pointer else None
        if pointer is not None and claim is not None and claim.id == entry.remediation_id:
            resumed = self._store.resume_opening(pointer, self._now())
            if resumed is not None:
                log_transitions(None, resumed)
        elif self._store.load(entry.remediation_id) is None:  # it may have been written, and have ended, meanwhile
            self._store.drop_entry(entry)

    def _cache_or_store(self, change: Change) -> Change | None:
        """Spare the writing of what says nothing new and is polled again soon."""
        before, after, now = change.stored.remediation, change.after, self._now()
        says_nothing_new = after.history == before.history and after.deferrals == before.deferrals
        if says_nothing_new and may_wait_in_cache(change, now):
            self._cache.keep(change.stored, after)
            return None
        self._cache.forget(after.id)
        wait = after.due_at - now if after.due_at else timedelta()
        if after is before and announcements.has_news(after) == (wait > timedelta()):
            return None  # the topic did not take it, and its back-off is not over; or another host is at its step
        # A job that waits in the queue needs no entry at its due time yet: the submit is about to name one.
        is_on_its_way = after.status is Status.QUEUED and after == before and wait <= sync_jobs.JOB_TIMEOUT
        return None if is_on_its_way else change

    def _report(self, started: datetime, due: Due, oldest: datetime | None, polled: int) -> None:
        count = sum(map(len, due.values()))
        logs.info(
            "tick.done",
            due=count,
            looked=polled,
            left=count - polled,
            oldestDueAt=oldest,
            seconds=round((self._now() - started).total_seconds(), 3),
        )
