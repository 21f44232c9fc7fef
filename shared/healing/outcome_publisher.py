"""Publishes outcomes: announces what has ended to the topic, and stores that it is announced."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from shared import logs
from shared.clients.outcome_topic import PublishFailed
from shared.domain import state_machine
from shared.healing.ports import Topic
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import Change, Stored

_BATCH_SIZE = 20
"""Events in a call."""


@dataclass(frozen=True, slots=True)
class OutcomePublisher:
    """Publishes to one topic; what it does not take stays due."""

    store: RemediationStore
    topic: Topic
    now: Callable[[], datetime]
    random: Callable[[], float]

    def publish(self, ended: Sequence[Stored], deadline: datetime) -> None:
        """Announce these, a batch at a time, while there is time.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached; what was announced is announced again.
        """
        batches = deque(ended[start : start + _BATCH_SIZE] for start in range(0, len(ended), _BATCH_SIZE))
        while batches and self.now() < deadline:
            batch = batches.popleft()
            try:
                self.topic.publish([stored.remediation for stored in batch])
            except PublishFailed as failure:
                if failure.in_parts and len(batch) > 1:
                    batches.extendleft([batch[len(batch) // 2 :], batch[: len(batch) // 2]])
                    continue
                if not failure.in_parts:
                    # The topic takes nothing now: the others need not find that out one by one.
                    batch = list(chain(batch, *batches))
                    batches.clear()
                logs.warning("outcome.not_published", count=len(batch), reason=str(failure))
                self._save(
                    Change(stored, state_machine.on_publish_failed(stored.remediation, self.now(), self.random()))
                    for stored in batch
                )
            else:
                for stored in batch:
                    logs.info("outcome.published", remediationId=stored.remediation.id)
                self._save(
                    Change(stored, state_machine.on_published(stored.remediation, self.now())) for stored in batch
                )

    def _save(self, changes: Iterable[Change]) -> None:
        for _ in self.store.save_all(changes):
            pass
