"""The shared rate limit: exact across hosts of any speed, corrected by what Resource Manager says."""

import heapq
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from shared.rate_limits.rate_limiter import Gcra, RateLimiter
from shared.storage.bucket_store import BucketStore
from tests.support.clock import Clock
from tests.support.memory_store import MemoryStore

SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"
OTHER = "14cf684a-d41f-4550-9f70-7708a3a2283b"
BUDGET = Gcra(burst=200, rate=10)
AT_ONCE = 190
"""Calls from a full bucket: the burst without its margin of a twentieth."""


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


def admitted(hosts: list[RateLimiter], asked: int) -> int:
    """How many of so many calls may be made now, asked for on each host in turn."""
    return sum(hosts[number % len(hosts)].admit(SUBSCRIPTION) is None for number in range(asked))


def turn_of(host: RateLimiter, subscription: str = SUBSCRIPTION) -> datetime:
    """The turn of a call that finds no slot."""
    wait = host.admit(subscription)
    assert wait is not None
    return wait.until


def seconds_until(turn: datetime, clock: Clock) -> float:
    return (turn - clock()).total_seconds()


def work_off(
    calls: int,
    hosts: list[RateLimiter],
    clock: Clock,
    azure: ResourceManager,
    seconds_each: float = 0.0,
    late: Callable[[datetime], datetime] = lambda turn: turn,
    more_at: Sequence[float] = (),
) -> float:
    """So many calls are wanted at once, alternately on each host; returns the seconds until the last is accepted.

    Args:
        seconds_each: what a host has to do for each time that a call asks.
        late: when a call comes that has its turn then.
        more_at: the seconds after which one more call is wanted.
    """
    began = clock()
    times = [began] * calls + [began + timedelta(seconds=each) for each in more_at]
    due = [(at, number, hosts[number % len(hosts)], False) for number, at in enumerate(times)]
    while due:
        at, number, host, has_turn = heapq.heappop(due)
        clock.now = max(clock.now, at) + timedelta(seconds=seconds_each)
        wait = host.admit(SUBSCRIPTION, has_turn)
        turn = wait.until if wait else None
        if wait is None:
            remaining = azure.call()
            host.learn(SUBSCRIPTION, remaining, 1.0 if remaining is None else None)
            turn = clock.now + timedelta(seconds=1) if remaining is None else None
            has_turn = False
        else:
            has_turn = wait.is_turn
        if turn is not None:
            heapq.heappush(due, (late(turn), number, host, has_turn))
    return (clock() - began).total_seconds()


def test_a_full_bucket_gives_its_burst_at_once_but_for_a_margin(hosts: list[RateLimiter]) -> None:
    assert admitted(hosts[:1], 300) == AT_ONCE


def test_a_bucket_of_one_call_gives_it(clock: Clock) -> None:
    limiter = RateLimiter("writes", Gcra(burst=1, rate=0.5), MemoryStore().buckets, clock)
    assert [limiter.take(SUBSCRIPTION), limiter.take(SUBSCRIPTION)] == [True, False]
    clock.advance(2)
    assert limiter.take(SUBSCRIPTION)


def test_turns_follow_each_other_at_the_rate(hosts: list[RateLimiter]) -> None:
    admitted(hosts[:1], AT_ONCE)
    turns = [turn_of(hosts[0]) for _ in range(100)]
    assert {later - sooner for sooner, later in pairwise(turns)} == {timedelta(seconds=0.1)}


def test_turns_begin_when_the_bucket_holds_a_reserve(hosts: list[RateLimiter], clock: Clock) -> None:
    admitted(hosts[:1], AT_ONCE)
    assert 0.9 <= seconds_until(turn_of(hosts[0]), clock) <= 1.2


def test_turns_that_a_host_takes_and_does_not_give_out_cost_the_others_half_a_second(hosts: list[RateLimiter]) -> None:
    admitted(hosts[:1], AT_ONCE)
    taken = [turn_of(hosts[0]) for _ in range(50)]
    hosts[0].admit(SUBSCRIPTION)
    assert turn_of(hosts[1]) - taken[-1] <= timedelta(seconds=0.6)


def test_a_host_whose_clock_is_behind_waits_no_longer_for_slots_than_the_others(clock: Clock) -> None:
    buckets = MemoryStore().buckets
    ahead = RateLimiter("writes", BUDGET, buckets, lambda: clock() + timedelta(minutes=5))
    behind = RateLimiter("writes", BUDGET, buckets, clock)
    admitted([ahead], AT_ONCE)
    assert seconds_until(turn_of(behind), clock) < 30
    clock.advance(30)
    assert behind.admit(SUBSCRIPTION, has_turn=True) is None


