"""A circuit breaker for each subscription: during an outage of Resource Manager a few calls find it out, not all.

Closed, every call is made. After some failures in a row it is open: no call is made for a while. Then it is half-open:
one call is made as a probe, whose success closes it, and whose failure opens it for longer ("Circuit Breaker pattern",
Azure Architecture Center). Each process has its own: to share it would cost a write for each call.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

MAX_FAILURES = 5
"""In a row, without a success in between."""
MIN_OPEN = timedelta(seconds=15)
MAX_OPEN = timedelta(minutes=5)
"""It doubles from the first to the second."""
PROBE_TIMEOUT = timedelta(seconds=60)
"""After which a probe that has not ended counts no more: longer than any call takes."""
_MIN_WAIT = timedelta(seconds=5)
"""While a probe is made."""
_MAX_DOUBLINGS = 10


@dataclass(slots=True)
class _Circuit:
    """The calls about one subscription."""

    failures: int = 0
    """In a row."""
    openings: int = 0
    """In a row; 0: closed."""
    open_until: datetime | None = None
    """None while it is closed; half-open from then on."""
    probe_until: datetime | None = None
    """Until when the result of a probe is waited for."""


class CircuitBreaker:
    """One circuit for each subscription."""

    def __init__(self, now: Callable[[], datetime], random: Callable[[], float]) -> None:
        """`random` gives 0 to 1: spreads openings and waits, so that hosts and instances do not march in step."""
        self._now = now
        self._random = random
        self._lock = Lock()
        self._circuits: dict[str, _Circuit] = {}

    def admit(self, subscription_id: str) -> timedelta | None:
        """None if a call may be made, whose result is then to be told; else how long to wait before asking again."""
        with self._lock:
            circuit = self._circuits.get(subscription_id.lower())
            if circuit is None or circuit.open_until is None:
                return None
            now = self._now()
            if now < circuit.open_until:
                return self._spread(circuit.open_until - now)
            if circuit.probe_until is not None and now < circuit.probe_until:
                return self._spread(_MIN_WAIT)
            circuit.probe_until = now + PROBE_TIMEOUT
            return None

    def succeeded(self, subscription_id: str) -> bool:
        """A call had an answer; returns whether this has closed the circuit."""
        with self._lock:
            circuit = self._circuits.pop(subscription_id.lower(), None)
            return circuit is not None and circuit.open_until is not None

    def failed(self, subscription_id: str) -> timedelta | None:
        """A call met an outage; returns for how long this has opened the circuit, None if it has not."""
        with self._lock:
            circuit, now = self._circuits.setdefault(subscription_id.lower(), _Circuit()), self._now()
            circuit.failures += 1
            is_open = circuit.open_until is not None
            # What was sent before the circuit opened says nothing new.
            is_late = is_open and circuit.probe_until is None
            if is_late or (not is_open and circuit.failures < MAX_FAILURES):
                return None
            doubled: timedelta = MIN_OPEN * (1 << min(circuit.openings, _MAX_DOUBLINGS))
            opened = min(doubled, MAX_OPEN) * (0.5 + self._random() / 2)
            circuit.openings, circuit.open_until, circuit.probe_until = circuit.openings + 1, now + opened, None
            return opened

    def _spread(self, wait: timedelta) -> timedelta:
        return max(wait, _MIN_WAIT) * (1 + self._random() / 2)
