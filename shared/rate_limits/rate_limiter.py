"""Rate limits of Resource Manager, kept for each subscription across all hosts.

Resource Manager has a token bucket for each subscription (Azure Resource Manager, "Request limits and throttling":
200 writes and 10 more each second, and another for 250 reads and 25 more). The app counts the same buckets by the
generic cell rate algorithm, each as one time in storage.

A call takes a slot of the bucket just before it is made, so that what is counted is what is called, however slow a
host is. Who finds no slot gets a turn: a time, in the order of asking and as far apart as the rate has it, at which
to ask again. Turns are counted beside the slots. One that is used late, or never, has taken nothing from the bucket:
a host that is behind makes its calls as fast as it can while the bucket has slots, and whoever finds none gets a new
turn behind all others. Nor do turns keep a newcomer waiting whose calls do not come, of what was cancelled: where the
bucket has filled up to a quarter, it takes a slot at once; and turns that then lie further ahead than the bucket
takes to fill up begin anew, for those who still find no slot.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import floor
from threading import Lock
from typing import Protocol

_MIN_BLOCK = 16
_MARGIN = 20
"""The burst divided by this is left: calls do not reach Resource Manager as evenly as their slots are taken."""
_RESERVE = 20
"""Turns begin when the bucket holds the burst divided by this, for slots that other hosts hold, and calls in pairs."""
_UNUSED = 4
"""A bucket that holds the burst divided by this is not emptied by those who wait: they are late, or come no more."""
_MIN_UNUSED = 16
"""A bucket that holds fewer slots is only waited for by some who are late."""
_DEMAND_TIME = timedelta(seconds=2)
"""A block that lasts for longer is followed by a smaller one, else by a larger one."""
_BLOCK_TIMEOUT = timedelta(seconds=4)
"""Slots that were taken so long ago are given up: the bucket may be full without them by now."""
_FORGETTING = 10
"""Seconds in which a second is forgotten of what another clock was found to be ahead.

Such a clock may have been put right, or its host be gone, while the slots that others took since stand where it would
have put them. One that is ahead still is found to be so again. Meanwhile the shared time goes on, by so much slower.
"""

_MIN_BUSY_WAIT = 1.0
"""Seconds, and up to twice as many at random: until a host asks again that did not get at a bucket for others."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class BucketBusy(Exception):
    """Other hosts kept moving a bucket first."""


class Buckets(Protocol):
    """Where the buckets are kept, shared by all hosts (`storage.bucket_store`)."""

    def tat(self, bucket: str) -> datetime | None:
        """The bucket's TAT; None for a bucket that was never used."""

    def advance(self, bucket: str, move: Callable[[datetime | None], datetime]) -> datetime | None:
        """Move the bucket's TAT by compare-and-swap, unless `move` leaves it; returns what it was before.

        Raises:
            BucketBusy: other hosts kept moving it first.
        """


@dataclass(frozen=True, slots=True)
class Wait:
    """A call that may not be made now: when to ask again."""

    until: datetime
    is_turn: bool
    """Whether the caller has a turn; else it asks as one that comes anew, behind all who have."""

    @property
    def turn(self) -> datetime | None:
        """When the caller has its turn, if it has one."""
        return self.until if self.is_turn else None


@dataclass(frozen=True, slots=True)
class Gcra:
    """The generic cell rate algorithm (GCRA): a token bucket as one time, its TAT (theoretical arrival time).

    Every TAT here has the burst tolerance, `burst / rate`, subtracted: it is the time of the last slot that was
    taken. A bucket that was left alone has it in the past, an empty one has it now.
    """

    burst: int
    """Calls at once from a full bucket."""
    rate: float
    """Calls a second."""

    @property
    def max_block(self) -> int:
        """Slots that a host takes from storage at once, at most: those of two seconds."""
        return max(_MIN_BLOCK, round(self.rate * 2))

    @property
    def max_turns(self) -> int:
        """Turns that a host takes ahead, at most, those of half a second: what it does not give out is lost."""
        return max(1, round(self.rate / 2))

    def next(self, tat: datetime | None, now: datetime) -> datetime:
        """Where free slots begin: at the TAT, but no earlier than a full bucket allows."""
        full = now - self.fill_time
        return full if tat is None else max(tat, full)

    def after(self, tat: datetime, slots: int) -> datetime:
        """The TAT once so many slots are taken from there."""
        return tat + timedelta(seconds=slots / self.rate)

    def between(self, tat: datetime, now: datetime) -> int:
        """How many slots there are from that TAT until now; negative where it lies ahead."""
        # Times have microseconds, which is no reason to find a slot less.
        return floor((now - tat).total_seconds() * self.rate + 0.001)

    def with_remaining(self, calls: int, now: datetime) -> datetime:
        """The TAT of a bucket that has so many calls left."""
        return now - timedelta(seconds=calls / self.rate)

    @property
    def fill_time(self) -> timedelta:
        """How long an empty bucket takes to fill up: the burst tolerance."""
        return timedelta(seconds=self.burst / self.rate)


