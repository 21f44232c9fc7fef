"""How long to wait before the same call is made again. Pure."""

from datetime import timedelta

MAX_CALL_BACK_OFF = timedelta(hours=1)
"""Of calls to ARM: a restore that keeps an instance busy, or an outage of ARM, may take a day."""
MAX_PUBLISH_BACK_OFF = timedelta(minutes=5)
"""Of the topic for outcomes: somebody waits to hear of them."""
_MIN_BACK_OFF = timedelta(seconds=5)
_MAX_DOUBLINGS = 12


def back_off(deferrals: int, jitter: float, longest: timedelta = MAX_CALL_BACK_OFF) -> timedelta:
    """From 5 seconds, doubled with each deferral in a row.

    Args:
        jitter: 0 to 1: the wait is from half to the whole of it, so that hosts do not march in step.
    """
    doubled: timedelta = _MIN_BACK_OFF * (1 << min(deferrals, _MAX_DOUBLINGS))
    return min(doubled, longest) * (0.5 + jitter / 2)


def call_delay(retry_after: float | None, deferrals: int, jitter: float) -> timedelta:
    """As long as ARM asked for (seconds), but ever longer when it keeps asking: `Retry-After: 0` must not spin."""
    if retry_after is None:
        return back_off(deferrals, jitter)
    at_least = timedelta(seconds=(1 << min(deferrals, _MAX_DOUBLINGS)) - 1)
    return max(timedelta(seconds=retry_after), min(at_least, MAX_CALL_BACK_OFF))
