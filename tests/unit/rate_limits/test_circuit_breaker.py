"""The circuit of a subscription: closed, open, half-open."""

from datetime import timedelta

import pytest

from shared.rate_limits.circuit_breaker import MAX_FAILURES, MAX_OPEN, MIN_OPEN, PROBE_TIMEOUT, CircuitBreaker
from tests.support.remediations import NOW

SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"


class Circuit:
    """The breaker with a clock, and the calls that are made about one subscription."""

    def __init__(self, random: float = 0.0) -> None:
        self.now = NOW
        self.breaker = CircuitBreaker(lambda: self.now, lambda: random)

    def after(self, wait: timedelta) -> "Circuit":
        self.now += wait
        return self

    @property
    def is_open(self) -> bool:
        return self.breaker.admit(SUBSCRIPTION) is not None

    def fail(self, times: int = 1) -> timedelta | None:
        opened = None
        for _ in range(times):
            opened = self.breaker.failed(SUBSCRIPTION)
        return opened


@pytest.fixture
def circuit() -> Circuit:
    return Circuit()


@pytest.fixture
def opened() -> Circuit:
    circuit = Circuit()
    circuit.fail(MAX_FAILURES)
    return circuit


def test_some_failures_in_a_row_open_it(circuit: Circuit) -> None:
    assert circuit.fail(MAX_FAILURES - 1) is None
    assert not circuit.is_open
    assert circuit.fail() == MIN_OPEN / 2
    assert circuit.is_open


def test_a_success_in_between_begins_the_row_anew(circuit: Circuit) -> None:
    circuit.fail(MAX_FAILURES - 1)
    assert circuit.breaker.succeeded(SUBSCRIPTION) is False
    circuit.fail(MAX_FAILURES - 1)
    assert not circuit.is_open


def test_another_subscription_goes_on_and_casing_makes_none(opened: Circuit) -> None:
    assert opened.breaker.admit("another") is None
    assert opened.breaker.admit(SUBSCRIPTION.upper()) is not None


def test_after_a_while_one_probe_is_made_at_a_time(opened: Circuit) -> None:
    opened.after(MIN_OPEN)
    assert [opened.is_open for _ in range(1000)] == [False] + [True] * 999


def test_a_probe_that_succeeds_closes_it(opened: Circuit) -> None:
    assert not opened.after(MIN_OPEN).is_open
    assert opened.breaker.succeeded(SUBSCRIPTION) is True
    assert [opened.is_open for _ in range(3)] == [False] * 3


def test_each_probe_that_fails_opens_it_for_longer_up_to_minutes(opened: Circuit) -> None:
    opens = []
    for _ in range(20):
        assert not opened.after(MAX_OPEN).is_open
        opens.append(opened.fail())
        assert opened.is_open
    assert opens[:3] == [MIN_OPEN, 2 * MIN_OPEN, 4 * MIN_OPEN]
    assert opens[-1] == MAX_OPEN / 2


def test_a_probe_whose_result_never_comes_is_followed_by_another(opened: Circuit) -> None:
    assert not opened.after(MIN_OPEN).is_open
    assert opened.is_open
    assert not opened.after(PROBE_TIMEOUT).is_open


def test_late_failures_of_calls_made_before_do_not_open_it_for_longer(opened: Circuit) -> None:
    assert opened.fail(100) is None
    assert not opened.after(MIN_OPEN).is_open


def test_a_late_success_of_a_call_made_before_closes_it(opened: Circuit) -> None:
    assert opened.breaker.succeeded(SUBSCRIPTION) is True
    assert not opened.is_open


def test_who_waits_is_told_how_long_and_not_all_the_same() -> None:
    early, late = (Circuit(random) for random in (0.0, 0.99))
    for circuit in (early, late):
        circuit.fail(MAX_FAILURES)
    first, last = (circuit.breaker.admit(SUBSCRIPTION) for circuit in (early, late))
    assert first is not None
    assert last is not None
    assert MIN_OPEN / 2 <= first < last <= 1.5 * MIN_OPEN
