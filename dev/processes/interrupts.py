"""Ctrl-C, SIGTERM and SIGHUP end a command the same way: by an exception that unwinds the `with` blocks."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end. A KeyboardInterrupt, because asyncio lets no other exception out."""

    def __init__(self, number: int) -> None:
        """`number` is the signal's, such as 15 for SIGTERM."""
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """The exit code that a shell reports for a process that this signal ended: 128 and the number."""
        return 128 + self.number


class _State:
    depth = 0
    """How many `held` blocks are open."""
    pending: int | None = None


def raise_on_signals() -> None:
    """From now on the signals raise Interrupted in the main thread."""
    for number in _SIGNALS:
        signal.signal(number, _handle)


@contextmanager
def held() -> Iterator[None]:
    """Put a signal off to the end of the block: it must not come between a process's start and its registration."""
    _State.depth += 1
    try:
        yield
    finally:
        _State.depth -= 1
    if _State.pending is not None and not _State.depth:
        number, _State.pending = _State.pending, None
        raise Interrupted(number)


def _handle(number: int, frame: FrameType | None) -> None:
    if _State.depth:
        _State.pending = number
        return
    raise Interrupted(number)
