"""Storage queues for the host: the REST API of Queue Storage, by urllib3, called from threads.

In Azure these calls are the .NET host's, and cost the Python process nothing. Here they are made in the process whose
processor time is measured, and the official SDK took 3.5 ms of it to send, receive and delete a message. What is
signed is signed once, by the SDK ("account SAS").
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from azure.storage.queue import AccountSasPermissions, QueueServiceClient, ResourceTypes, generate_account_sas
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Retry, Timeout, connection_from_url
from urllib3.exceptions import HTTPError, MaxRetryError

from dev.functions_host.settings import ConfigurationError

T = TypeVar("T")

_MAX_CONNECTIONS = 16
"""Requests to the queues at one time."""
_TIMEOUT = Timeout(connect=5, read=30)
_RETRY = Retry(total=1, allowed_methods=None, status_forcelist=(500, 502, 503, 504), raise_on_status=False)
"""Bridges a dropped connection; longer outages are the callers' to bridge."""
_SIGNED_FOR = timedelta(days=365)


class QueueError(Exception):
    """The service did not do it: a refusal with its status, or no answer, and None."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Message:
    """A received message; `text` is as stored, `pop_receipt` changes with each change of its visibility."""

    id: str
    text: str
    dequeue_count: int
    pop_receipt: str


class Account:
    """The queue service of a storage account."""

    def __init__(self, connection_string: str) -> None:
        """Raises ValueError for a string that is none, or has no key."""
        sdk = QueueServiceClient.from_connection_string(connection_string)
        self._signature = generate_account_sas(
            str(sdk.account_name),
            sdk.credential.account_key,
            ResourceTypes(service=True, container=True, object=True),
            AccountSasPermissions(read=True, write=True, delete=True, add=True, update=True, process=True, create=True),
            datetime.now(UTC) + _SIGNED_FOR,
        )
        # The emulator is on this machine: no proxy is asked for.
        self._http: HTTPConnectionPool = connection_from_url(
            sdk.url, maxsize=_MAX_CONNECTIONS, timeout=_TIMEOUT, retries=_RETRY
        )
        self._path = urlsplit(sdk.url).path.rstrip("/")

    def send(self, method: str, path: str, body: str | None = None, **query: object) -> BaseHTTPResponse:
        """The answer to a request about `path`; raises QueueError unless it was carried out."""
        url = f"{self._path}/{path}?{urlencode(query)}&{self._signature}"
        try:
            answer = self._http.urlopen(method, url, body, redirect=False)
        except HTTPError as error:
            # The text of the error has the URL, with its signature; its reason has not.
            cause = error.reason if isinstance(error, MaxRetryError) else error
            raise QueueError(f"{method} {path}: {type(cause).__name__}") from None
        if answer.status >= 300:
            code = answer.headers.get("x-ms-error-code", answer.reason)
            raise QueueError(f"{method} {path}: {answer.status} {code}", answer.status)
        return answer

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        self._http.close()


class Queue:
    """One queue. Every method raises QueueError when the service does not do it."""

    def __init__(self, name: str, account: Account, pool: ThreadPoolExecutor) -> None:
        self.name = name
        self._account = account
        self._pool = pool

    async def _call(self, method: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, method)

    async def create(self) -> None:
        """Create the queue unless it exists."""
        try:
            await self._call(lambda: self._account.send("PUT", self.name))
        except QueueError as refusal:
            if refusal.status != 409:
                raise

    async def receive(self, count: int, lease: int) -> list[Message]:
        """Up to `count` visible messages, invisible to others for `lease` seconds from now."""

        def receive() -> list[Message]:
            path = f"{self.name}/messages"
            return _messages(self._account.send("GET", path, numofmessages=count, visibilitytimeout=lease).data)

        return await self._call(receive)

    async def hide(self, message: Message, seconds: int) -> None:
        """Make the message visible again after so many seconds (0: now); renews its receipt."""

        def update() -> str:
            answer = self._account.send(
                "PUT", self._path(message), popreceipt=message.pop_receipt, visibilitytimeout=seconds
            )
            return answer.headers["x-ms-popreceipt"]

        message.pop_receipt = await self._call(update)

    async def delete(self, message: Message) -> None:
        """Delete the message."""
        await self._call(lambda: self._account.send("DELETE", self._path(message), popreceipt=message.pop_receipt))

    async def send(self, text: str) -> None:
        """Append a message, text as stored; creates the queue when it is missing."""
        body = f"<QueueMessage><MessageText>{escape(text)}</MessageText></QueueMessage>"

        def send() -> None:
            self._account.send("POST", f"{self.name}/messages", body)

        try:
            await self._call(send)
        except QueueError as refusal:
            if refusal.status != 404:
                raise
            await self.create()
            await self._call(send)

    def _path(self, message: Message) -> str:
        return f"{self.name}/messages/{message.id}"


def _messages(body: bytes) -> list[Message]:
    """The messages in an answer (REST reference, "Get Messages"); raises QueueError for one that is something else."""
    try:
        return [
            Message(
                each.findtext("MessageId", ""),
                each.findtext("MessageText", ""),
                int(each.findtext("DequeueCount", "")),
                each.findtext("PopReceipt", ""),
            )
            for each in ElementTree.fromstring(body)
        ]
    except (ElementTree.ParseError, ValueError) as error:
        raise QueueError(f"not an answer of Queue Storage: {error}") from error


class Queues:
    """Opens queues by the names of connection and queue; they share a pool of threads for I/O."""

    def __init__(self) -> None:
        # Listeners and settlements only wait here; the functions have their own threads.
        self._pool = ThreadPoolExecutor(max_workers=_MAX_CONNECTIONS, thread_name_prefix="queue-io")
        self._accounts: dict[str, Account] = {}

    def open(self, connection: str, name: str) -> Queue:
        """The queue, without asking the service for it.

        `connection` is the app setting that holds the connection string; identity-based connections
        (`NAME__queueServiceUri`) are Azure's: a local host has an emulator and its connection string.
        Raises ConfigurationError when it is not set.
        """
        if not os.environ.get(connection):
            raise ConfigurationError(f"storage account connection string '{connection}' does not exist")
        if connection not in self._accounts:
            self._accounts[connection] = Account(os.environ[connection])
        return Queue(name, self._accounts[connection], self._pool)

    def close(self) -> None:
        """Close all; calls under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for account in self._accounts.values():
            account.close()
