"""Queue triggers and queue outputs, with the life of a message as in Azure's queue listener.

A received message is leased for ten minutes and the lease renewed at half of that. It is deleted when its
function succeeds; when it fails it is visible again after `visibilityTimeout`, and at `maxDequeueCount` it
moves to `<queue>-poison`. A message that is not in the queue's encoding moves there at once, text untouched.
A poison queue has no poison queue of its own: what fails there stays leased until the lease runs out.
Source: QueueListener, QueueProcessor and QueueServiceClientProvider of
Microsoft.Azure.WebJobs.Extensions.Storage.Queues 5.

One thing is better than in Azure: the end of an invocation is written down however long storage is away, up
to the lease's end, so that a local restart of the emulator does not cost ten minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, TypeVar

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.functions.meta import Datum

from dev.functions_host.bindings import LocalFunction, Port
from dev.functions_host.invoker import Invoker
from dev.functions_host.queue_client import Message, Queue, Queues, UndecodableMessageError, decode_text, encode_text
from dev.functions_host.settings import QueueSettings, storage_connection

T = TypeVar("T")

_logger = logging.getLogger("Host.Queues")
LEASE = timedelta(minutes=10)
_SHORTEST_WAIT = 0.1  # seconds; the listener's minimum polling interval
_LONGEST_OUTAGE_WAIT = 5.0  # seconds between two tries while storage is away


class Backoff:
    """Seconds between polls of an empty queue: doubling from 0.1 s, ±20 % at random, up to `longest`."""

    def __init__(self, longest: float) -> None:
        self._longest = max(longest, _SHORTEST_WAIT)
        self._tries = 0

    def reset(self) -> None:
        """Start over: there was something to do."""
        self._tries = 0

    def next(self) -> float:
        """The next wait."""
        doubled: int = 2 ** min(self._tries, 20)
        self._tries += 1
        return min(_SHORTEST_WAIT * doubled * random.uniform(0.8, 1.2), self._longest)


class Nudges:
    """Wakes the pumps of a queue when this host has put a message into it (the listener's shared watcher)."""

    def __init__(self) -> None:
        self._events: dict[str, list[asyncio.Event]] = defaultdict(list)

    def subscribe(self, queue: str) -> asyncio.Event:
        """An event that is set at each message of this host to the queue."""
        event = asyncio.Event()
        self._events[queue].append(event)
        return event

    def nudge(self, queue: str) -> None:
        """Tell the queue's pumps to look now."""
        for event in self._events[queue]:
            event.set()


class QueueOutputs:
    """Sends the values of queue output bindings."""

    def __init__(self, queues: Queues, settings: QueueSettings, nudges: Nudges, environment: Mapping[str, str]) -> None:
        self._queues = queues
        self._settings = settings
        self._nudges = nudges
        self._environment = environment

    async def send(self, port: Port, datum: Datum) -> None:
        """Send one message per value; raises AzureError when storage does not take one."""
        connection = storage_connection(str(port.properties["connection"]), self._environment)
        queue = self._queues.open(connection, str(port.properties["queueName"]))
        for content in outgoing_messages(datum):
            await queue.send(encode_text(content, self._settings.message_encoding))
        self._nudges.nudge(queue.name)


def outgoing_messages(datum: Datum) -> list[str | bytes]:
    """The messages of one output value: a JSON array is one message per element (the host's own rule).

    Lists come from the library as JSON already; a text that happens to be a JSON array is split as well, as
    in FunctionBinding.ReadAsEnumerable of the real host. Objects keep the function's own formatting here.
    """
    if datum.type == "bytes":
        return [bytes(datum.value)]
    text = str(datum.value)
    if not text.strip().startswith("["):
        return [_message_text(json.loads(text)) if datum.type == "json" else text]
    try:
        return [_message_text(item) for item in json.loads(text)]
    except ValueError:
        return [text]


def _message_text(item: Any) -> str:
    if isinstance(item, dict) and set(item) == {"id", "body"}:  # the converter's form of a func.QueueMessage
        return str(item["body"])
    return item if isinstance(item, str) else json.dumps(item)


class QueuePump:
    """Moves messages from one queue into its function."""

    def __init__(
        self,
        function: LocalFunction,
        queue: Queue,
        poison: Queue | None,
        settings: QueueSettings,
        invoker: Invoker,
        nudges: Nudges,
        lease: timedelta = LEASE,
    ) -> None:
        self._function = function
        self._queue = queue
        self._poison = poison
        self._settings = settings
        self._invoker = invoker
        self._nudges = nudges
        self._nudged = nudges.subscribe(queue.name)
        self._lease = lease
        self._in_flight: dict[asyncio.Task[None], Message] = {}

    async def run(self) -> None:
        """Receive and process until cancelled; survives outages of the queue service."""
        idle = Backoff(self._settings.max_polling_interval.total_seconds())
        while True:
            self._nudged.clear()
            messages = await self._receive()
            for message in messages:
                task = asyncio.create_task(self._process(message), name=f"{self._queue.name}/{message.id}")
                self._in_flight[task] = message
                task.add_done_callback(self._in_flight.pop)
            if messages:
                idle.reset()
                await self._wait_for_room()
            else:
                await _happens_within(self._nudged, idle.next())

    async def _receive(self) -> list[Message]:
        async def receive() -> list[Message]:
            try:
                return await self._queue.receive(self._settings.batch_size, self._lease)
            except ResourceNotFoundError:
                await self._queue.create()
                return []

        return await _until_reachable(receive, self._queue.name) or []

    async def _wait_for_room(self) -> None:
        while len(self._in_flight) > self._settings.new_batch_threshold:
            await asyncio.wait(set(self._in_flight), return_when=asyncio.FIRST_COMPLETED)

    async def _process(self, message: Message) -> None:
        try:
            content = decode_text(message.text, self._settings.message_encoding)
        except UndecodableMessageError:
            _logger.warning("Message decoding has failed! Check messageEncoding. MessageId=%s", message.id)
            await self._settle(message, self._move_to_poison)
            return
        if message.dequeue_count > self._settings.max_dequeue_count and self._poison is not None:
            await self._settle(message, self._move_to_poison)
            return
        async with self._renewed(message):
            outcome = await self._invoker.invoke(
                self._function,
                Datum(content, "string" if isinstance(content, str) else "bytes"),
                reason=f"New queue message detected on '{self._queue.name}'.",
                metadata=trigger_metadata(message, content),
                details=f"MessageId: {message.id}, DequeueCount: {message.dequeue_count}, "
                f"InsertionTime: {_iso(message.inserted_on)}",
            )
        if outcome.succeeded:
            await self._settle(message, self._queue.delete)
        elif message.dequeue_count >= self._settings.max_dequeue_count:
            await self._settle(message, self._move_to_poison)
        elif self._poison is not None:
            await self._settle(message, self._release_after_failure)

    async def _release_after_failure(self, message: Message) -> None:
        await self._queue.hide(message, self._settings.visibility_timeout)

    async def _move_to_poison(self, message: Message) -> None:
        if self._poison is None:
            return
        _logger.warning(
            "Message has reached MaxDequeueCount of %d or cannot be read. Moving message to queue '%s'.",
            self._settings.max_dequeue_count,
            self._poison.name,
        )
        await self._poison.send(message.text)
        self._nudges.nudge(self._poison.name)
        await self._queue.delete(message)

    async def _settle(self, message: Message, settlement: Callable[[Message], Awaitable[None]]) -> None:
        """Write the end of an invocation down; a lost lease means that another reader has the message."""

        async def settle() -> None:
            try:
                await settlement(message)
            except HttpResponseError as error:
                if error.status_code is None or error.status_code >= 500:
                    raise
                _logger.warning("Message %s is no longer ours: %s", message.id, error.reason)

        await _until_reachable(settle, self._queue.name, give_up_after=self._lease.total_seconds())

    @contextlib.asynccontextmanager
    async def _renewed(self, message: Message) -> AsyncIterator[None]:
        """Keep the message leased while its function runs."""
        ended = asyncio.Event()

        async def renew() -> None:
            while not await _happens_within(ended, self._lease.total_seconds() / 2):
                try:
                    await self._queue.hide(message, self._lease)
                except AzureError as error:
                    _logger.warning("Lease of message %s not renewed: %s", message.id, type(error).__name__)

        renewal = asyncio.create_task(renew())
        try:
            yield
        finally:
            ended.set()
            # Not cancelled: a renewal cut off half-way would leave us with a receipt that is void.
            await renewal

    async def stop(self) -> None:
        """Give the messages of unfinished invocations back: the next host need not wait for their leases."""
        if self._in_flight:
            # An invocation that has just ended is still being written down.
            await asyncio.wait(set(self._in_flight), timeout=1)
        for task, message in list(self._in_flight.items()):
            task.cancel()
            with contextlib.suppress(AzureError):
                await self._queue.hide(message, timedelta(0))


async def _happens_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _until_reachable(
    call: Callable[[], Awaitable[T]], queue: str, give_up_after: float | None = None
) -> T | None:
    """Repeat the call with growing waits while the queue service is away; None when given up."""
    backoff, started, warned = Backoff(_LONGEST_OUTAGE_WAIT), monotonic(), False
    while True:
        try:
            result = await call()
        except AzureError as error:
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


def trigger_metadata(message: Message, content: str | bytes) -> dict[str, Datum]:
    """The fields that the library reads for a func.QueueMessage; all but texts travel as JSON."""
    fields = {
        "QueueTrigger": Datum(content, "string" if isinstance(content, str) else "bytes"),
        "Id": Datum(message.id, "string"),
        "PopReceipt": Datum(message.pop_receipt, "string"),
        "DequeueCount": Datum(json.dumps(message.dequeue_count), "json"),
    }
    times = {
        "InsertionTime": message.inserted_on,
        "ExpirationTime": message.expires_on,
        "NextVisibleTime": message.next_visible_on,
    }
    known = {name: _iso(time) for name, time in times.items() if time is not None}
    return fields | {name: Datum(json.dumps(time), "json") for name, time in known.items()}


def poison_queue_name(queue: str) -> str | None:
    """`<queue>-poison`, or None where the real host has none: for a poison queue, for a name over 63."""
    name = f"{queue}-poison"
    return None if queue.endswith("-poison") or len(name) > 63 else name


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
