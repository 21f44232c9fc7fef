"""What a process remembers, for how long, and for how many threads."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared.domain import state_machine
from shared.healing.poll_cache import Once, PollCache
from shared.storage.table_rows import Stored
from tests.support.episodes import NOW, queued

STORED = Stored(queued(), "1", NOW)
ID = STORED.remediation.id


@pytest.fixture
def busy_threads() -> Iterator[ThreadPoolExecutor]:
    """Threads that take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with ThreadPoolExecutor(8) as threads:
        yield threads
    sys.setswitchinterval(usual)


def test_an_opening_is_remembered_once() -> None:
    memory = PollCache()
    memory.keep_opening(STORED)
    assert [memory.take_opening(ID, NOW) for _ in range(2)] == [STORED, None]


def test_an_opening_is_believed_for_seconds_only() -> None:
    memory = PollCache()
    memory.keep_opening(STORED)
    assert memory.take_opening(ID, NOW + timedelta(seconds=10)) is None


def test_an_opening_that_has_changed_since_is_forgotten() -> None:
    memory = PollCache()
    memory.keep_opening(STORED)
    cancelled = state_machine.cancel(STORED.remediation, "cancelled", NOW)
    memory.keep(Stored(cancelled, "2", NOW), cancelled)
    assert memory.take_opening(ID, NOW) is None


def test_the_newest_thousand_are_kept() -> None:
    once = Once[int, int]()
    for number in range(1_500):
        once.keep(number, number)
    assert (once.take(499), once.take(500)) == (None, 500)


def test_many_threads_may_keep_and_take_at_the_same_time(busy_threads: ThreadPoolExecutor) -> None:
    once = Once[int, int]()

    def work(first: int) -> bool:
        for number in range(first, first + 4_000):
            once.keep(number, number)
            once.take(number - 500)
        return True

    assert all(busy_threads.map(work, range(0, 8 * 4_000, 4_000)))
