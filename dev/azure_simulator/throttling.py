"""Resource Manager's throttling of writes: a token bucket for each subscription.

Source: "Understand how Resource Manager throttles requests": a bucket holds so many tokens, each request takes
one, and so many are put back each second. Reads and deletes have buckets of their own there, which nobody needs
here. The simulator has one principal and one region. Off until it is set up.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """How large a bucket is, and how many tokens are put back each second."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Admission:
    """The bucket's answer to one request."""

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
        self.set_limit(None)

    def set_limit(self, limit: Limit | None) -> None:
        """Begin anew with full buckets of this limit; None turns throttling off."""
        self._limit = limit
        self._buckets: dict[str, Bucket] = {}

    def admit(self, subscription: str, now: float) -> Admission | None:
        """Count a write; None where writes are not limited."""
        if self._limit is None:
            return None
        bucket = self._buckets.setdefault(subscription.lower(), Bucket(self._limit, now))
        wait = bucket.take(now)
        return Admission(bucket.remaining, max(1, math.ceil(wait)) if wait else None)
