"""Reads with a deadline: a value, or what was known last and why it is not read now."""

from collections.abc import Iterator
from threading import Event

import pytest
from azure.core.exceptions import AzureError, ServiceRequestError

from shared import logs
from shared.dashboard.known_reads import Known, KnownReads
from shared.storage.conflicts import WriteConflict
from tests.support.clock import Clock

TIMEOUT = 0.2


@pytest.fixture
def silence() -> Iterator[Event]:
    event = Event()
    yield event
    event.set()


def down() -> str:
    raise ServiceRequestError("no connection")


def test_what_is_read_in_time_is_the_value() -> None:
    assert KnownReads(Clock()).begin().start("list", lambda: "value")() == Known("value", None)


def test_what_storage_refuses_is_as_it_was_known_last() -> None:
    clock = Clock()
    reads = KnownReads(clock)
    reads.begin().start("list", lambda: "before")()
    known_at = clock()
    clock.advance(60)
    known = reads.begin().start("list", down)()
    assert (known.value, known.known_at) == ("before", known_at)
    assert "no connection" in known.problem


def test_what_was_never_read_is_not_known() -> None:
    known = KnownReads(Clock()).begin().start("list", down)()
    assert (known.value, known.known_at) == (None, None)


def test_what_keeps_silent_is_as_it_was_known_last(silence: Event) -> None:
    reads = KnownReads(Clock(), TIMEOUT)
    reads.begin().start("list", lambda: "before")()

    def silent() -> str:
        silence.wait()
        return "late"

    known = reads.begin().start("list", silent)()
    assert (known.value, known.problem) == ("before", "ServiceResponseError: no answer within 0 s")


def test_silence_of_many_reads_keeps_a_request_no_longer_than_that_of_one(silence: Event) -> None:
    reads = KnownReads(Clock(), TIMEOUT)
    request = reads.begin()
    waits = [request.start(str(number), silence.wait) for number in range(100)]
    assert {known().value for known in waits} == {None}


def test_a_value_that_is_for_one_request_only_is_not_remembered() -> None:
    reads = KnownReads(Clock())
    assert reads.begin().value(lambda: "one") == "one"
    with pytest.raises(AzureError):
        reads.begin().value(down)


def test_a_conflict_is_as_good_as_a_refusal() -> None:
    def contended() -> str:
        raise WriteConflict("others were faster")

    assert KnownReads(Clock()).begin().start("list", contended)().problem


def test_a_fault_of_the_app_is_not_hidden() -> None:
    def broken() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        KnownReads(Clock()).begin().start("list", broken)()


def test_lines_that_a_read_logs_are_written(caplog: pytest.LogCaptureFixture) -> None:
    KnownReads(Clock()).begin().start("list", lambda: logs.warning("row.corrupt"))()
    assert "row.corrupt" in caplog.text
