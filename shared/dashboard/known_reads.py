"""Reads of the page that end in time: what storage does not say by then is shown as this process knew it last."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any, Generic, TypeVar

from azure.core.exceptions import AzureError, ServiceResponseError

from shared import logs
from shared.logs import LogRelay
from shared.storage.conflicts import WriteConflict

TIMEOUT = 4.0
"""Seconds: the page is to answer within five."""
_MAX_THREADS = 16
_MAX_JOINED_AGE = 1.0
"""Seconds. A read that has run for longer waits for storage: another beside it would wait as long."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Known(Generic[Value]):
    """A value as it is now, or as it was read last."""

    value: Value | None
    """None where it was never read."""
    known_at: datetime | None
    """When it was read, where that was not just now."""
    problem: str = ""
    """Why it could not be read now; empty if it could."""


@dataclass(slots=True)
class _Running:
    read: Future[Any]
    started: float


class KnownReads:
    """Reads in threads of its own, and remembers what they said; for any number of requests at the same time."""

    def __init__(self, now: Callable[[], datetime], timeout: float = TIMEOUT) -> None:
        """Threads are started when they are first needed."""
        self._now = now
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(_MAX_THREADS, "page")
        self._lock = Lock()
        self._last: dict[str, tuple[datetime, Any]] = {}
        self._running: dict[str, _Running] = {}

    def begin(self) -> "Reads":
        """The reads of one request, which have `timeout` together."""
        return Reads(self, time.monotonic() + self._timeout)

    def _start(self, name: str, read: Callable[[], Value], relay: LogRelay) -> "Future[Value]":
        with self._lock:
            running = self._running.get(name)
            if running and not running.read.done() and time.monotonic() - running.started > _MAX_JOINED_AGE:
                return running.read
            started: Future[Value] = self._threads.submit(relay.wrap(lambda _: read()), None)
            self._running[name] = _Running(started, time.monotonic())
            return started

    def _remember(self, name: str, value: object) -> None:
        with self._lock:
            self._last[name] = (self._now(), value)

    def _known(self, name: str, problem: str) -> Known[Any]:
        with self._lock:
            known_at, value = self._last.get(name, (None, None))
        return Known(value, known_at, problem)


class Reads:
    """Reads of one request; each is named, so that it can be remembered."""

    def __init__(self, known: KnownReads, deadline: float) -> None:
        """`deadline` is one of `time.monotonic`."""
        self._known = known
        self._deadline = deadline
        self._relay = LogRelay()

    def start(self, name: str, read: Callable[[], Value]) -> Callable[[], Known[Value]]:
        """Begin to read; what is returned waits for the value, or for the deadline."""
        running = self._known._start(name, read, self._relay)

        def known() -> Known[Value]:
            try:
                value = self._wait(running)
            except (AzureError, WriteConflict) as failure:
                return self._known._known(name, logs.describe_exception(failure))
            self._known._remember(name, value)
            return Known(value, None)

        return known

    def value(self, read: Callable[[], Value]) -> Value:
        """Read a value now, for this request alone.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached, or gives no answer in time.
        """
        return self._wait(self._known._threads.submit(self._relay.wrap(lambda _: read()), None))

    def _wait(self, running: "Future[Value]") -> Value:
        wait([running], max(0.0, self._deadline - time.monotonic()))
        self._relay.flush()
        if running.done():
            return running.result()
        running.cancel()  # one that has not begun would only find the same
        raise ServiceResponseError(f"no answer within {self._known._timeout:.0f} s")
