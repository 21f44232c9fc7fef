"""Hosts whose clocks differ by minutes go by the clock of storage, and so by the same one."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.storage.storage_clock import StorageClock
from tests.support.remediations import NOW

BOOTED = 12_345.678
"""The monotonic clock of a host when it starts."""


class World:
    """True time, which storage shows; hosts have clocks of their own."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.storage_ahead = 0.0

    def storage(self) -> datetime:
        return NOW + timedelta(seconds=self.passed + self.storage_ahead)

    def host(self, ahead: float) -> StorageClock:
        return StorageClock(lambda: NOW + timedelta(seconds=self.passed + ahead), lambda: BOOTED + self.passed)

    def call(self, clock: StorageClock, there: float, back: float) -> None:
        """A request to storage that takes so many seconds each way."""
        self.passed += there
        date = format_datetime(self.storage().astimezone(UTC), usegmt=True)
        self.passed += back
        elapsed = timedelta(seconds=there + back)
        clock.on_response(SimpleNamespace(headers={"Date": date, "x-ms-request-id": "1"}, elapsed=elapsed))

    def error(self, clock: StorageClock) -> float:
        return abs((clock() - self.storage()).total_seconds())


def test_before_storage_has_answered_a_host_shows_its_own_time() -> None:
    world = World()
    assert world.host(ahead=7)() == NOW + timedelta(seconds=7)


@given(
    ahead=st.floats(-300, 300),
    passed=st.floats(0, 10_000),
    there=st.floats(0, 5),
    back=st.floats(0, 5),
    later=st.floats(0, 10_000),
)
def test_after_one_answer_it_is_off_by_no_more_than_half_a_round_trip_and_half_a_second(
    ahead: float, passed: float, there: float, back: float, later: float
) -> None:
    world = World()
    clock = world.host(ahead)
    world.passed = passed
    world.call(clock, there, back)
    world.passed += later
    assert world.error(clock) <= (1 + there + back) / 2 + 0.01


@given(ahead=st.sampled_from([-300.0, 0.0, 300.0]), seed=st.integers())
def test_after_many_answers_it_is_off_by_a_small_part_of_a_second(ahead: float, seed: int) -> None:
    world, chance = World(), random.Random(seed)
    clock = world.host(ahead)
    for _ in range(400):
        world.passed += chance.uniform(0, 2)
        world.call(clock, chance.uniform(0.001, 0.02), chance.uniform(0.001, 0.02))
    assert world.error(clock) < 0.1


def test_two_hosts_ten_minutes_apart_show_the_same_time() -> None:
    world = World()
    ahead, behind = world.host(300), world.host(-300)
    for clock in (ahead, behind) * 50:
        world.passed += 0.37
        world.call(clock, 0.005, 0.005)
    assert abs(ahead() - behind()) < timedelta(milliseconds=100)


@pytest.mark.parametrize("step", [-3_600, -2, 2, 3_600])
def test_a_clock_of_storage_that_is_set_is_followed_at_once(step: float) -> None:
    world = World()
    clock = world.host(0)
    for _ in range(20):
        world.passed += 0.37
        world.call(clock, 0.005, 0.005)
    world.storage_ahead = step
    world.call(clock, 0.005, 0.005)
    assert world.error(clock) <= 0.51


GATEWAY = {"Date": "Fri, 02 Jan 2026 03:04:05 GMT"}
STORAGE = {"x-ms-request-id": "1"}


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 99 Jan 2026 03:04:05 GMT"])
def test_an_answer_without_a_time_teaches_nothing(date: str) -> None:
    assert_teaches_nothing({**STORAGE, "Date": date})


@pytest.mark.parametrize("headers", [GATEWAY, STORAGE], ids=["gateway", "storage"])
def test_an_answer_that_is_not_storages_or_has_no_date_teaches_nothing(headers: dict[str, str]) -> None:
    assert_teaches_nothing(headers)


def assert_teaches_nothing(headers: dict[str, str]) -> None:
    clock = World().host(7)
    clock.on_response(SimpleNamespace(headers=headers, elapsed=timedelta()))
    assert clock() == NOW + timedelta(seconds=7)
