"""Announces to the topic what has ended and which instances need a person, and stores that it is announced."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from azure.core.exceptions import AzureError

from shared import logs
from shared.clients.outcome_topic import PublishFailed
from shared.domain import announcements
from shared.healing.ports import Topic
from shared.healing.set_aside import set_aside
from shared.healing.shard_failures import ShardFailures
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import Change, Stored, Unsaved, shard_of

PUBLISH_BATCH_SIZE = 20
"""Remediations in a call, each with one event or two."""


@dataclass(frozen=True, slots=True)
class OutcomePublisher:
    """Publishes to one topic; what it does not take stays due."""

    store: RemediationStore
    topic: Topic
    now: Callable[[], datetime]
    random: Callable[[], float]

    def publish(self, news: Sequence[Stored], deadline: datetime, failures: ShardFailures) -> bool:
        """Announce these, a batch at a time, while there is time.

        A shard that does not take the record of it is noted among the failures: what was announced is announced
        again by a later run, and of what is left nothing is announced that could not be recorded either.

        Returns:
            Whether the topic takes outcomes; if not, these are put off.
        """
        batches = deque(news[start : start + PUBLISH_BATCH_SIZE] for start in range(0, len(news), PUBLISH_BATCH_SIZE))
        while batches and self.now() < deadline:
            batch = [stored for stored in batches.popleft() if shard_of(stored.remediation.id) not in failures]
            if not batch:
                continue
            try:
                self.topic.publish([stored.remediation for stored in batch])
            except PublishFailed as failure:
                if failure.in_parts and len(batch) > 1:
                    batches.extendleft(_halves(batch))
                    continue
                # Where the topic takes nothing now, the others need not find that out one by one.
                late = batch if failure.in_parts else list(chain(batch, *batches))
                logs.warning("outcome.not_published", count=len(late), reason=str(failure))
                self.put_off(late, failures)
                if not failure.in_parts:
                    return False
            except Exception as failure:  # what cannot be told of one, can be of the others
                if len(batch) > 1:
                    batches.extendleft(_halves(batch))
                    continue
                [alone] = batch
                reason = logs.describe_exception(failure)
                logs.error("outcome.not_published", count=1, remediationId=alone.remediation.id, reason=reason)
                self.put_off([alone], failures)
            else:
                for stored in batch:
                    logs.info("outcome.published", remediationId=stored.remediation.id)
                self._save(
                    (Change(stored, announcements.on_published(stored.remediation, self.now())) for stored in batch),
                    failures,
                )
        return True

    def put_off(self, ended: Sequence[Stored], failures: ShardFailures) -> None:
        """Announce these later, after a back-off."""
        self._save(
            (
                Change(stored, announcements.on_publish_failed(stored.remediation, self.now(), self.random()))
                for stored in ended
            ),
            failures,
        )

    def _save(self, changes: Iterable[Change], failures: ShardFailures) -> None:
        by_shard: dict[str, list[Change]] = {}
        for change in changes:
            by_shard.setdefault(shard_of(change.after.id), []).append(change)
        for shard, of_shard in by_shard.items():
            try:
                for saved in self.store.save_all(of_shard):
                    if isinstance(saved, Unsaved):
                        set_aside(self.store, saved, self.now())
            except AzureError as failure:
                failures.add("shard.not_stored", shard, failure)


def _halves(batch: Sequence[Stored]) -> tuple[Sequence[Stored], Sequence[Stored]]:
    """The second one first, as `deque.extendleft` takes them."""
    middle = len(batch) // 2
    return batch[middle:], batch[:middle]
