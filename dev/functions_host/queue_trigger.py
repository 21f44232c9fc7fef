"""Queue triggers and queue outputs, with the life of a message as in Azure's queue listener.

A received message is leased for ten minutes. It is deleted when its function succeeds; when it fails it is visible
again after `visibilityTimeout`, and at `maxDequeueCount` it moves to `<queue>-poison`. A message that is not base64
moves there at once, text untouched. A poison queue has no poison queue of its own: what fails there stays leased
until the lease runs out.
Source: QueueListener, QueueProcessor and SharedQueueWatcher of Microsoft.Azure.WebJobs.Extensions.Storage.Queues 5.

Two things are different from Azure. A lease is not renewed: it is as long as the app's functionTimeout. And the end
of an invocation is written down however long storage is away, up to the lease's end, so that a local restart of the
emulator does not cost ten minutes.
"""

import asyncio
import base64
import contextlib
import json
import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

from azure.functions.meta import Datum

from dev.functions_host.bindings import Binding, LocalFunction
from dev.functions_host.invoker import Invoker
from dev.functions_host.queue_client import Message, Queue, QueueError, Queues
from dev.functions_host.settings import QueueSettings, seconds

T = TypeVar("T")

_logger = logging.getLogger("Host.Queues")
LEASE = 600
"""Seconds."""
_MIN_POLL_INTERVAL = 0.1
"""Seconds; the listener's minimum polling interval."""
_MAX_OUTAGE_INTERVAL = 5.0
"""Seconds between two tries while storage is away."""


class Backoff:
    """Seconds between polls of an empty queue: doubling from 0.1 s, ±20 % at random, up to `longest`."""

    def __init__(self, longest: float) -> None:
        self._longest = max(longest, _MIN_POLL_INTERVAL)
        self._tries = 0

    def reset(self) -> None:
        """Start over: there was something to do."""
        self._tries = 0

    def next(self) -> float:
        """The next wait."""
        doubled: int = 2 ** min(self._tries, 20)
        self._tries += 1
        return min(_MIN_POLL_INTERVAL * doubled * random.uniform(0.8, 1.2), self._longest)


class SharedQueueWatcher:
    """Wakes the listeners of a queue when this host has put a message into it."""

    def __init__(self) -> None:
        self._events: dict[str, list[asyncio.Event]] = defaultdict(list)

    def subscribe(self, queue: str) -> asyncio.Event:
        """An event that is set at each message of this host to the queue."""
        event = asyncio.Event()
        self._events[queue].append(event)
        return event

    def notify(self, queue: str) -> None:
        """Have the queue's listeners poll now."""
        for event in self._events[queue]:
            event.set()


class QueueOutputs:
    """Sends the values of queue output bindings."""

    def __init__(self, queues: Queues, watcher: SharedQueueWatcher) -> None:
        self._queues = queues
        self._watcher = watcher

    async def send(self, binding: Binding, datum: Datum) -> None:
        """Send one message per value; raises QueueError when storage does not take one."""
        queue = self._queues.open(str(binding.properties["connection"]), str(binding.properties["queueName"]))
        for text in outgoing_messages(datum):
            await queue.send(encode(text))
        self._watcher.notify(queue.name)


def outgoing_messages(datum: Datum) -> list[str]:
    """The messages of one output value: a list of texts, which comes from the library as JSON, is one for each."""
    texts: list[str] = json.loads(datum.value) if datum.type == "json" else [datum.value]
    return texts