def test_two_hosts_with_skewed_clocks_get_no_more_than_the_bucket_holds(clock: Clock) -> None:
    buckets = MemoryStore().buckets
    ahead = RateLimiter("writes", BUDGET, buckets, lambda: clock() + timedelta(minutes=5))
    hosts = [ahead, RateLimiter("writes", BUDGET, buckets, clock)]
    at_once = admitted(hosts, 800)
    clock.advance(60)
    assert at_once + admitted(hosts, 800) <= AT_ONCE + 190


def hosts_after_one_ahead(clock: Clock, buckets: BucketStore) -> list[RateLimiter]:
    """Two hosts, before which a third one, by a clock five minutes ahead, took all slots and died."""
    admitted([RateLimiter("writes", BUDGET, buckets, lambda: clock() + timedelta(minutes=5))], AT_ONCE)
    return [RateLimiter("writes", BUDGET, buckets, clock) for _ in range(2)]


def test_a_clock_that_was_ahead_once_is_forgotten_though_the_hosts_go_on_all_the_time(clock: Clock) -> None:
    buckets = MemoryStore().buckets
    hosts = hosts_after_one_ahead(clock, buckets)
    for _ in range(60 * 6):
        clock.advance(10)
        admitted(hosts, 20)
    assert RateLimiter("writes", BUDGET, buckets, clock).admit(SUBSCRIPTION) is None


def test_while_it_is_forgotten_most_of_the_limit_is_used_and_no_call_wasted(clock: Clock) -> None:
    hosts, azure = hosts_after_one_ahead(clock, MemoryStore().buckets), ResourceManager(clock)
    for _ in range(AT_ONCE):
        azure.call()
    seconds = work_off(2000, hosts, clock, azure)
    assert seconds <= 1.15 * 2000 / 10 + 30
    assert azure.throttled == 0


