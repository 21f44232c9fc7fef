"""A clock that stands still until a test moves it on."""

from datetime import datetime, timedelta

from tests.support.remediations import NOW


class Clock:
    """Shows `NOW` at first."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float = 0, **duration: float) -> None:
        self.now += timedelta(seconds=seconds, **duration)
