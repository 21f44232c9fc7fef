"""Compare-and-swap that others win again and again: how long its writer pauses, and how often it tries."""

from datetime import datetime, timedelta

import pytest

from shared.rate_limits.rate_limiter import BucketBusy
from shared.storage.bucket_store import BucketStore
from shared.storage.conflicts import MAX_CONFLICTS, RandomPause, WriteConflict, retry_on_conflict
from tests.support.clock import Clock
from tests.support.memory_store import MemoryStore


def test_pauses_between_tries_grow_and_are_drawn_at_random() -> None:
    slept: list[float] = []
    drawn = iter([0.5, 1.0] * MAX_CONFLICTS)

    def lost() -> None:
        raise WriteConflict

    with pytest.raises(WriteConflict):
        retry_on_conflict(lost, RandomPause(slept.append, lambda: next(drawn)))
    assert slept == [0.005, 0.02, 0.02, 0.08, 0.08, 0.32, 0.32]


def test_a_bucket_that_others_keep_moving_is_busy_after_as_many_pauses_as_tries_but_one() -> None:
    clock, pauses = Clock(), list[int]()
    table = MemoryStore(now=clock)._table
    others = BucketStore(table, clock)

    def after_others(tat: datetime | None) -> datetime:
        others.advance("writes:s", lambda before: (before or clock()) + timedelta(seconds=1))
        return clock()

    with pytest.raises(BucketBusy):
        BucketStore(table, clock, pauses.append).advance("writes:s", after_others)
    assert pauses == list(range(1, MAX_CONFLICTS))
