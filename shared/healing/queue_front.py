"""How far the queue of sync jobs is: tells a job that waits in a long queue from one that got lost.

A lost message is rare, a long queue is not. Queue Storage hands out about the oldest first; so a job is taken for lost
only when nothing that was put into the queue as early still waits there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from azure.core.exceptions import AzureError

from shared import logs
from shared.healing.ports import JobQueue

_MAX_AGE = timedelta(seconds=5)
"""Of what was seen: one poll run asks once, however many jobs it looks after."""
_TOLERANCE = timedelta(seconds=30)
"""Queue Storage does not promise the order, and its clock is not the host's."""


@dataclass(slots=True)
class QueueFront:
    """The oldest job that is visible in the queue, as it was seen some seconds ago."""

    jobs: JobQueue
    now: Callable[[], datetime]
    _lock: Lock = field(default_factory=Lock, init=False)
    _seen_at: datetime | None = field(default=None, init=False)
    _oldest: datetime | None = field(default=None, init=False)

    def has_passed(self, visible_at: datetime) -> bool:
        """Whether a job that became visible then would have been delivered by now.

        Where the queue cannot be asked the answer is no: a job that is taken for lost is made twice.
        """
        with self._lock:
            if self._seen_at is None or self.now() - self._seen_at > _MAX_AGE:
                try:
                    self._oldest = self.jobs.oldest()
                except AzureError as failure:
                    logs.error("queue.unreadable", reason=logs.describe_exception(failure))
                    return False
                self._seen_at = self.now()
            return self._oldest is None or self._oldest > visible_at + _TOLERANCE
