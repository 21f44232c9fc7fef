"""Lines of threads are written by the thread that started them: the Functions host hears no other."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import logs
from shared.logs import LogRelay


class Listener(logging.Handler):
    """Which thread wrote which line."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append((threading.current_thread().name, record.getMessage()))


@pytest.fixture
def listener(caplog: pytest.LogCaptureFixture) -> Iterator[Listener]:
    caplog.set_level("INFO", logger="backup_autoheal")
    listener, log = Listener(), logging.getLogger("backup_autoheal")
    log.addHandler(listener)
    yield listener
    log.removeHandler(listener)


def poll(number: int) -> int:
    logs.info("polled", number=number)
    if number < 0:
        raise ValueError("no")
    return number * 2


def test_lines_of_threads_are_written_once_and_by_who_started_them(listener: Listener) -> None:
    relay, here = LogRelay(), threading.current_thread().name
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(relay.wrap(poll), range(3))) == [0, 2, 4]
    assert listener.written == []
    relay.flush()
    relay.flush()
    assert sorted(listener.written) == [(here, f'{{"event": "polled", "number": {n}}}') for n in range(3)]


def test_the_lines_of_work_that_fails_are_kept(listener: Listener) -> None:
    relay = LogRelay()
    with pytest.raises(ValueError, match="no"):
        relay.wrap(poll)(-1)
    logs.info("afterwards")
    relay.flush()
    assert [line for _, line in listener.written] == ['{"event": "afterwards"}', '{"event": "polled", "number": -1}']
