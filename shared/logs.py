"""Structured logs: one JSON object per line, with the event's name and its fields, for queries in Application Insights.

Values are written by `json`, so a foreign text cannot forge a line of its own. Tokens and keys are never passed in.
"""

import json
import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

_MAX_EXCEPTION_CHARS = 500

_log = logging.getLogger("backup_autoheal")

Item = TypeVar("Item")
Result = TypeVar("Result")
_Lines = SimpleQueue[tuple[int, str]]
_collected: ContextVar[_Lines | None] = ContextVar("collected", default=None)
"""Where lines of this thread go; None for the log itself."""


class LogRelay:
    """Collects the log lines of threads, for the thread that started them to write.

    The Functions host takes a line only with its invocation, and the threads that a function makes have none
    (Azure Functions Python developer guide, "Log from created threads").
    """

    def __init__(self) -> None:
        """Begin without lines."""
        self._lines: _Lines = SimpleQueue()

    def wrap(self, work: Callable[[Item], Result]) -> Callable[[Item], Result]:
        """The same work for another thread, whose lines are kept until `flush`."""

        def run(item: Item) -> Result:
            before = _collected.set(self._lines)
            try:
                return work(item)
            finally:
                _collected.reset(before)

        return run

    def flush(self) -> None:
        """Write the lines that were collected so far."""
        while True:
            try:
                _log.log(*self._lines.get_nowait())
            except Empty:
                return


def info(event: str, **fields: Any) -> None:
    """Log an event of normal work."""
    _write(logging.INFO, event, fields)


def warning(event: str, **fields: Any) -> None:
    """Log a problem that the app handles by itself."""
    _write(logging.WARNING, event, fields)


def error(event: str, **fields: Any) -> None:
    """Log a problem that a person should look at."""
    _write(logging.ERROR, event, fields)


def describe_exception(failure: BaseException) -> str:
    """Type and message of an exception, for a log or a response: of bounded length, without the queries of URLs.

    The SDKs name the URL that they failed to reach, and its query may hold a shared access signature.
    """
    return re.sub(r"\?\S*", "?...", f"{type(failure).__name__}: {failure}")[:_MAX_EXCEPTION_CHARS]


def _write(level: int, event: str, fields: dict[str, Any]) -> None:
    line = json.dumps({"event": event, **fields}, default=str)
    collected = _collected.get()
    if collected is None:
        _log.log(level, line)
    else:
        collected.put((level, line))
