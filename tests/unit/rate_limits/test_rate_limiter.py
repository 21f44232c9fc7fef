"""The shared write budget: exact across hosts, corrected by what Resource Manager says."""

import heapq
from datetime import datetime, timedelta

import pytest

from shared.rate_limits.rate_limiter import Gcra, RateLimiter
from tests.support.clock import Clock
from tests.support.memory_store import MemoryStore

SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"
OTHER = "14cf684a-d41f-4550-9f70-7708a3a2283b"
BUDGET = Gcra(burst=200, rate=10)


class ResourceManager:
    """One subscription's token bucket, as Azure keeps it."""

    def __init__(self, clock: Clock, burst: float = 200, per_second: float = 10) -> None:
        self._clock, self._burst, self._per_second = clock, burst, per_second
        self._tokens, self._at = burst, clock()
        self.throttled = 0

    def call(self) -> int | None:
        """The calls that remain, or None for a 429."""
        elapsed = (self._clock() - self._at).total_seconds()
        self._tokens = min(self._burst, self._tokens + elapsed * self._per_second)
        self._at = self._clock()
        if self._tokens < 1:
            self.throttled += 1
            return None
        self._tokens -= 1
        return int(self._tokens)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hosts(clock: Clock) -> list[RateLimiter]:
    """Two hosts on the same storage."""
    store = MemoryStore()
    return [RateLimiter("writes", BUDGET, store.buckets, clock) for _ in range(2)]


def seconds_until(slot: datetime, clock: Clock) -> float:
    return (slot - clock()).total_seconds()


def work_off(calls: int, hosts: list[RateLimiter], clock: Clock, azure: ResourceManager) -> float:
    """All calls are wanted at once, alternately on each host; returns the seconds until the last is accepted."""
    began = clock()
    due = [(max(host.slot(SUBSCRIPTION), began), number, host) for number, host in enumerate(hosts * (calls // 2))]
    heapq.heapify(due)
    while due:
        at, number, host = heapq.heappop(due)
        clock.now = max(clock.now, at)
        remaining = azure.call()
        host.learn(SUBSCRIPTION, remaining, 1.0 if remaining is None else None)
        if remaining is None:
            heapq.heappush(due, (max(host.slot(SUBSCRIPTION), clock.now), number, host))
    return (clock() - began).total_seconds()


def test_a_full_budget_gives_its_burst_at_once(hosts: list[RateLimiter], clock: Clock) -> None:
    slots = [hosts[0].slot(SUBSCRIPTION) for _ in range(200)]
    assert max(seconds_until(slot, clock) for slot in slots) <= 0


def test_the_call_after_the_burst_waits_its_turn(hosts: list[RateLimiter], clock: Clock) -> None:
    for _ in range(200):
        hosts[0].slot(SUBSCRIPTION)
    assert seconds_until(hosts[0].slot(SUBSCRIPTION), clock) == pytest.approx(0.1)


def test_two_hosts_never_get_the_same_slot(hosts: list[RateLimiter]) -> None:
    slots = [host.slot(SUBSCRIPTION) for _ in range(200) for host in hosts]
    assert len(set(slots)) == 400


def test_one_subscriptions_famine_delays_no_other(hosts: list[RateLimiter], clock: Clock) -> None:
    for _ in range(1000):
        hosts[0].slot(SUBSCRIPTION)
    assert seconds_until(hosts[0].slot(OTHER), clock) <= 0


def test_a_subscription_is_the_same_in_any_casing(hosts: list[RateLimiter]) -> None:
    assert hosts[0].slot(SUBSCRIPTION) != hosts[1].slot(SUBSCRIPTION.upper())


def test_a_budget_fills_up_again(hosts: list[RateLimiter], clock: Clock) -> None:
    for _ in range(240):
        hosts[0].slot(SUBSCRIPTION)
    clock.advance(60)
    slots = [hosts[1].slot(SUBSCRIPTION) for _ in range(160)]
    assert max(seconds_until(slot, clock) for slot in slots) <= 0


def test_what_azure_says_remains_is_believed(hosts: list[RateLimiter], clock: Clock) -> None:
    hosts[0].learn(SUBSCRIPTION, remaining=0, retry_after=None)
    assert seconds_until(hosts[0].slot(SUBSCRIPTION), clock) > 0


def test_a_429_keeps_every_host_away_for_as_long_as_azure_says(hosts: list[RateLimiter], clock: Clock) -> None:
    hosts[0].learn(SUBSCRIPTION, remaining=None, retry_after=15)
    assert seconds_until(hosts[0].slot(SUBSCRIPTION), clock) > 15
    assert seconds_until(hosts[1].slot(SUBSCRIPTION), clock) > 15


def test_a_429_also_voids_the_slots_that_were_taken_before(hosts: list[RateLimiter], clock: Clock) -> None:
    hosts[0].slot(SUBSCRIPTION)
    hosts[0].learn(SUBSCRIPTION, remaining=None, retry_after=15)
    hosts[0].learn(SUBSCRIPTION, remaining=150, retry_after=None)
    assert seconds_until(hosts[0].slot(SUBSCRIPTION), clock) > 14


def test_one_resource_that_asks_for_an_hour_does_not_close_its_subscription(
    hosts: list[RateLimiter], clock: Clock
) -> None:
    hosts[0].learn(SUBSCRIPTION, remaining=None, retry_after=3600)
    assert seconds_until(hosts[0].slot(SUBSCRIPTION), clock) < 60


@pytest.mark.parametrize(("per_second", "calls"), [(1, 16), (10, 20), (100, 200)])
def test_the_slots_of_two_seconds_are_taken_from_storage_at_once(clock: Clock, per_second: float, calls: int) -> None:
    requests: list[None] = []
    store = MemoryStore(lambda: requests.append(None))
    pacer = RateLimiter("writes", Gcra(burst=200, rate=per_second), store.buckets, clock)
    pacer.slot(SUBSCRIPTION)
    first_block = len(requests)
    for _ in range(calls - 1):
        pacer.slot(SUBSCRIPTION)
    assert len(requests) == first_block
    pacer.slot(SUBSCRIPTION)
    assert len(requests) > first_block


def test_slots_that_lie_ahead_are_not_given_up_though_they_were_taken_long_ago(
    hosts: list[RateLimiter], clock: Clock
) -> None:
    *_, before = [hosts[0].slot(SUBSCRIPTION) for _ in range(605)]
    clock.advance(31)
    assert hosts[0].slot(SUBSCRIPTION) - before == timedelta(seconds=0.1)


def test_two_thousand_calls_on_two_hosts_use_the_budget_and_waste_none(hosts: list[RateLimiter], clock: Clock) -> None:
    azure = ResourceManager(clock)
    seconds = work_off(2000, hosts, clock, azure)
    assert seconds <= 1.05 * (2000 - 200) / 10
    assert azure.throttled <= 20


def test_a_bucket_that_others_have_emptied_wastes_few_calls(hosts: list[RateLimiter], clock: Clock) -> None:
    azure = ResourceManager(clock)
    for _ in range(200):
        azure.call()
    work_off(1000, hosts, clock, azure)
    assert azure.throttled <= 250
