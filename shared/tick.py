"""The tick: looks at what is due and at nothing else, moves it on, announces what ended.

Looks are taken side by side within a time budget; what is not reached stays due. An exception about one
remediation is that remediation's alone. Results are stored before anybody is told about them.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, groupby

from azure.core.exceptions import AzureError

from shared import journal, transitions
from shared.answers import OperationUnknown
from shared.arm import ArmClient
from shared.documents import CorruptDocument
from shared.jobs import JobQueue, SyncJob
from shared.outcomes import NotPublished, OutcomeTopic
from shared.policy import retry_delay, sync_type_of
from shared.remediation import Remediation, Status
from shared.settings import Settings
from shared.store import SHARDS, TOGETHER, Change, DueEntry, Saved, Store, Stored, shard_of

_BUDGET = timedelta(seconds=25)
"""New looks are taken for so long; below the default schedule of 30 s, so that the next tick is on time."""
_HOLD = timedelta(seconds=20)
"""How far ahead the next look at a running operation may be for it to be held in memory."""
_REPORT_AGAIN = timedelta(hours=1)
"""Between two reports of a record that cannot be read: it stays until a person looks at it."""
_MOST_PER_SHARD = 4_000
_EVENTS_PER_CALL = 20

Known = Stored | CorruptDocument


@dataclass(frozen=True, slots=True)
class Tick:
    """Works through the due entries with these parts.

    An operation that still runs and is due again soon is held in memory and written nowhere: the next tick goes
    on from there, and what ends the operation is stored against the ETag that was read at first. A host that
    does not hold it polls it anew.
    """

    store: Store
    arm: ArmClient
    jobs: JobQueue
    topic: OutcomeTopic | None
    settings: Settings
    now: Callable[[], datetime]
    random: Callable[[], float]
    _held: dict[str, Change] = field(default_factory=dict)

    def run(self) -> None:
        """One tick.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached; everything stays due.
        """
        started = self.now()
        with ThreadPoolExecutor(self.settings.poll_concurrency) as side_by_side:
            entries = self._due(side_by_side, started)
            known = self._known(side_by_side, entries)
            look = partial(self._look, known=known, deadline=started + _BUDGET)
            changes = [change for change in side_by_side.map(look, entries) if change is not None]
        self._announce(self._store(changes))

    def _due(self, side_by_side: ThreadPoolExecutor, until: datetime) -> list[DueEntry]:
        of_shards = side_by_side.map(lambda shard: self.store.due(shard, until, _MOST_PER_SHARD), SHARDS)
        return sorted(chain.from_iterable(of_shards), key=lambda entry: entry.at)

    def _known(self, side_by_side: ThreadPoolExecutor, entries: Sequence[DueEntry]) -> Mapping[str, Known]:
        """What the entries stand for: held, or read now. Nothing is held that is due no more: others ended it."""
        due = dict.fromkeys(entry.remediation_id for entry in entries)
        for gone in self._held.keys() - due.keys():
            del self._held[gone]
        missing = sorted((one for one in due if one not in self._held), key=shard_of)
        groups = [list(group) for _, group in groupby(missing, key=shard_of)]
        batches = [group[at : at + TOGETHER] for group in groups for at in range(0, len(group), TOGETHER)]
        return dict(chain.from_iterable(read.items() for read in side_by_side.map(self.store.load_together, batches)))

    def _look(self, entry: DueEntry, known: Mapping[str, Known], deadline: datetime) -> Change | None:
        if self.now() > deadline:
            return None
        try:
            return self._change(entry, known.get(entry.remediation_id))
        except Exception as failure:  # whatever is wrong with this one, the others go on; it stays due
            journal.error("look.failed", remediationId=entry.remediation_id, reason=_name(failure))
            return None

    def _change(self, entry: DueEntry, known: Known | None) -> Change | None:
        """What is to be stored for the entry's remediation; None if nothing is."""
        if isinstance(known, CorruptDocument):
            journal.error("remediation.corrupt", remediationId=entry.remediation_id, reason=str(known))
            self.store.put_off(entry, self.now() + _REPORT_AGAIN)
            return None
        held = self._held.get(entry.remediation_id)
        stored = held.stored if held else known
        if stored is None or not stored.names(entry) or stored.remediation.due_at is None:
            self.store.drop_entry(entry)
            return None
        current = held.after if held else stored.remediation
        if current.due_at is None or current.due_at <= self.now():
            current = self._closed(self._next(current))
        return self._hold_or_store(Change(stored, current))

    def _hold_or_store(self, change: Change) -> Change | None:
        """Spare the writing of what says nothing new and is looked at again soon."""
        before, after = change.stored.remediation, change.after
        wait = after.due_at - self.now() if after.due_at else timedelta()
        says_nothing_new = after.history == before.history and after.deferrals == before.deferrals
        if says_nothing_new and after.status is Status.RUNNING and wait <= _HOLD:
            self._held[after.id] = change
            return None
        self._held.pop(after.id, None)
        if after is before and after.status.is_terminal and wait > timedelta():
            return None  # the topic did not take it: its back-off is not over
        # A job that waits in the queue needs no entry at its due time yet: the submit is about to name one.
        is_on_its_way = after.status is Status.QUEUED and after == before and wait <= transitions.QUEUE_PATIENCE
        return None if is_on_its_way else change

    def _next(self, current: Remediation) -> Remediation:
        if current.status.is_terminal:
            return current
        ended = transitions.overdue(current, self.settings.operation_timeout, self.now())
        if ended is not None:
            return ended
        if current.status is Status.WAITING_TO_RETRY:
            asked_for = current.attempts[0].sync_type
            number = current.attempt.number + 1
            return transitions.retried(current, sync_type_of(number, asked_for, self.settings), self.now())
        if current.status is Status.QUEUED:
            return transitions.requeued(current, self.now())
        if current.status is Status.RUNNING:
            current = self._ask_operation(current)
        if current.status is Status.VERIFYING:
            current = self._ask_instance(current)
        return current

    def _ask_operation(self, current: Remediation) -> Remediation:
        operation = current.attempt.operation
        answer = self.arm.operation(current.instance, operation) if operation else OperationUnknown()
        retry = retry_delay(current.attempt.number, self.settings)
        return transitions.operation_answered(current, answer, self.now(), self.random(), retry)

    def _ask_instance(self, current: Remediation) -> Remediation:
        answer = self.arm.read(current.instance)
        retry = retry_delay(current.attempt.number, self.settings)
        return transitions.instance_answered(current, answer, self.now(), self.random(), retry)

    def _closed(self, after: Remediation) -> Remediation:
        return transitions.closed(after, announce=self.topic is not None)

    def _store(self, changes: Sequence[Change]) -> list[Stored]:
        """Store what changed; returns what has ended and is still to be announced."""
        waiting = [change.stored for change in changes if _only_waits_for_its_announcement(change)]
        fresh = []
        for one in self.store.save_all(change for change in changes if not _only_waits_for_its_announcement(change)):
            _report(one)
            self._enqueue(one.before, one.stored.remediation)
            if one.stored.remediation.status.is_terminal:
                fresh.append(one.stored)
        return [stored for stored in waiting + fresh if stored.remediation.due_at is not None]

    def _enqueue(self, before: Remediation, after: Remediation) -> None:
        """Queue the job that a stored step asks for; if that fails, the due entry asks for it again."""
        if after.status is not Status.QUEUED or after.due_at == before.due_at:
            return
        if after.history == before.history:
            journal.warning("job.requeued", remediationId=after.id, attempt=after.attempt.number)
        try:
            self.jobs.send(SyncJob(after.id, after.attempt.number))
        except AzureError as failure:
            journal.error("job.not_queued", remediationId=after.id, dueAt=after.due_at, reason=_name(failure))

    def _announce(self, ended: Sequence[Stored]) -> None:
        if self.topic is None:
            return
        for start in range(0, len(ended), _EVENTS_PER_CALL):
            announced = self._announced(ended[start : start + _EVENTS_PER_CALL], self.topic)
            for _ in self.store.save_all(announced):
                pass

    def _announced(self, group: Sequence[Stored], topic: OutcomeTopic) -> list[Change]:
        try:
            topic.publish([stored.remediation for stored in group])
        except NotPublished as failure:
            if failure.too_large and len(group) > 1:
                middle = len(group) // 2
                return self._announced(group[:middle], topic) + self._announced(group[middle:], topic)
            journal.warning("outcome.not_published", count=len(group), reason=str(failure))
            return [
                Change(stored, transitions.unpublished(stored.remediation, self.now(), self.random()))
                for stored in group
            ]
        for stored in group:
            journal.info("outcome.published", remediationId=stored.remediation.id)
        return [Change(stored, transitions.published(stored.remediation, self.now())) for stored in group]


def _only_waits_for_its_announcement(change: Change) -> bool:
    return change.after is change.stored.remediation and change.after.status.is_terminal


def _report(saved: Saved) -> None:
    after = saved.stored.remediation
    journal.transitions(saved.before, after)
    if after.deferrals > saved.before.deferrals:
        journal.warning("remediation.deferred", remediationId=after.id, dueAt=after.due_at, error=after.error)


def _name(failure: Exception) -> str:
    return f"{type(failure).__name__}: {failure}"
