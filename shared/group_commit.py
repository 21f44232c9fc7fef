"""Group commit: what several threads want to write at the same moment goes out as one.

Who finds nobody writing writes at once, for itself alone. Whoever comes meanwhile waits for that to end, and then
one of those who wait writes for all of them. So nothing is held up to wait for company, and the busier it is,
the larger the groups get. Databases share the flushes of their logs like this.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Wanted = TypeVar("Wanted")
Written = TypeVar("Written")


class GroupCommit(Generic[Wanted, Written]):
    """Writes for many threads, one group at a time."""

    def __init__(self, write: Callable[[Sequence[Wanted]], Sequence[Written | Exception]], most: int) -> None:
        """`write` answers for each one of a group, of no more than `most`, what became of it."""
        self._write = write
        self._most = most
        self._waiting: deque[tuple[Wanted, Future[Written]]] = deque()
        self._turn = Lock()

    def __call__(self, wanted: Wanted) -> Written:
        """Write this, together with whatever else waits.

        Raises:
            Exception: what `write` answered for this one, or raised for its group.
        """
        written: Future[Written] = Future()
        self._waiting.append((wanted, written))
        while not written.done():
            with self._turn:
                if not written.done():
                    self._write_group()
        return written.result()

    def _write_group(self) -> None:
        group = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._most))]
        try:
            answers = self._write([wanted for wanted, _ in group])
        except BaseException as failure:
            # Passed on to each of them: nobody may be left waiting.
            for _, written in group:
                written.set_exception(failure)
            return
        for (_, written), answer in zip(group, answers, strict=True):
            if isinstance(answer, Exception):
                written.set_exception(answer)
            else:
                written.set_result(answer)
