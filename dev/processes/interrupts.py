"""Ctrl-C, SIGTERM and SIGHUP end a command the same way: by an exception that unwinds the `with` blocks."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end. A KeyboardInterrupt, because asyncio lets no other exception out."""

    def __init__(self, number: int) -> None:
        """`number` is the signal's."""
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell reports for a process that this signal ended."""
        return 128 + self.number


class _State:
    holders = 0
    waiting: int | None = None


def raise_on_signals() -> None:
    """From now on the signals raise Interrupted in the main thread."""
    for number in _SIGNALS:
        signal.signal(number, _handle)


@contextmanager
def held() -> Iterator[None]:
    """Put a signal off to the end of the block: for what must not be torn in two, such as start and note."""
    _State.holders += 1
    try:
        yield
    finally:
        _State.holders -= 1
    if _State.waiting is not None and not _State.holders:
        number, _State.waiting = _State.waiting, None
        raise Interrupted(number)


def _handle(number: int, frame: FrameType | None) -> None:
    if _State.holders:
        _State.waiting = number
        return
    raise Interrupted(number)
