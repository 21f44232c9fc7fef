"""Compare-and-swap that lost: another writer changed the row first."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

MAX_CONFLICTS = 8

Result = TypeVar("Result")


class WriteConflict(Exception):
    """Another writer changed this instance's rows first: read again, or leave it to them."""


def retry_on_conflict(attempt: Callable[[], Result]) -> Result:
    """Repeat an attempt, which reads anew each time, until no other writer is faster.

    Raises:
        WriteConflict: `MAX_CONFLICTS` times in a row another writer was.
    """
    for _ in range(MAX_CONFLICTS - 1):
        with suppress(WriteConflict):
            return attempt()
    return attempt()
