"""A first sweep of thousands, in virtual time: what fails meanwhile gets its slot as if there were no sweep."""

import heapq
from datetime import datetime, timedelta
from itertools import count

import pytest

from shared.rate_limits.rate_limiter import Gcra, RateLimiter
from shared.rate_limits.sweep_quota import MAX_AHEAD, SweepQuota
from tests.support.clock import Clock
from tests.support.memory_store import MemoryStore
from tests.unit.rate_limits.test_rate_limiter import BUDGET, OTHER, SUBSCRIPTION

MANY = 5_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def turns(store: MemoryStore, clock: Clock) -> SweepQuota:
    return SweepQuota(BUDGET, store.buckets, clock)


def waits_of_events(jobs: list[datetime], pacers: list[RateLimiter], clock: Clock) -> list[float]:
    """Seconds that an event's sync call waits for its slot: one event every 10 s while the jobs are worked off.

    Args:
        jobs: when each job of the sweep becomes visible. Half of them come again five minutes later, as retries.
    """
    began = clock()
    visible = [(at, "sweep", at, False) for at in jobs]
    visible += [(at + timedelta(minutes=5), "sweep", at, False) for at in jobs[::2]]
    end = max(at for at, *_ in visible)
    events = [began + timedelta(seconds=at) for at in range(1, int((end - began).total_seconds()), 10)]
    visible += [(at, "event", at, False) for at in events]
    heapq.heapify(visible)
    waits: list[float] = []
    numbers = count()
    while visible:
        number = next(numbers)
        at, kind, asked_at, has_turn = heapq.heappop(visible)
        clock.now = max(clock.now, at)
        wait = pacers[number % len(pacers)].admit(SUBSCRIPTION, has_turn)
        if wait is not None:
            heapq.heappush(visible, (wait.until, kind, asked_at, wait.is_turn))
        elif kind == "event":
            waits.append((clock.now - asked_at).total_seconds())
    return waits


@pytest.mark.parametrize("hosts", [1, 2])
def test_an_event_during_a_first_sweep_of_thousands_gets_its_slot_at_once(
    turns: SweepQuota, store: MemoryStore, clock: Clock, hosts: int
) -> None:
    pacers = [RateLimiter("writes", BUDGET, store.buckets, clock) for _ in range(hosts)]
    waits = waits_of_events(turns.take(SUBSCRIPTION, MANY), pacers, clock)
    assert len(waits) > 100
    assert max(waits) == 0


def test_without_turns_an_event_would_wait_for_minutes(store: MemoryStore, clock: Clock) -> None:
    # What the turns are for: the same jobs, all visible at once.
    pacers = [RateLimiter("writes", BUDGET, store.buckets, clock)]
    assert max(waits_of_events([clock()] * MANY, pacers, clock)) > 300


def test_the_first_turns_are_at_once(turns: SweepQuota, clock: Clock) -> None:
    assert max(turns.take(SUBSCRIPTION, BUDGET.burst // 4)) <= clock()


def test_turns_use_a_quarter_of_the_budget(turns: SweepQuota) -> None:
    first, *_, last = turns.take(SUBSCRIPTION, 1001)
    assert (last - first).total_seconds() == pytest.approx(1000 / (BUDGET.rate / 4))


def test_no_turn_lies_further_ahead_than_half_an_hour(turns: SweepQuota, clock: Clock) -> None:
    given = turns.take(SUBSCRIPTION, 100_000)
    assert max(given) <= clock() + MAX_AHEAD
    assert turns.take(SUBSCRIPTION, 1) == []


def test_a_later_sweep_goes_on_where_the_turns_of_the_one_before_end(turns: SweepQuota, clock: Clock) -> None:
    before = turns.take(SUBSCRIPTION, 100_000)
    clock.advance(600)
    assert min(turns.take(SUBSCRIPTION, 100)) > max(before)


def test_two_sweeps_at_once_never_get_the_same_turn(store: MemoryStore, clock: Clock) -> None:
    timer, request = (SweepQuota(BUDGET, store.buckets, clock) for _ in range(2))
    given = [each for _ in range(5) for one in (timer, request) for each in one.take(SUBSCRIPTION, 7)]
    assert len(set(given)) == 70


def test_one_subscriptions_sweep_delays_no_other(turns: SweepQuota, clock: Clock) -> None:
    turns.take(SUBSCRIPTION.upper(), 100_000)
    assert turns.take(OTHER, 1)[0] <= clock()
    assert turns.take(SUBSCRIPTION, 1) == []


def test_a_peek_shows_what_would_be_taken_and_takes_nothing(turns: SweepQuota) -> None:
    peeked = turns.peek(SUBSCRIPTION, 10)
    assert turns.peek(SUBSCRIPTION, 10) == peeked
    assert turns.take(SUBSCRIPTION, 10) == peeked


def test_the_smallest_budget_has_a_turn(store: MemoryStore, clock: Clock) -> None:
    turns = SweepQuota(Gcra(burst=1, rate=1), store.buckets, clock)
    assert turns.take(SUBSCRIPTION, 1)[0] <= clock()
