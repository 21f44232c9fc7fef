"""What threads say is written by the thread that started them: the Functions host hears no other."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import logs
from shared.logs import LogRelay


class Listener(logging.Handler):
    """Who said what."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((threading.current_thread().name, record.getMessage()))


@pytest.fixture
def listener(caplog: pytest.LogCaptureFixture) -> Iterator[Listener]:
    caplog.set_level("INFO", logger="backup_autoheal")
    listener, log = Listener(), logging.getLogger("backup_autoheal")
    log.addHandler(listener)
    yield listener
    log.removeHandler(listener)


def look(number: int) -> int:
    logs.info("looked", number=number)
    return number * 2


def test_lines_of_threads_are_written_by_who_started_them(listener: Listener) -> None:
    relay, here = LogRelay(), threading.current_thread().name
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(relay.wrap(look), range(3))) == [0, 2, 4]
    assert listener.said == []
    relay.flush()
    assert {who for who, _ in listener.said} == {here}
    assert sorted(line for _, line in listener.said) == [f'{{"event": "looked", "number": {n}}}' for n in range(3)]


def test_what_was_told_is_not_told_again(listener: Listener) -> None:
    relay = LogRelay()
    relay.wrap(look)(1)
    relay.flush()
    relay.flush()
    assert len(listener.said) == 1


def test_work_that_fails_has_said_what_it_said(listener: Listener) -> None:
    def fail(number: int) -> None:
        look(number)
        raise ValueError("no")

    relay = LogRelay()
    with pytest.raises(ValueError, match="no"):
        relay.wrap(fail)(1)
    logs.info("afterwards")
    relay.flush()
    assert [line for _, line in listener.said] == ['{"event": "afterwards"}', '{"event": "looked", "number": 1}']
