"""What happened, one JSON object per line: what Application Insights is queried for.

Values are written by `json`, so a foreign text cannot forge a line of its own. Tokens and keys are never passed in.
"""

import json
import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

_log = logging.getLogger("backup_autoheal")

Given = TypeVar("Given")
Made = TypeVar("Made")
_Lines = SimpleQueue[tuple[int, str]]
_relayed: ContextVar[_Lines | None] = ContextVar("relayed", default=None)


class LogRelay:
    """Lines of threads, written by the thread that started them.

    The Functions host takes a line only with its invocation, and the threads that a function makes have none
    (Azure Functions Python developer guide, "Log from created threads").
    """

    def __init__(self) -> None:
        """Nothing was said yet."""
        self._lines: _Lines = SimpleQueue()

    def wrap(self, work: Callable[[Given], Made]) -> Callable[[Given], Made]:
        """The same work for another thread, whose lines are kept until `tell`."""

        def run(given: Given) -> Made:
            before = _relayed.set(self._lines)
            try:
                return work(given)
            finally:
                _relayed.reset(before)

        return run

    def flush(self) -> None:
        """Write what was said so far."""
        while True:
            try:
                _log.log(*self._lines.get_nowait())
            except Empty:
                return


def info(event: str, **fields: Any) -> None:
    """Something went its way."""
    _write(logging.INFO, event, fields)


def warning(event: str, **fields: Any) -> None:
    """Something did not go its way; the app copes."""
    _write(logging.WARNING, event, fields)


def error(event: str, **fields: Any) -> None:
    """Something that a person should look at."""
    _write(logging.ERROR, event, fields)


def describe_exception(failure: BaseException) -> str:
    """What an exception says, for a log or an answer: of bounded length, without the queries of URLs.

    The SDKs name the URL that they failed to reach, and its query may hold a shared access signature.
    """
    return re.sub(r"\?\S*", "?...", f"{type(failure).__name__}: {failure}")[:500]


def _write(level: int, event: str, fields: dict[str, Any]) -> None:
    line, relayed = json.dumps({"event": event, **fields}, default=str), _relayed.get()
    if relayed is None:
        _log.log(level, line)
    else:
        relayed.put((level, line))
