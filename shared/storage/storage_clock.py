"""The time by the clock of the storage account, which is the same for all hosts.

Times that one host stores another one compares with its own, and Queue Storage counts delays by its own clock too. So
a host goes by the `Date` of storage's answers (HTTP, RFC 9110, section 6.6.1: whole seconds), and in between by the
monotonic clock, which nobody sets.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any

from shared.clock import utc_now

_RESOLUTION = 1.0
"""Seconds: a `Date` is that of the second in which it was written."""


class StorageClock:
    """Shows storage's time once storage has answered, and the host's own until then; for any number of threads.

    Each answer says between which two bounds the offset of storage's clock from the monotonic one lies: it was written
    between request and response, within the second that it names. Where several agree, the bounds that they share
    count, so that the error falls far below a second. Where they do not, a clock was set, and the newest counts.
    """

    def __init__(self, own: Callable[[], datetime] = utc_now, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Learn from `on_response`, to be registered as a hook of each session that calls storage."""
        self._own = own
        self._monotonic = monotonic
        self._bounds: tuple[float, float] | None = None
        """Seconds since 1970 at which the monotonic clock was 0, by storage's clock: at least, and at most."""
        self._date: tuple[str, float] = ("", 0.0)
        """The `Date` that was read last, as text and in seconds since 1970."""
        self._lock = Lock()

    def __call__(self) -> datetime:
        """The time by storage's clock, as well as it is known; aware, in UTC."""
        bounds = self._bounds
        if bounds is None:
            return self._own()
        return datetime.fromtimestamp(self._monotonic() + sum(bounds) / 2, UTC)

    def on_response(self, response: Any, *_: Any, **__: Any) -> None:
        """Learn from an answer (`requests.Response`); what is not storage's own, or has no `Date`, teaches nothing."""
        if "x-ms-request-id" in response.headers:
            received = self._monotonic()
            self.learn(response.headers.get("Date"), received - response.elapsed.total_seconds(), received)

    def learn(self, date: str | None, sent: float, received: float) -> None:
        """Learn from a `Date` that was written between these two times of the monotonic clock."""
        if not date:
            return
        with self._lock:
            if date != self._date[0]:
                try:
                    self._date = (date, parsedate_to_datetime(date).timestamp())
                except (ValueError, TypeError, OverflowError):
                    return
            seconds = self._date[1]
            low, high = seconds - received, seconds + _RESOLUTION - sent
            known = self._bounds
            if known is not None and max(low, known[0]) <= min(high, known[1]):
                low, high = max(low, known[0]), min(high, known[1])
            self._bounds = (low, high)


STORAGE_CLOCK = StorageClock()
"""The clock of the app's storage account, for all of this process."""
