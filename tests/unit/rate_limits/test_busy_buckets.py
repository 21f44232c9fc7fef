"""The shared rate limit where many callers, of one host or of others, move the same bucket at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Thread
from time import sleep

import pytest

from shared.rate_limits.rate_limiter import BucketBusy, Gcra, RateLimiter
from tests.support.clock import Clock

SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"
BUDGET = Gcra(burst=200, rate=10)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def turn_of(host: RateLimiter) -> datetime:
    """The turn of a call that finds no slot."""
    wait = host.admit(SUBSCRIPTION)
    assert wait is not None
    return wait.until


@dataclass
class BusyBuckets:
    """Others always move a bucket first."""

    asked: int = 0

    def tat(self, bucket: str) -> datetime | None:
        return None

    def advance(self, bucket: str, move: Callable[[datetime | None], datetime]) -> datetime | None:
        self.asked += 1
        raise BucketBusy


@pytest.mark.parametrize(("drawn", "seconds"), [(0.0, 1.0), (0.75, 1.75)])
def test_a_bucket_that_others_keep_moving_is_asked_again_in_a_second_or_two(
    clock: Clock, drawn: float, seconds: float
) -> None:
    limiter = RateLimiter("writes", BUDGET, BusyBuckets(), clock, lambda: drawn)
    assert (turn_of(limiter) - clock()).total_seconds() == seconds


def test_of_a_bucket_that_others_keep_moving_one_caller_of_a_host_finds_it_out_for_all_until_then(clock: Clock) -> None:
    buckets = BusyBuckets()
    limiter = RateLimiter("writes", BUDGET, buckets, clock)
    turns = {turn_of(limiter) for _ in range(16)}
    assert (limiter.take(SUBSCRIPTION), len(turns), buckets.asked) == (False, 1, 1)
    clock.now = turns.pop()
    limiter.admit(SUBSCRIPTION, has_turn=True)
    assert buckets.asked == 2


@pytest.mark.parametrize("has_turn", [True, False])
def test_who_comes_to_a_bucket_that_others_keep_moving_has_a_turn_only_if_it_had_one(
    clock: Clock, has_turn: bool
) -> None:
    wait = RateLimiter("writes", BUDGET, BusyBuckets(), clock).admit(SUBSCRIPTION, has_turn)
    assert wait
    assert wait.is_turn is has_turn


def test_while_it_waits_for_a_bucket_a_host_gives_out_the_slots_that_it_has(clock: Clock) -> None:
    buckets = CountedBuckets(lambda: None)
    limiter = RateLimiter("writes", BUDGET, buckets, clock)
    for _ in range(8):
        limiter.take(SUBSCRIPTION)
    left = limiter._limit(SUBSCRIPTION).slots.left
    limiter._limit(SUBSCRIPTION).busy_until = clock() + timedelta(seconds=1)
    assert (left, [limiter.take(SUBSCRIPTION) for _ in range(left + 1)]) == (7, [True] * left + [False])


def test_a_call_that_would_not_wait_is_not_made_while_others_keep_moving_its_bucket(clock: Clock) -> None:
    assert not RateLimiter("writes", BUDGET, BusyBuckets(), clock).take(SUBSCRIPTION)


@dataclass
class CountedBuckets:
    """Keeps TATs, and counts the moves; the first one ends when `begun` is over."""

    begun: Callable[[], object]
    moved: dict[str, datetime] = field(default_factory=dict)
    moves: int = 0

    def tat(self, bucket: str) -> datetime | None:
        return self.moved.get(bucket)

    def advance(self, bucket: str, move: Callable[[datetime | None], datetime]) -> datetime | None:
        self.moves += 1
        if self.moves == 1:
            self.begun()
        before = self.moved.get(bucket)
        self.moved[bucket] = move(before)
        return before


@pytest.mark.parametrize(("burst", "moves"), [(200, 2), (1, 4)], ids=["slots", "turns"])
def test_who_goes_to_storage_takes_for_all_who_wait_on_the_same_host(clock: Clock, burst: int, moves: int) -> None:
    others = [Thread(target=lambda: limiter.admit(SUBSCRIPTION)) for _ in range(12)]

    def begun() -> None:
        for other in others:
            other.start()
        while limiter._limit(SUBSCRIPTION).asking < 1 + len(others):
            sleep(0)

    buckets = CountedBuckets(begun)
    limiter = RateLimiter("writes", Gcra(burst=burst, rate=10), buckets, clock)
    limiter.admit(SUBSCRIPTION)
    for other in others:
        other.join()
    assert buckets.moves <= moves
