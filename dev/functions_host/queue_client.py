"""Storage queues for the host: the official SDK, called from threads.

The SDK's own encoding policies are not used: they raise for a whole batch when one message is not base64.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.queue import LinearRetry, QueueClient
from requests import Session
from requests.adapters import HTTPAdapter

from dev.functions_host.settings import ConfigurationError

T = TypeVar("T")

_MAX_CONNECTIONS = 16
"""Requests to the queues at one time."""

# The SDK logs every request at INFO; the host polls for ever, and an app's log must stay readable.
_quiet = logging.getLogger("Host.Storage.requests")
_quiet.setLevel(logging.ERROR)


@dataclass
class Message:
    """A received message; `text` is as stored, `pop_receipt` changes with each change of its visibility."""

    id: str
    text: str
    dequeue_count: int
    pop_receipt: str


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
        with contextlib.suppress(ResourceExistsError):
            await self._call(self._client.create_queue)

    async def receive(self, count: int, lease: int) -> list[Message]:
        """Up to `count` visible messages, invisible to others for `lease` seconds from now."""

        def receive() -> list[Message]:
            pages = self._client.receive_messages(messages_per_page=count, max_messages=count, visibility_timeout=lease)
            return [
                Message(str(each.id), each.content, each.dequeue_count or 0, str(each.pop_receipt)) for each in pages
            ]

        return await self._call(receive)

    async def hide(self, message: Message, seconds: int) -> None:
        """Make the message visible again after so many seconds (0: now); renews its receipt."""

        def update() -> Any:
            return self._client.update_message(message.id, pop_receipt=message.pop_receipt, visibility_timeout=seconds)

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
    """Opens queues by the names of connection and queue, each once; they share a pool of threads for I/O."""

    def __init__(self) -> None:
        # Listeners and settlements only wait here; the functions have their own threads.
        self._pool = ThreadPoolExecutor(max_workers=_MAX_CONNECTIONS, thread_name_prefix="queue-io")
        self._session = Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_MAX_CONNECTIONS))
        # The emulator is on this machine; asking the environment for a proxy costs a fifth of each call.
        self._session.trust_env = False
        self._queues: dict[tuple[str, str], Queue] = {}

    def open(self, connection: str, name: str) -> Queue:
        """The queue, without asking the service for it.

        `connection` is the app setting that holds the connection string; identity-based connections
        (`NAME__queueServiceUri`) are Azure's: a local host has an emulator and its connection string.
        Raises ConfigurationError when it is not set.
        """
        if not os.environ.get(connection):
            raise ConfigurationError(f"storage account connection string '{connection}' does not exist")
        key = (connection, name)
        if key not in self._queues:
            client = QueueClient.from_connection_string(
                os.environ[connection],
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
