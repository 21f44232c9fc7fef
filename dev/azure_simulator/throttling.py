"""Resource Manager's throttling: token buckets for each subscription, one for writes and one for reads.

Source: "Understand how Resource Manager throttles requests": a bucket holds so many tokens, each request takes
one, and so many are put back each second; a DELETE has a third bucket there, which nobody needs here. The one
principal and region of the simulator are not told apart. Off until it is set up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dev.azure_simulator.behaviour import InvalidBehaviour

Kind = Literal["write", "read"]

_KEYS: Mapping[Kind, tuple[str, str]] = {
    "write": ("writeBurst", "writesPerSecond"),
    "read": ("readBurst", "readsPerSecond"),
}


@dataclass(frozen=True, slots=True)
class Limit:
    """How large a bucket is, and how fast it is filled again."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Turn:
    """What became of one request at its bucket."""

    kind: Kind
    remaining: int
    """Whole tokens that are left now."""
    retry_after: int | None
    """Seconds until the next token, at least 1, when the request got none; None when it got one."""


class Bucket:
    """Tokens, full at first. Times are seconds of any clock that only goes forward."""

    def __init__(self, limit: Limit, now: float) -> None:
        """Full at this moment."""
        self._limit = limit
        self._tokens = float(limit.burst)
        self._filled_at = now

    def take(self, now: float) -> float:
        """Take a token if there is one; returns the seconds until there is one, 0 if it was taken."""
        limit = self._limit
        self._tokens = min(limit.burst, self._tokens + (now - self._filled_at) * limit.per_second)
        self._filled_at = now
        if self._tokens < 1:
            return (1 - self._tokens) / limit.per_second
        self._tokens -= 1
        return 0.0

    @property
    def remaining(self) -> int:
        """Whole tokens that were left at the last take."""
        return int(self._tokens)


class Throttling:
    """The buckets of all subscriptions."""

    def __init__(self) -> None:
        """Off."""
        self.reset()

    def reset(self) -> None:
        """Off for both kinds, and every bucket forgotten."""
        self._limits: dict[Kind, Limit | None] = {"write": None, "read": None}
        self._buckets: dict[tuple[Kind, str], Bucket] = {}

    def set_limits(self, limits: Mapping[Kind, Limit | None]) -> None:
        """Change the kinds that are named; their buckets begin anew, full."""
        self._limits.update(limits)
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if key[0] not in limits}

    def admit(self, kind: Kind, subscription: str, now: float) -> Turn | None:
        """Count a request; None where requests of this kind are not limited."""
        limit = self._limits[kind]
        if limit is None:
            return None
        key = kind, subscription.lower()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(limit, now)
        wait = bucket.take(now)
        return Turn(kind, bucket.remaining, max(1, math.ceil(wait)) if wait else None)


def kind_of(method: str) -> Kind:
    """Which bucket a request draws from: an action, which is a POST, is a write."""
    return "read" if method in ("GET", "HEAD") else "write"


def take_limits(document: dict[str, Any]) -> dict[Kind, Limit | None]:
    """Take the limits out of the settings: `{"writeBurst": 200, "writesPerSecond": 10}`, likewise for reads.

    Both numbers of a kind go together; null for both turns it off.

    Raises:
        InvalidBehaviour: one without the other, or a number that is none.
    """
    limits: dict[Kind, Limit | None] = {}
    for kind, keys in _KEYS.items():
        if document.keys().isdisjoint(keys):
            continue
        burst, per_second = (document.pop(key, None) for key in keys)
        is_off = burst is None and per_second is None
        limits[kind] = None if is_off else _read_limit(keys, burst, per_second)
    return limits


def _read_limit(keys: tuple[str, str], burst: object, per_second: object) -> Limit:
    if isinstance(burst, bool) or not isinstance(burst, int) or burst < 1:
        raise InvalidBehaviour(f"{keys[0]}: expected a whole number from 1, with {keys[1]}, got {burst!r}")
    if isinstance(per_second, bool) or not isinstance(per_second, int | float) or not 0 < per_second < math.inf:
        raise InvalidBehaviour(f"{keys[1]}: expected a number above 0, with {keys[0]}, got {per_second!r}")
    return Limit(burst, per_second)