class QueueListener:
    """Moves messages from one queue into its function."""

    def __init__(
        self,
        function: LocalFunction,
        queue: Queue,
        poison: Queue | None,
        settings: QueueSettings,
        invoker: Invoker,
        watcher: SharedQueueWatcher,
    ) -> None:
        self._function = function
        self._queue = queue
        self._poison = poison
        self._settings = settings
        self._invoker = invoker
        self._watcher = watcher
        self._notified = watcher.subscribe(queue.name)
        self._in_flight: dict[asyncio.Task[None], Message] = {}

    async def run(self) -> None:
        """Receive and process until cancelled; survives outages of the queue service."""
        idle = Backoff(seconds(self._settings.max_polling_interval))
        while True:
            self._notified.clear()
            messages = await self._receive()
            for message in messages:
                task = asyncio.create_task(self._process(message), name=f"{self._queue.name}/{message.id}")
                self._in_flight[task] = message
                task.add_done_callback(self._in_flight.pop)
            if messages:
                idle.reset()
                await self._wait_for_room()
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._notified.wait(), idle.next())

    async def _receive(self) -> list[Message]:
        async def receive() -> list[Message]:
            try:
                return await self._queue.receive(self._settings.batch_size, LEASE)
            except QueueError as refusal:
                if refusal.status != 404:
                    raise
                await self._queue.create()
                return []

        return await _until_reachable(receive, self._queue.name) or []

    async def _wait_for_room(self) -> None:
        while len(self._in_flight) > self._settings.new_batch_threshold:
            await asyncio.wait(set(self._in_flight), return_when=asyncio.FIRST_COMPLETED)

    async def _process(self, message: Message) -> None:
        content = _decode(message)
        # A function that ended its host each time never failed: the count alone tells.
        exhausted = self._poison is not None and message.dequeue_count > self._settings.max_dequeue_count
        if content is None or exhausted:
            await self._settle(message, self._move_to_poison)
            return
        reason = f"New queue message detected on '{self._queue.name}'."
        outcome = await self._invoker.invoke(self._function, Datum(content, "bytes"), reason=reason)
        if outcome.succeeded:
            await self._settle(message, self._queue.delete)
        elif self._poison is not None and message.dequeue_count >= self._settings.max_dequeue_count:
            await self._settle(message, self._move_to_poison)
        elif self._poison is not None:
            await self._settle(message, self._release_after_failure)

    async def _release_after_failure(self, message: Message) -> None:
        await self._queue.hide(message, round(seconds(self._settings.visibility_timeout)))

    async def _move_to_poison(self, message: Message) -> None:
        if self._poison is None:
            return
        _logger.warning(
            "Message has reached MaxDequeueCount of %d or cannot be read. Moving message to queue '%s'.",
            self._settings.max_dequeue_count,
            self._poison.name,
        )
        await self._poison.send(message.text)
        self._watcher.notify(self._poison.name)
        await self._queue.delete(message)

    async def _settle(self, message: Message, settlement: Callable[[Message], Awaitable[None]]) -> None:
        """Write the end of an invocation down; a lost lease means that another reader has the message."""

        async def settle() -> None:
            try:
                await settlement(message)
            except QueueError as error:
                if error.status is None or error.status >= 500:
                    raise
                _logger.warning("Message %s is no longer ours: %s", message.id, error)

        await _until_reachable(settle, self._queue.name, give_up_after=LEASE)

    async def stop(self) -> None:
        """Give the messages of unfinished invocations back: the next host need not wait for their leases."""
        if self._in_flight:
            # An invocation that has just ended is still being written down.
            await asyncio.wait(set(self._in_flight), timeout=1)
        for task, message in list(self._in_flight.items()):
            task.cancel()
            with contextlib.suppress(QueueError):
                await self._queue.hide(message, 0)


async def _until_reachable(
    call: Callable[[], Awaitable[T]], queue: str, give_up_after: float | None = None
) -> T | None:
    """Repeat the call with growing waits while the queue service is away; None when given up."""
    backoff, started, warned = Backoff(_MAX_OUTAGE_INTERVAL), monotonic(), False
    while True:
        try:
            result = await call()
        except QueueError as error:
            if not warned:
                _logger.warning("Queue '%s' cannot be reached, will try again: %s", queue, _first_line(error))
                warned = True
            if give_up_after is not None and monotonic() - started > give_up_after:
                return None
            await asyncio.sleep(backoff.next())
            continue
        if warned:
            _logger.warning("Queue '%s' is reachable again.", queue)
        return result


def encode(text: str) -> str:
    """The text as it is stored."""
    return base64.b64encode(text.encode()).decode("ascii")


def _decode(message: Message) -> bytes | None:
    try:
        return base64.b64decode(message.text, validate=True)
    except ValueError:
        _logger.warning("Message decoding has failed! Check messageEncoding. MessageId=%s", message.id)
        return None


def poison_queue_name(queue: str) -> str | None:
    """`<queue>-poison`, or None for a poison queue, which has none in the real host either."""
    return None if queue.endswith("-poison") else f"{queue}-poison"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
