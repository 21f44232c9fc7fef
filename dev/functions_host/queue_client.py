"""Storage queues for the host: the official SDK, called from threads, in the host's message encoding.

The SDK's own encoding policies are not used: they raise for a whole batch when one message is not base64.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.queue import LinearRetry, QueueClient
from requests import Session
from requests.adapters import HTTPAdapter

T = TypeVar("T")

_AT_ONCE = 16
"""Requests to the queues."""

# The SDK logs every request at INFO; the host polls for ever, and an app's log must stay readable.
_quiet = logging.getLogger("Host.Storage.requests")
_quiet.setLevel(logging.ERROR)


class UndecodableMessageError(Exception):
    """A message whose text is not in the encoding of host.json."""


@dataclass
class Message:
    """A received message; `text` is as stored, `pop_receipt` changes with each lease renewal."""

    id: str
    text: str
    dequeue_count: int
    pop_receipt: str
    inserted_on: datetime | None
    expires_on: datetime | None
    next_visible_on: datetime | None


class Queue:
    """One queue. Every method raises azure.core.exceptions.AzureError when the service does not do it."""

    def __init__(self, client: QueueClient, pool: ThreadPoolExecutor) -> None:
        self.name = str(client.queue_name)
        self._client = client
        self._pool = pool

    async def _call(self, method: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, method)

    async def create(self) -> None:
        """Create the queue unless it exists."""

        def create() -> None:
            with contextlib.suppress(ResourceExistsError):
                self._client.create_queue()

        await self._call(create)

    async def receive(self, count: int, lease: timedelta) -> list[Message]:
        """Up to `count` visible messages, invisible to others for `lease` from now."""

        def receive() -> list[Message]:
            pages = self._client.receive_messages(
                messages_per_page=count, max_messages=count, visibility_timeout=round(lease.total_seconds())
            )
            return [_message(received) for received in pages]

        return await self._call(receive)

    async def hide(self, message: Message, duration: timedelta) -> None:
        """Make the message visible again after `duration` (0: now); renews its receipt."""

        def update() -> Any:
            return self._client.update_message(
                message.id,
                pop_receipt=message.pop_receipt,
                visibility_timeout=round(duration.total_seconds()),
            )

        message.pop_receipt = str((await self._call(update)).pop_receipt)

    async def delete(self, message: Message) -> None:
        """Delete the message."""
        await self._call(lambda: self._client.delete_message(message.id, pop_receipt=message.pop_receipt))

    async def send(self, text: str) -> None:
        """Append a message, text as stored; creates the queue when it is missing."""
        try:
            await self._call(lambda: self._client.send_message(text))
        except ResourceNotFoundError:
            await self.create()
            await self._call(lambda: self._client.send_message(text))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class Queues:
    """Opens queues by connection string and name, each once; they share a pool of threads for I/O."""

    def __init__(self) -> None:
        # Pumps and settlements only wait here; the functions have their own threads.
        self._pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="queue-io")
        self._session = Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_AT_ONCE))
        # The emulator is on this machine; asking the environment for a proxy costs a fifth of each call.
        self._session.trust_env = False
        self._queues: dict[tuple[str, str], Queue] = {}

    def open(self, connection: str, name: str) -> Queue:
        """The queue, without asking the service for it."""
        key = (connection, name)
        if key not in self._queues:
            client = QueueClient.from_connection_string(
                connection,
                name,
                # One retry bridges a dropped connection; longer outages are the callers' to bridge.
                retry_policy=LinearRetry(backoff=1, retry_total=1, random_jitter_range=0),
                connection_timeout=5,
                read_timeout=30,
                transport=RequestsTransport(session=self._session, session_owner=False),
                logger=_quiet,
            )
            self._queues[key] = Queue(client, self._pool)
        return self._queues[key]

    def close(self) -> None:
        """Close all; calls under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for queue in self._queues.values():
            queue.close()
        self._session.close()


def _message(received: Any) -> Message:
    return Message(
        id=received.id,
        text=received.content,
        dequeue_count=int(received.dequeue_count),
        pop_receipt=received.pop_receipt,
        inserted_on=received.inserted_on,
        expires_on=received.expires_on,
        next_visible_on=received.next_visible_on,
    )


def decode_text(text: str, encoding: Literal["base64", "none"]) -> str | bytes:
    """A message's content: text where it is UTF-8, else bytes; raises UndecodableMessageError."""
    if encoding == "none":
        return text
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UndecodableMessageError(str(error)) from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content


def encode_text(content: str | bytes, encoding: Literal["base64", "none"]) -> str:
    """The text to store for a message's content; bytes that are no UTF-8 need base64 (UnicodeDecodeError)."""
    if encoding == "base64":
        return base64.b64encode(content.encode() if isinstance(content, str) else content).decode("ascii")
    return content if isinstance(content, str) else content.decode("utf-8")
