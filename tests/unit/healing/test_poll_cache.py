"""The in-process cache: what it keeps, for how long, and for how many threads."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared.domain import lifecycle
from shared.healing.poll_cache import PollCache, TakeOnceCache
from shared.storage.table_rows import Stored, due_entry
from tests.support.remediations import NOW, queued

STORED = Stored(queued(), "1", due_entry(queued().id, NOW))
ID = STORED.remediation.id


@pytest.fixture
def busy_threads() -> Iterator[ThreadPoolExecutor]:
    """Threads that take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with ThreadPoolExecutor(8) as threads:
        yield threads
    sys.setswitchinterval(usual)


def test_an_opening_is_taken_once() -> None:
    cache = PollCache()
    cache.keep_opening(STORED)
    assert [cache.take_opening(ID, NOW) for _ in range(2)] == [STORED, None]


def test_an_opening_is_cached_for_seconds_only() -> None:
    cache = PollCache()
    cache.keep_opening(STORED)
    assert cache.take_opening(ID, NOW + timedelta(seconds=10)) is None


def test_an_opening_that_has_changed_since_is_dropped() -> None:
    cache = PollCache()
    cache.keep_opening(STORED)
    cancelled = lifecycle.cancel(STORED.remediation, "cancelled", NOW)
    cache.keep(Stored(cancelled, "2", STORED.due_entry), cancelled)
    assert cache.take_opening(ID, NOW) is None


def test_the_newest_thousand_are_kept() -> None:
    values = TakeOnceCache[int, int]()
    for number in range(1_500):
        values.keep(number, number)
    assert (values.take(499), values.take(500)) == (None, 500)


def test_many_threads_may_keep_and_take_at_the_same_time(busy_threads: ThreadPoolExecutor) -> None:
    values = TakeOnceCache[int, int]()

    def work(first: int) -> bool:
        for number in range(first, first + 4_000):
            values.keep(number, number)
            values.take(number - 500)
        return True

    assert all(busy_threads.map(work, range(0, 8 * 4_000, 4_000)))
