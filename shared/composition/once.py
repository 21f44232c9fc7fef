"""Parts that are made when they are first asked for, and once for each process."""

from collections.abc import Callable
from threading import RLock
from typing import TypeVar

Part = TypeVar("Part")


def once(make: Callable[[], Part]) -> Callable[[], Part]:
    """Make the part at the first call, and only once, however many threads call at the same time."""
    made: list[Part] = []
    making = RLock()

    def get() -> Part:
        if not made:
            with making:
                if not made:
                    made.append(make())
        return made[0]

    return get