@dataclass(slots=True)
class _Block:
    """Slots that this host has taken from a bucket at once, and has still to give out."""

    left: int = 0
    size: int = 1
    taken_at: datetime | None = None
    last: datetime | None = None
    """The time that was given out last."""

    def resize(self, max_size: int, now: datetime) -> int:
        """How much to take now, by how long the last block lasted: what one host holds, no other can use."""
        is_in_demand = self.taken_at is not None and now - self.taken_at < _DEMAND_TIME
        self.size = min(self.size * 2, max_size) if is_in_demand else max(self.size // 2, 1)
        self.taken_at = now
        return self.size


@dataclass(slots=True)
class _Limit:
    """The limit of one subscription, as this host knows it."""

    lock: Lock = field(default_factory=Lock)
    counter: Lock = field(default_factory=Lock)
    """For `asking` alone, held for no longer than that takes."""
    asking: int = 0
    """Callers of this host that have the lock or wait for it: one goes to storage, for all of them."""
    slots: _Block = field(default_factory=_Block)
    turns: _Block = field(default_factory=_Block)
    empty_until: datetime | None = None
    """There is no slot before then, as storage had it; others can only make it later."""
    busy_until: datetime = _LONG_AGO
    """Others kept moving its buckets: before then no caller of this host tries, who would keep the next one waiting."""
    observed_tat: datetime | None = None
    """The TAT by Resource Manager's own count."""
    ahead: timedelta = timedelta(0)
    """By how much a host whose slots stand in the bucket has its clock ahead of this one's, at least, as found."""
    found_at: datetime | None = None
    """By this host's clock."""

    def ahead_at(self, now: datetime) -> timedelta:
        """The part of it that is not forgotten by then."""
        elapsed = max(now - self.found_at, timedelta(0)) if self.found_at else timedelta(0)
        return max(self.ahead - elapsed / _FORGETTING, timedelta(0))

    @contextmanager
    def held(self) -> Iterator[None]:
        """One caller at a time, while the others are counted."""
        with self.counter:
            self.asking += 1
        try:
            with self.lock:
                yield
        finally:
            with self.counter:
                self.asking -= 1


class RateLimiter:
    """Gives out slots for one kind of call, and turns to those who find none."""

    def __init__(
        self,
        kind: str,
        gcra: Gcra,
        buckets: Buckets,
        now: Callable[[], datetime],
        random: Callable[[], float] = lambda: 0.5,
    ) -> None:
        """Share the rate limit of this kind, `writes` or `reads`, with every host that uses the same buckets."""
        self._kind = kind
        self._gcra = Gcra(gcra.burst - gcra.burst // _MARGIN, gcra.rate)
        self._buckets = buckets
        self._now = now
        self._random = random
        self._limits: dict[str, _Limit] = {}

    def admit(self, subscription_id: str, has_turn: bool = False) -> Wait | None:
        """None if the call may be made, at once.

        Args:
            has_turn: the caller has waited for its turn, as it was given here.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        limit = self._limit(subscription_id)
        with limit.held():
            try:
                now = self._shared_time(limit)
                if (has_turn or not self._is_queue_ahead(limit, now)) and self._take_slot(subscription_id, limit, now):
                    return None
                turn = self._take_turn(subscription_id, limit, self._shared_time(limit))
                return Wait(self._by_own_clock(limit, turn), is_turn=True)
            except BucketBusy:
                # Very many hosts ask for the same bucket: to ask again soon costs less than to fail.
                return Wait(limit.busy_until, is_turn=has_turn)

    def take(self, subscription_id: str) -> bool:
        """Whether a call may be made now, by one that would not wait for it.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        limit = self._limit(subscription_id)
        with limit.held():
            try:
                return self._take_slot(subscription_id, limit, self._shared_time(limit))
            except BucketBusy:
                return False

    def learn(self, subscription_id: str, remaining: int | None, retry_after: float | None) -> None:
        """Take over what a response of Resource Manager says of the bucket.

        Args:
            remaining: calls left; None if it did not say.
            retry_after: seconds to stay away, of a 429; None for any other response.
        """
        limit = self._limit(subscription_id)
        with limit.lock:
            now = self._shared_time(limit)
            if retry_after is not None:
                # No bucket takes longer than to fill up: what asks for more is about one resource, not about all.
                limit.observed_tat = now + min(timedelta(seconds=retry_after), self._gcra.fill_time)
                # Slots taken before are of a bucket that Resource Manager says is empty.
                limit.slots.left = 0
            elif remaining is not None and (limit.observed_tat is None or limit.observed_tat <= now):
                limit.observed_tat = self._gcra.with_remaining(remaining, now)

    def _limit(self, subscription_id: str) -> _Limit:
        return self._limits.setdefault(subscription_id.lower(), _Limit())

    def _shared_time(self, limit: _Limit) -> datetime:
        """The time by the clock that is furthest ahead of all that count in this bucket, as far as this host knows."""
        now = self._now()
        return now + limit.ahead_at(now)

    def _by_own_clock(self, limit: _Limit, shared: datetime) -> datetime:
        """The time by this host's clock at that shared time."""
        now = self._now()
        wait = shared - now - limit.ahead_at(now)
        # While another clock is forgotten, nine seconds of the shared time take ten; after that they are the same.
        return min(shared, now + wait * _FORGETTING / (_FORGETTING - 1))

    def _is_queue_ahead(self, limit: _Limit, now: datetime) -> bool:
        """Whether others wait for their turns, and take the slots that there are, as far as this host knows."""
        if limit.turns.last is None or limit.turns.last <= now:
            return False
        free = self._gcra.between(limit.empty_until, now) if limit.empty_until else 0
        return free < self._gcra.burst / _UNUSED

    def _advance(self, limit: _Limit, bucket: str, move: Callable[[datetime | None], datetime]) -> datetime | None:
        try:
            return self._buckets.advance(bucket, move)
        except BucketBusy:
            limit.busy_until = self._now() + timedelta(seconds=_MIN_BUSY_WAIT * (1 + self._random()))
            raise

    def _expect_idle(self, limit: _Limit) -> None:
        """Raises `BucketBusy` where that was found of a bucket lately."""
        if self._now() < limit.busy_until:
            raise BucketBusy

    def _take_slot(self, subscription_id: str, limit: _Limit, now: datetime) -> bool:
        block = limit.slots
        if block.taken_at is not None and now - block.taken_at > _BLOCK_TIMEOUT:
            block.left = 0
        if not block.left and (limit.empty_until is None or limit.empty_until <= now):
            self._take_slots(subscription_id, limit, now)
        if not block.left:
            return False
        block.left -= 1
        return True

    def _take_slots(self, subscription_id: str, limit: _Limit, now: datetime) -> None:
        """Take slots that are there now, as many as this host has use for."""
        self._expect_idle(limit)
        gcra, observed = self._gcra, limit.observed_tat
        wanted = max(limit.slots.resize(gcra.max_block, now), min(limit.asking, gcra.max_block))

        def free(tat: datetime | None) -> tuple[datetime, int]:
            begin = gcra.next(tat, now)
            begin = begin if observed is None else max(begin, observed)
            return begin, max(0, min(wanted, gcra.between(begin, now)))

        bucket = f"{self._kind}:{subscription_id.lower()}"
        before = self._advance(limit, bucket, lambda tat: gcra.after(*free(tat)))
        if before is not None:
            # Slots are taken up to now, and a refusal moves the TAT ahead by the time to fill up at most: what lies
            # further ahead was written by another clock. By the time after the answer, which may have taken long.
            own = self._now()
            ahead = before - own - gcra.fill_time
            if ahead > limit.ahead_at(own):
                limit.ahead, limit.found_at = ahead, own
        begin, count = free(before)
        limit.slots.left, limit.empty_until = count, gcra.after(begin, count + 1)
        if gcra.between(begin, now) >= max(gcra.burst / _UNUSED, _MIN_UNUSED):
            self._begin_turns_anew(subscription_id, limit, now)

    def _begin_turns_anew(self, subscription_id: str, limit: _Limit, now: datetime) -> None:
        """Give the next turns from now on, where they lie further ahead than an empty bucket takes to fill up.

        Those who have them do not come, or come late, as the bucket holds slots that they have left. Where they come
        after all, each slot has two who ask for it, and one of them asks again: no more than twice as often in all.
        """
        turns, near = limit.turns, now + self._gcra.fill_time
        if turns.last is not None and turns.last <= near:
            return
        bucket = _turns_bucket(self._kind, subscription_id)
        before = self._buckets.tat(bucket)
        if before is not None and before > near:
            before = self._advance(limit, bucket, lambda tat: now if tat is None or tat > near else tat)
        turns.left, turns.last = 0, before if before is not None and before <= near else now

    def _take_turn(self, subscription_id: str, limit: _Limit, now: datetime) -> datetime:
        gcra, block = self._gcra, limit.turns
        soonest = now
        if limit.empty_until is not None and limit.empty_until > now:
            soonest = limit.empty_until + gcra.fill_time / _RESERVE
        if not block.left or block.last is None or gcra.after(block.last, 1) < soonest:
            self._expect_idle(limit)
            size = max(block.resize(gcra.max_turns, now), min(limit.asking, gcra.max_block))

            def begin(tat: datetime | None) -> datetime:
                before_soonest = gcra.after(soonest, -1)
                return before_soonest if tat is None else max(tat, before_soonest)

            bucket = _turns_bucket(self._kind, subscription_id)
            block.last = begin(self._advance(limit, bucket, lambda tat: gcra.after(begin(tat), size)))
            block.left = size
        block.last, block.left = gcra.after(block.last, 1), block.left - 1
        return block.last


def _turns_bucket(kind: str, subscription_id: str) -> str:
    return f"{kind}-turns:{subscription_id.lower()}"
