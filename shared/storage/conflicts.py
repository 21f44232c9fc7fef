"""Compare-and-swap that lost: another writer changed the row first."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

MAX_CONFLICTS = 8
_FIRST_PAUSE = 0.01
"""Seconds, at most: a read and a write of a row take about as long."""

Result = TypeVar("Result")


class WriteConflict(Exception):
    """Another writer changed this instance's rows first: read again, or leave it to them."""


def no_pause(conflicts: int) -> None:
    """Try again at once: few write this row."""


@dataclass(frozen=True, slots=True)
class RandomPause:
    """Pauses between tries at a row that many hosts write, at random up to twice as long each time."""

    sleep: Callable[[float], None]
    random: Callable[[], float]

    def __call__(self, conflicts: int) -> None:
        """After so many conflicts in a row; all seven take 0.6 seconds on average."""
        self.sleep(self.random() * _FIRST_PAUSE * 2 ** (conflicts - 1))


def retry_on_conflict(attempt: Callable[[], Result], pause: Callable[[int], None] = no_pause) -> Result:
    """Repeat an attempt, which reads anew each time, until no other writer is faster.

    Args:
        pause: called between two tries, with the number of conflicts so far.

    Raises:
        WriteConflict: `MAX_CONFLICTS` times in a row another writer was.
    """
    for conflicts in range(1, MAX_CONFLICTS):
        with suppress(WriteConflict):
            return attempt()
        pause(conflicts)
    return attempt()
