"""Signals end a command by an exception, but not in the middle of what must stay whole."""

import os
import signal
from collections.abc import Iterator

import pytest

from dev.processes.interrupts import Interrupted, held, raise_on_signals

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    raise_on_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_an_exception_with_the_exit_code_that_shells_expect(number: signal.Signals) -> None:
    with pytest.raises(Interrupted) as interrupted:
        os.kill(os.getpid(), number)
    assert interrupted.value.exit_code == 128 + number


def test_a_held_signal_comes_at_the_end_of_the_outermost_block() -> None:
    done = []

    def hold_twice() -> None:
        with held():
            with held():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("inner")
            done.append("outer")

    with pytest.raises(Interrupted):
        hold_twice()
    assert done == ["inner", "outer"]


def test_a_held_signal_comes_once() -> None:
    with pytest.raises(Interrupted), held():
        os.kill(os.getpid(), signal.SIGTERM)
    with held():
        pass
