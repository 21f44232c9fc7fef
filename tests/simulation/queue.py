"""The queue of sync jobs on a virtual clock, with the life of a message as the Functions host's listener gives it one.

Source: QueueListener and QueueProcessor of Microsoft.Azure.WebJobs.Extensions.Storage.Queues 5, and host.json.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import Protocol

from shared.storage.queues import SyncJob, SyncJobQueue
from tests.simulation.scheduler import Scheduler

_MAX_DELIVERIES = 5
_RETRY_DELAY = 30.0
"""Seconds until a message whose function failed is visible again (`visibilityTimeout`)."""
_LEASE = 600.0
"""Seconds until a message whose host died is visible again."""
_MAX_POLL_INTERVAL = 2.0
"""Seconds (`maxPollingInterval`)."""
_MAX_PEEKED = 32


@dataclass(eq=False)
class Message:
    """One message."""

    text: str
    inserted_at: datetime
    deliveries: int = 0


class Consumer(Protocol):
    """Who takes messages."""

    def take(self, message: Message) -> bool:
        """Begin to work on a message, if there is a host with room; it is told how that ended by `ended`."""

    def give_up(self, message: Message, delivery: int = 1) -> None:
        """The message has moved to the poison queue."""


@dataclass
class SimulatedQueue:
    """First visible, first out."""

    scheduler: Scheduler
    random: Random
    lost: float = 0.0
    """Probability that a message is never delivered."""
    repeated: float = 0.0
    """Probability that it is delivered twice."""
    late: float = 0.0
    """Probability that it is visible up to ten minutes later than it should be."""
    is_down: bool = False
    sent: int = 0
    deliveries: int = 0
    waiting: int = 0
    """Messages that are in the queue, visible or not."""
    max_waiting: int = 0
    repeats: int = 0
    poisoned: int = 0
    consumer: Consumer = field(init=False)
    _visible: dict[int, Message] = field(default_factory=dict)
    _number: int = 0
    _is_pumping: bool = False

    def put(self, text: str, delay: float = 0.0) -> None:
        """A message is in the queue, as storage has it."""
        self.sent += 1
        if self.random.random() < self.lost:
            return
        self._hide(Message(text, self.scheduler.now), delay + self._lateness())
        if self.random.random() < self.repeated:
            self.repeats += 1
            self._hide(Message(text, self.scheduler.now), delay + self.random.uniform(0, 120))

    def oldest(self) -> datetime | None:
        """When the oldest of the first visible messages was inserted."""
        return min((each.inserted_at for each in islice(self._visible.values(), _MAX_PEEKED)), default=None)

    def ended(self, message: Message, failed: bool) -> None:
        """The function that worked on it is over."""
        self.waiting -= 1
        if not failed:
            self.pump()
            return
        if message.deliveries >= _MAX_DELIVERIES:
            self.poisoned += 1
            self.consumer.give_up(message)
            return
        self._hide(message, _RETRY_DELAY)

    def lost_its_host(self, message: Message) -> None:
        """The host that worked on it died: its lease runs out."""
        self.waiting -= 1
        if message.deliveries >= _MAX_DELIVERIES:
            self.poisoned += 1
            self.consumer.give_up(message)
        else:
            self._hide(message, self.random.uniform(_LEASE / 2, _LEASE))

    def pump(self) -> None:
        """Hand visible messages to hosts with room, within a poll interval."""
        if self._visible and not self._is_pumping:
            self._is_pumping = True
            self.scheduler.after(self.random.uniform(0.01, 0.1), self._deliver)

    def _lateness(self) -> float:
        return self.random.uniform(0, 600) if self.random.random() < self.late else 0.0

    def _hide(self, message: Message, seconds: float) -> None:
        self.waiting += 1
        self.max_waiting = max(self.max_waiting, self.waiting)
        self.scheduler.after(seconds, lambda: self._show(message))

    def _show(self, message: Message) -> None:
        self._number += 1
        self._visible[self._number] = message
        self.pump()

    def _deliver(self) -> None:
        self._is_pumping = False
        while self._visible and not self.is_down:
            number = next(iter(self._visible))
            message = self._visible[number]
            message.deliveries += 1
            if not self.consumer.take(message):
                message.deliveries -= 1
                break
            self.deliveries += 1
            del self._visible[number]
        if self._visible and self.is_down:
            self._is_pumping = True
            self.scheduler.after(_MAX_POLL_INTERVAL, self._deliver)


class HostQueue(SyncJobQueue):
    """The queue as one host reaches it."""

    def __init__(self, queue: SimulatedQueue, turn: Callable[[], None]) -> None:
        """`turn` is called before and after each request, where others may go on."""
        self._simulated = queue
        self._turn = turn

    def send(self, job: SyncJob, delay: timedelta = timedelta()) -> None:
        self._turn()
        self._simulated.put(job.to_message(), delay.total_seconds())
        self._turn()

    def oldest(self) -> datetime | None:
        self._turn()
        return self._simulated.oldest()

    def depth(self) -> int:
        return self._simulated.waiting
