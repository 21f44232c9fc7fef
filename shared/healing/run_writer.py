"""Stores what a poll run has found out, queues the jobs that follow from it, and says what is to be announced."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, groupby

from azure.core.exceptions import AzureError

from shared import logs
from shared.domain.remediation import Remediation, Status
from shared.healing.ports import JobQueue
from shared.healing.shard_failures import ShardFailures
from shared.healing.transition_log import log_transitions
from shared.logs import LogRelay
from shared.storage.conflicts import WriteConflict
from shared.storage.queues import SyncJob
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import SHARDS, Change, Saved, Stored, Unsaved, shard_of

SET_ASIDE_INTERVAL = timedelta(hours=1)
"""Between two tries of a remediation that cannot be read or stored: it stays so until a person looks at it."""


class RunWriter:
    """Writes the changes of poll runs, the shards side by side; each shard fails alone."""

    def __init__(self, store: RemediationStore, jobs: JobQueue, now: Callable[[], datetime]) -> None:
        """Threads are started when they are first needed, and kept."""
        self._store = store
        self._jobs = jobs
        self._now = now
        self._threads = ThreadPoolExecutor(len(SHARDS))

    def write(self, changes: Sequence[Change], failures: ShardFailures) -> list[Stored]:
        """Store what changed; returns what has ended, is stored, and is still to be announced."""
        waiting = [change.stored for change in changes if _only_waits_for_its_announcement(change)]
        to_store = [change for change in changes if not _only_waits_for_its_announcement(change)]
        by_shard = groupby(sorted(to_store, key=_shard), key=_shard)
        relay = LogRelay()
        write = relay.wrap(partial(self._write_shard, failures))
        written = [self._threads.submit(write, list(group)) for _, group in by_shard]
        wait(written)
        relay.flush()
        ended = chain(waiting, *(shard.result() for shard in written))
        return [each for each in ended if each.remediation.due_at is not None]

    def _write_shard(self, failures: ShardFailures, changes: Sequence[Change]) -> list[Stored]:
        ended: list[Stored] = []
        try:
            for saved in self._store.save_all(changes):
                if isinstance(saved, Unsaved):
                    set_aside(self._store, saved, self._now())
                    continue
                _log(saved)
                self._enqueue(saved.before, saved.stored.remediation)
                if saved.stored.remediation.status.is_terminal:
                    ended.append(saved.stored)
        except AzureError as failure:
            failures.add("shard.not_stored", _shard(changes[0]), failure)
        return ended

    def _enqueue(self, before: Remediation, after: Remediation) -> None:
        """Queue the job that a stored step asks for; if that fails, the due entry asks for it again."""
        if after.status is not Status.QUEUED or after.not_before == before.not_before:
            return
        if after.history == before.history:
            logs.warning("job.requeued", remediationId=after.id, attempt=after.attempt.number)
        try:
            self._jobs.send(SyncJob(after.id, after.attempt.number))
        except AzureError as failure:
            reason = logs.describe_exception(failure)
            logs.error("job.not_queued", remediationId=after.id, dueAt=after.due_at, reason=reason)


def set_aside(store: RemediationStore, unsaved: Unsaved, now: datetime) -> None:
    """Report a change that storage will not take, and try it no sooner than in an hour.

    Raises:
        azure.core.exceptions.AzureError: storage cannot be reached.
    """
    logs.error("remediation.not_stored", remediationId=unsaved.change.after.id, reason=unsaved.reason)
    with suppress(WriteConflict):
        store.put_off(unsaved.change.stored.due_entry, now + SET_ASIDE_INTERVAL)


def _only_waits_for_its_announcement(change: Change) -> bool:
    return change.after is change.stored.remediation and change.after.status.is_terminal


def _shard(change: Change) -> str:
    return shard_of(change.after.id)


def _log(saved: Saved) -> None:
    after = saved.stored.remediation
    log_transitions(saved.before, after)
    if after.deferrals > saved.before.deferrals:
        logs.warning("remediation.deferred", remediationId=after.id, dueAt=after.due_at, error=after.error)