def test_a_clock_that_stays_ahead_gets_the_hosts_no_more_than_the_bucket_holds(clock: Clock) -> None:
    buckets = MemoryStore().buckets
    ahead = RateLimiter("writes", BUDGET, buckets, lambda: clock() + timedelta(minutes=5))
    hosts = [ahead, RateLimiter("writes", BUDGET, buckets, clock)]
    azure = ResourceManager(clock)
    for second in range(1200):
        clock.advance(1)
        # By turns one is in demand, both are, and the other one is.
        asking = (hosts[:1], hosts, hosts[1:])[second // 120 % 3]
        for _ in range(admitted(asking, 20)):
            azure.call()
    assert azure.throttled == 0


def test_two_hosts_never_get_the_same_turn(hosts: list[RateLimiter]) -> None:
    admitted(hosts, 250)
    turns = [turn_of(host) for _ in range(200) for host in hosts]
    assert len(set(turns)) == 400


def test_two_hosts_together_get_what_the_bucket_holds(hosts: list[RateLimiter]) -> None:
    # What one of them has taken and not used yet is all that the other one misses.
    assert AT_ONCE - 20 <= admitted(hosts, 400) <= AT_ONCE


def test_who_asks_first_does_not_overtake_those_who_wait(hosts: list[RateLimiter], clock: Clock) -> None:
    admitted(hosts[:1], AT_ONCE + 50)
    clock.advance(2.5)
    assert hosts[0].admit(SUBSCRIPTION) is not None
    assert hosts[0].admit(SUBSCRIPTION, has_turn=True) is None


def test_whose_turns_are_not_used_keeps_nobody_waiting_though_they_lie_ahead(
    hosts: list[RateLimiter], clock: Clock
) -> None:
    admitted(hosts, AT_ONCE + 2000)
    clock.advance(5)
    assert [host.admit(SUBSCRIPTION) for host in hosts] == [None, None]


def test_a_storm_after_one_whose_calls_were_all_cancelled_gets_most_of_what_the_bucket_holds(
    hosts: list[RateLimiter], clock: Clock
) -> None:
    admitted(hosts[:1], AT_ONCE + 2000)
    clock.advance(20)
    assert admitted(hosts[:1], 300) > 0.6 * AT_ONCE


@pytest.mark.parametrize("asks", [0, 1], ids=["the same host", "another host"])
def test_a_storm_after_one_whose_calls_were_all_cancelled_gets_turns_of_its_own(
    hosts: list[RateLimiter], clock: Clock, asks: int
) -> None:
    admitted(hosts[:1], AT_ONCE + 5000)
    clock.advance(60)
    turns = [wait.until for _ in range(300) if (wait := hosts[asks].admit(SUBSCRIPTION))]
    assert max(turns) <= clock() + BUDGET.fill_time


def test_those_who_come_steadily_after_a_storm_that_was_cancelled_wait_no_longer_than_the_bucket_takes_to_fill(
    hosts: list[RateLimiter], clock: Clock
) -> None:
    admitted(hosts, AT_ONCE + 5000)
    clock.advance(20)
    waiting: list[tuple[datetime, datetime]] = []
    waits = [timedelta(0)]
    for second in range(240):
        for number in range(110):
            clock.advance(seconds=0.1 / 11)
            due = [heapq.heappop(waiting)] if waiting and waiting[0][0] <= clock() else []
            due += [(clock(), clock())] if number % 10 == 0 else []
            for at, since in due:
                wait = hosts[second % 2].admit(SUBSCRIPTION, has_turn=at != since)
                if wait:
                    heapq.heappush(waiting, (wait.until, since))
                else:
                    waits.append(clock() - since)
    assert max([*waits, *(clock() - since for _, since in waiting)]) <= 2 * BUDGET.fill_time


def test_a_long_queue_whose_hosts_pause_is_not_asked_for_much_more_often_though_others_come_then(
    hosts: list[RateLimiter], clock: Clock
) -> None:
    azure, turns, began = ResourceManager(clock), list[datetime](), clock()

    def after_the_pause(turn: datetime) -> datetime:
        turns.append(turn)
        is_in_pause = began + timedelta(seconds=60) < turn < began + timedelta(seconds=75)
        return began + timedelta(seconds=75) if is_in_pause else turn

    newcomers = [75 + number / 5 for number in range(750)]
    seconds = work_off(3000, hosts, clock, azure, late=after_the_pause, more_at=newcomers)
    assert len(turns) <= 2 * 3750
    assert (azure.throttled, seconds <= 1.05 * (3750 - 190) / 10) == (0, True)


def test_newcomers_do_not_overtake_those_who_come_at_their_turns(hosts: list[RateLimiter], clock: Clock) -> None:
    admitted(hosts[:1], AT_ONCE)
    turns = [turn_of(hosts[0]) for _ in range(600)]
    overtaking = 0
    for turn in turns:
        clock.now = max(clock.now, turn)
        assert hosts[0].admit(SUBSCRIPTION, has_turn=True) is None
        overtaking += hosts[0].admit(SUBSCRIPTION) is None
    assert overtaking == 0


def test_a_turn_that_is_used_late_takes_a_slot_of_then(hosts: list[RateLimiter], clock: Clock) -> None:
    admitted(hosts[:1], AT_ONCE + 100)
    clock.advance(120)
    late = [hosts[0].admit(SUBSCRIPTION, has_turn=True) for _ in range(100)]
    assert late == [None] * 100


def test_a_late_crowd_gets_no_more_than_the_bucket_holds(hosts: list[RateLimiter], clock: Clock) -> None:
    admitted(hosts[:1], AT_ONCE + 500)
    clock.advance(60)
    late = [hosts[0].admit(SUBSCRIPTION, has_turn=True) for _ in range(500)]
    assert late.count(None) == AT_ONCE
    assert min(wait.until for wait in late if wait is not None) > clock() + timedelta(seconds=1)


def test_one_subscriptions_famine_delays_no_other(hosts: list[RateLimiter]) -> None:
    admitted(hosts[:1], 1000)
    assert hosts[0].admit(OTHER) is None


def test_a_subscription_is_the_same_in_any_casing(hosts: list[RateLimiter]) -> None:
    admitted(hosts[:1], AT_ONCE)
    assert hosts[1].admit(SUBSCRIPTION.upper()) is not None


def test_a_bucket_fills_up_again(hosts: list[RateLimiter], clock: Clock) -> None:
    admitted(hosts[:1], 240)
    clock.advance(60)
    assert admitted(hosts[1:], 160) == 160


def test_a_call_that_would_not_wait_is_told_so_and_takes_no_turn(hosts: list[RateLimiter], clock: Clock) -> None:
    admitted(hosts[:1], AT_ONCE)
    assert not hosts[0].take(SUBSCRIPTION)
    clock.advance(0.2)
    assert hosts[0].take(SUBSCRIPTION)


def test_what_azure_says_remains_is_believed(hosts: list[RateLimiter]) -> None:
    hosts[0].learn(SUBSCRIPTION, remaining=0, retry_after=None)
    assert hosts[0].admit(SUBSCRIPTION) is not None


def test_a_429_keeps_every_host_away_for_as_long_as_azure_says(hosts: list[RateLimiter], clock: Clock) -> None:
    hosts[0].learn(SUBSCRIPTION, remaining=None, retry_after=15)
    assert seconds_until(turn_of(hosts[0]), clock) > 15
    assert seconds_until(turn_of(hosts[1]), clock) > 15


def test_a_429_also_voids_the_slots_that_were_taken_before(hosts: list[RateLimiter], clock: Clock) -> None:
    admitted(hosts[:1], 5)
    hosts[0].learn(SUBSCRIPTION, remaining=None, retry_after=15)
    hosts[0].learn(SUBSCRIPTION, remaining=150, retry_after=None)
    assert seconds_until(turn_of(hosts[0]), clock) > 14


def test_a_429_puts_off_the_turns_that_were_taken_before(hosts: list[RateLimiter], clock: Clock) -> None:
    admitted(hosts[:1], AT_ONCE + 5)
    hosts[0].learn(SUBSCRIPTION, remaining=None, retry_after=15)
    clock.advance(3)
    wait = hosts[0].admit(SUBSCRIPTION, has_turn=True)
    assert wait is not None
    assert seconds_until(wait.until, clock) > 12


def test_one_resource_that_asks_for_an_hour_does_not_close_its_subscription(
    hosts: list[RateLimiter], clock: Clock
) -> None:
    hosts[0].learn(SUBSCRIPTION, remaining=None, retry_after=3600)
    assert seconds_until(turn_of(hosts[0]), clock) < 60


@pytest.mark.parametrize(("per_second", "most"), [(1, 16), (10, 20), (100, 200)])
def test_a_host_in_demand_takes_the_slots_of_two_seconds_from_storage_at_once(
    clock: Clock, per_second: float, most: int
) -> None:
    requests: list[None] = []
    store = MemoryStore(lambda: requests.append(None))
    limiter = RateLimiter("writes", Gcra(burst=2_000, rate=per_second), store.buckets, clock)
    calls_between: list[int] = [0]
    for _ in range(1_000):
        before = len(requests)
        assert limiter.take(SUBSCRIPTION)
        calls_between += [0] if len(requests) > before else []
        calls_between[-1] += 1
    assert max(calls_between[1:]) == most
    assert calls_between[1:3] == [1, 2]


def test_a_host_that_makes_few_calls_takes_few_slots_from_others(hosts: list[RateLimiter], clock: Clock) -> None:
    for _ in range(10):
        assert hosts[0].take(SUBSCRIPTION)
        clock.advance(20)
    clock.now -= timedelta(seconds=20)
    assert admitted(hosts[1:], 300) == AT_ONCE - 1


@pytest.mark.parametrize("seconds_each", [0.0, 0.01, 0.03, 0.1])
def test_two_thousand_calls_on_two_hosts_use_the_limit_and_waste_none(
    hosts: list[RateLimiter], clock: Clock, seconds_each: float
) -> None:
    azure = ResourceManager(clock)
    seconds = work_off(2000, hosts, clock, azure, seconds_each)
    # Each asks twice: for its turn, before those whose turns have come by then, and at its turn.
    assert seconds <= 1.05 * ((2000 - 200) / 10 + 2000 * seconds_each)
    assert azure.throttled == 0


def test_turns_that_all_come_in_a_bunch_each_minute_waste_no_call(hosts: list[RateLimiter], clock: Clock) -> None:
    azure = ResourceManager(clock)

    def at_the_next_minute(turn: datetime) -> datetime:
        return turn.replace(second=0, microsecond=0) + timedelta(minutes=1)

    work_off(2000, hosts, clock, azure, late=at_the_next_minute)
    assert azure.throttled == 0


def test_a_bucket_that_others_have_emptied_wastes_few_calls(hosts: list[RateLimiter], clock: Clock) -> None:
    azure = ResourceManager(clock)
    for _ in range(200):
        azure.call()
    work_off(1000, hosts, clock, azure)
    assert azure.throttled <= 250
