"""Whether the queue has come past a job: a long queue is waited for, a lost job is not."""

from datetime import datetime, timedelta

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.healing.queue_front import QueueFront
from tests.support.clock import Clock
from tests.support.memory_queue import MemoryQueue
from tests.support.remediations import NOW


@pytest.mark.parametrize(
    ("oldest", "passed"),
    [
        (None, True),
        (NOW - timedelta(minutes=5), False),
        (NOW, False),
        (NOW + timedelta(seconds=29), False),
        (NOW + timedelta(minutes=1), True),
    ],
)
def test_a_job_is_passed_when_no_job_as_old_is_visible(oldest: datetime | None, passed: bool) -> None:
    queue = MemoryQueue()
    queue.oldest_visible = oldest
    assert QueueFront(queue, Clock()).has_passed(NOW) is passed


class CountingQueue(MemoryQueue):
    peeks = 0

    def oldest(self) -> datetime | None:
        self.peeks += 1
        return None


def test_the_queue_is_asked_once_for_all_that_a_poll_run_looks_after() -> None:
    queue, clock = CountingQueue(), Clock()
    front = QueueFront(queue, clock)
    for _ in range(100):
        front.has_passed(NOW)
    assert queue.peeks == 1
    clock.advance(seconds=6)
    front.has_passed(NOW)
    assert queue.peeks == 2


class SilentQueue(MemoryQueue):
    def oldest(self) -> datetime | None:
        raise ServiceRequestError("no connection")


def test_where_the_queue_cannot_be_asked_no_job_counts_as_lost() -> None:
    assert not QueueFront(SilentQueue(), Clock()).has_passed(NOW - timedelta(days=1))
