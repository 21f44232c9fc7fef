"""The tick: works through what is due and nothing else, stores what came of it, announces what ended.

Looks are taken side by side within a time budget; what is not reached stays due. An exception about one
remediation is that remediation's alone. Results are stored before anybody is told about them.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from threading import Semaphore
from typing import NamedTuple

from azure.core.exceptions import AzureError

from shared import logs
from shared.clients.outcome_topic import OutcomeTopic, PublishFailed
from shared.domain import state_machine
from shared.domain.remediation import Remediation, Status
from shared.domain.remediation_json import CorruptDocument
from shared.healing.next_step import NextStep
from shared.healing.poll_cache import POLLED, PollCache
from shared.healing.transition_log import log_transitions
from shared.logs import LogRelay
from shared.storage.queues import InvalidJob, ShardJob, ShardQueue, SyncJob, SyncJobQueue
from shared.storage.remediation_store import BATCH_SIZE, RemediationStore, WriteConflict
from shared.storage.table_rows import SHARDS, Change, DueEntry, Saved, Stored, shard_of

_BUDGET = timedelta(seconds=25)
"""New looks are taken for so long; below the default schedule of 30 s, so that the next tick is on time."""
_TO_ANNOUNCE = timedelta(seconds=10)
"""Beyond that, for outcomes: a topic that keeps silent must not keep the next tick waiting."""
_HOLD = timedelta(seconds=20)
"""How far ahead the next look may be for what is known to be kept in memory only."""
_LAG = timedelta(minutes=2)
"""How long a due entry may stay behind what is kept in memory: as long may others not know how far it is."""
_REPORT_AGAIN = timedelta(hours=1)
"""Between two reports of a record that cannot be read: it stays until a person looks at it."""
_MOST_PER_SHARD = 4_000
_AHEAD = 8
"""Remediations read, for each look that can be taken at the same time."""
_EVENTS_PER_CALL = 20

Due = Mapping[str, Sequence[DueEntry]]
"""What is due in each shard, soonest first."""


class _Known(NamedTuple):
    """A due entry and what stands behind it: the row as it was read, or why it cannot be; None if there is none."""

    entry: DueEntry
    row: Change | CorruptDocument | None


class _Seen(NamedTuple):
    """What came of a due entry."""

    in_time: bool
    change: Change | None
    """To be stored; None if nothing is."""


@dataclass(frozen=True, slots=True)
class Poller:
    """Works through the due entries with these parts.

    What still waits and is due again soon is kept in memory and written nowhere: the next tick goes on from there,
    and what ends the wait is stored against the ETag that was read at first. A host that does not remember it
    reads and asks anew.
    """

    store: RemediationStore
    looks: NextStep
    memory: PollCache
    jobs: SyncJobQueue
    shards: ShardQueue
    topic: OutcomeTopic | None
    now: Callable[[], datetime]
    random: Callable[[], float]
    at_once: int
    """How many looks this process takes at the same time."""
    alone: int = 10_000
    """How many due entries one host can look at within its time; more are shared with the others over the queue."""
    _storage_threads: ThreadPoolExecutor = field(init=False)
    _lookers: ThreadPoolExecutor = field(init=False)
    """For all shards that this process works on, so that its looks stay within `at_once`."""

    def __post_init__(self) -> None:
        """Threads are started when they are first needed, and kept."""
        object.__setattr__(self, "_storage_threads", ThreadPoolExecutor(min(len(SHARDS), self.at_once)))
        object.__setattr__(self, "_lookers", ThreadPoolExecutor(self.at_once))

    def run(self) -> None:
        """One tick, by the timer.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached; everything stays due.
        """
        started = self.now()
        due = self._due([shard for shard in SHARDS if not self.memory.turn(shard).locked()], started)
        oldest = self._oldest(due)
        mine = due if sum(map(len, due.values())) <= self.alone else self._hand_over(due)
        self._tell(started, due, oldest, looked=self._work(mine, started))

    def run_shard(self, message: str) -> None:
        """One shard's part of a tick, by the queue.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached; everything stays due.
        """
        try:
            job = ShardJob.from_message(message)
        except InvalidJob as invalid:
            logs.error("shard.invalid", reason=str(invalid))
            return
        if not self.memory.turn(job.shard).locked():
            started = self.now()
            due = self._due([job.shard], started)
            oldest = self._oldest(due)
            self._tell(started, due, oldest, looked=self._work(due, started))

    def _hand_over(self, due: Due) -> Due:
        """Ask other hosts for help. This one keeps the shard that waits longest, and what it cannot hand over."""
        waiting = [shard for shard, entries in due.items() if entries]
        oldest_first = sorted(waiting, key=lambda shard: self._due_at(due[shard][0]))
        mine, others = oldest_first[:1], oldest_first[1:]
        for shard in others:
            try:
                self.shards.send(ShardJob(shard))
            except AzureError as failure:
                logs.error("shard.not_queued", shard=shard, reason=logs.describe_exception(failure))
                mine.append(shard)
        return {shard: due[shard] for shard in mine}

    def _due(self, shards: Sequence[str], until: datetime) -> Due:
        found = self._storage_threads.map(lambda shard: self.store.due(shard, until, _MOST_PER_SHARD), shards)
        return {shard: self._really_due(shard, entries, until) for shard, entries in zip(shards, found, strict=True)}

    def _really_due(self, shard: str, entries: Sequence[DueEntry], until: datetime) -> list[DueEntry]:
        """Without those that wait in memory for a time to come; due for longest first."""
        self.memory.forget_others(shard, {entry.remediation_id for entry in entries})
        return sorted((entry for entry in entries if not self._waits_in_memory(entry, until)), key=self._due_at)

    def _waits_in_memory(self, entry: DueEntry, now: datetime) -> bool:
        known = self.memory.recall(entry)
        return known is not None and _may_wait_in_memory(known, now) and self._due_at(entry) > now

    def _work(self, due: Due, started: datetime) -> int:
        """Look at what is due, store and announce it; returns how many were looked at."""
        with self._turns(due) as mine:
            seen = self._see({shard: due[shard] for shard in mine}, started + _BUDGET)
            self._announce(self._store([one.change for one in seen if one.change]), started + _BUDGET + _TO_ANNOUNCE)
        return sum(one.in_time for one in seen)

    @contextmanager
    def _turns(self, due: Due) -> Iterator[list[str]]:
        """The shards that nobody else in this process works on already, until it is done."""
        mine = [shard for shard in due if self.memory.turn(shard).acquire(blocking=False)]
        try:
            yield mine
        finally:
            for shard in mine:
                self.memory.turn(shard).release()

    def _see(self, due: Due, deadline: datetime) -> list[_Seen]:
        """Look at everything, each as soon as it is read."""
        looks: list[Future[_Seen]] = []
        # Read just ahead of the looks: what is read sooner takes processor time from them, and grows stale.
        room = Semaphore(_AHEAD * self.at_once)
        relay = LogRelay()
        look = relay.wrap(partial(self._look, deadline=deadline))
        try:
            # Read by this thread alone: shards that are worked on side by side then get on at the same pace.
            for one in chain.from_iterable(self._read(due, deadline)):
                room.acquire()
                looks.append(self._lookers.submit(look, one))
                looks[-1].add_done_callback(lambda _: room.release())
            return [taken.result() for taken in looks]
        finally:
            for taken in looks:
                taken.cancel()
            wait(looks)
            relay.flush()

    def _read(self, due: Due, deadline: datetime) -> Iterator[list[_Known]]:
        """Batch after batch while there is time; what storage does not give stays due, what was seen counts."""
        for batch in self._batches(due):
            if self.now() > deadline:
                return
            try:
                yield self._known(batch)
            except AzureError as failure:
                logs.error("tick.cut_short", reason=logs.describe_exception(failure))
                return

    def _batches(self, due: Due) -> list[Sequence[DueEntry]]:
        """What can be read together, if it need be read: what is due for longest comes first."""
        batches: list[tuple[datetime, Sequence[DueEntry]]] = []
        for entries in due.values():
            for start in range(0, len(entries), BATCH_SIZE):
                batch = entries[start : start + BATCH_SIZE]
                batches.append((self._due_at(batch[0]), batch))
        return [batch for _, batch in sorted(batches, key=itemgetter(0))]

    def _due_at(self, entry: DueEntry) -> datetime:
        """When it is due really: what is kept in memory may be due later than its entry says."""
        known = self.memory.recall(entry)
        return (known.after.due_at if known else None) or entry.at

    def _known(self, batch: Sequence[DueEntry]) -> list[_Known]:
        recalled = {entry: self.memory.recall(entry) for entry in batch}
        missing = [entry for entry, change in recalled.items() if change is None]
        rows = self.store.load_due(missing) if missing else {}
        read = {one: Change(row, row.remediation) if isinstance(row, Stored) else row for one, row in rows.items()}
        return [_Known(entry, change or read.get(entry.remediation_id)) for entry, change in recalled.items()]

    def _look(self, known: _Known, deadline: datetime) -> _Seen:
        if self.now() > deadline:
            return _Seen(False, None)
        try:
            return _Seen(True, self._change(*known))
        except Exception as failure:  # whatever is wrong with this one, the others go on; it stays due
            logs.error("look.failed", remediationId=known.entry.remediation_id, reason=logs.describe_exception(failure))
            return _Seen(True, None)

    def _change(self, entry: DueEntry, row: Change | CorruptDocument | None) -> Change | None:
        """What is to be stored for the entry's remediation; None if nothing is."""
        if isinstance(row, CorruptDocument):
            logs.error("remediation.corrupt", remediationId=entry.remediation_id, reason=str(row))
            with suppress(WriteConflict):
                self.store.put_off(entry, self.now() + _REPORT_AGAIN)
            return None
        if row is None:
            self._finish_or_drop(entry)
            return None
        if not row.stored.names(entry) or row.after.due_at is None:
            self.store.drop_entry(entry)
            return None
        return self._keep_or_store(Change(row.stored, self.looks.take(row.after)))

    def _finish_or_drop(self, entry: DueEntry) -> None:
        """There is an entry and no row: its opener is about to write it, or has died; or the row was purged."""
        owner = self.store.owner_beside(entry.remediation_id)
        opening = owner.unfinished(self.now()) if owner else None
        if opening is not None and opening.id == entry.remediation_id:
            taken_up = state_machine.resume(opening, self.now())
            if self.store.finish_opening(taken_up):
                log_transitions(None, taken_up)
        elif self.store.load(entry.remediation_id) is None:  # it may have been written, and have ended, meanwhile
            self.store.drop_entry(entry)

    def _keep_or_store(self, change: Change) -> Change | None:
        """Spare the writing of what says nothing new and is looked at again soon."""
        before, after, now = change.stored.remediation, change.after, self.now()
        says_nothing_new = after.history == before.history and after.deferrals == before.deferrals
        if says_nothing_new and _may_wait_in_memory(change, now):
            self.memory.keep(change.stored, after)
            return None
        self.memory.forget(after.id)
        wait = after.due_at - now if after.due_at else timedelta()
        if after is before and after.status.is_terminal and wait > timedelta():
            return None  # the topic did not take it: its back-off is not over
        # A job that waits in the queue needs no entry at its due time yet: the submit is about to name one.
        is_on_its_way = after.status is Status.QUEUED and after == before and wait <= state_machine.JOB_TIMEOUT
        return None if is_on_its_way else change

    def _store(self, changes: Sequence[Change]) -> list[Stored]:
        """Store what changed; returns what has ended and is still to be announced."""
        waiting = [change.stored for change in changes if _only_waits_for_its_announcement(change)]
        to_store = [change for change in changes if not _only_waits_for_its_announcement(change)]
        by_shard = groupby(sorted(to_store, key=_shard), key=_shard)
        relay = LogRelay()
        store = relay.wrap(self._store_shard)
        stored = [self._storage_threads.submit(store, list(group)) for _, group in by_shard]
        wait(stored)
        relay.flush()
        ended = list(chain(waiting, *(shard.result() for shard in stored)))
        return [one for one in ended if one.remediation.due_at is not None]

    def _store_shard(self, changes: Sequence[Change]) -> list[Stored]:
        ended = []
        for one in self.store.save_all(changes):
            _report(one)
            self._enqueue(one.before, one.stored.remediation)
            if one.stored.remediation.status.is_terminal:
                ended.append(one.stored)
        return ended

    def _enqueue(self, before: Remediation, after: Remediation) -> None:
        """Queue the job that a stored step asks for; if that fails, the due entry asks for it again."""
        if after.status is not Status.QUEUED or after.due_at == before.due_at:
            return
        if after.history == before.history:
            logs.warning("job.requeued", remediationId=after.id, attempt=after.attempt.number)
        try:
            self.jobs.send(SyncJob(after.id, after.attempt.number))
        except AzureError as failure:
            logs.error(
                "job.not_queued", remediationId=after.id, dueAt=after.due_at, reason=logs.describe_exception(failure)
            )

    def _announce(self, ended: Sequence[Stored], deadline: datetime) -> None:
        """Publish what ended, a group at a time; what the topic does not take, or there is no time for, stays due."""
        groups = deque(ended[at : at + _EVENTS_PER_CALL] for at in range(0, len(ended), _EVENTS_PER_CALL))
        while self.topic and groups and self.now() < deadline:
            group = groups.popleft()
            try:
                self.topic.publish([stored.remediation for stored in group])
            except PublishFailed as failure:
                if failure.in_parts and len(group) > 1:
                    groups.extendleft([group[len(group) // 2 :], group[: len(group) // 2]])
                    continue
                if not failure.in_parts:
                    # The topic takes nothing now: the others need not find that out one by one.
                    group = list(chain(group, *groups))
                    groups.clear()
                logs.warning("outcome.not_published", count=len(group), reason=str(failure))
                self._save_announced(group, lambda one: state_machine.on_publish_failed(one, self.now(), self.random()))
            else:
                for stored in group:
                    logs.info("outcome.published", remediationId=stored.remediation.id)
                self._save_announced(group, lambda one: state_machine.on_published(one, self.now()))

    def _save_announced(self, group: Sequence[Stored], step: Callable[[Remediation], Remediation]) -> None:
        for _ in self.store.save_all([Change(stored, step(stored.remediation)) for stored in group]):
            pass

    def _oldest(self, due: Due) -> datetime | None:
        return min((self._due_at(entries[0]) for entries in due.values() if entries), default=None)

    def _tell(self, started: datetime, due: Due, oldest: datetime | None, looked: int) -> None:
        count = sum(map(len, due.values()))
        logs.info(
            "tick.done",
            due=count,
            looked=looked,
            left=count - looked,
            oldestDueAt=oldest,
            seconds=round((self.now() - started).total_seconds(), 3),
        )


def _may_wait_in_memory(change: Change, now: datetime) -> bool:
    """Whether its next look is near, and others have known for long enough how far it is."""
    after, entry_at = change.after, change.stored.entry_at
    return after.status in POLLED and after.due_at is not None and after.due_at - now <= _HOLD and now - entry_at < _LAG


def _only_waits_for_its_announcement(change: Change) -> bool:
    return change.after is change.stored.remediation and change.after.status.is_terminal


def _shard(change: Change) -> str:
    return shard_of(change.after.id)


def _report(saved: Saved) -> None:
    after = saved.stored.remediation
    log_transitions(saved.before, after)
    if after.deferrals > saved.before.deferrals:
        logs.warning("remediation.deferred", remediationId=after.id, dueAt=after.due_at, error=after.error)
