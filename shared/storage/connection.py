"""Connections to the storage account, by the same `AzureWebJobsStorage` settings as the triggers'.

A connection string, or identity-based: `AzureWebJobsStorage__accountName` (or `__tableServiceUri` and
`__queueServiceUri`) with `__clientId` for a user-assigned identity (Azure Functions, "Identity-based connections").
"""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableClient, TableServiceClient
from azure.storage.queue import QueueClient, QueueServiceClient, TextBase64DecodePolicy, TextBase64EncodePolicy

from shared.clients.credential import managed_identity
from shared.clients.http_session import pooled_session
from shared.settings import STORAGE_CONNECTION, InvalidSettings
from shared.storage.storage_clock import STORAGE_CLOCK
from shared.storage.storage_transport import CheckedTransport, StorageTransport

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

_MAX_CONNECTIONS = 64
"""Kept open: as many as polls run at the same time, and the triggers beside them."""
_TABLE_OPTIONS: Mapping[str, Any] = {"retry_total": 2, "retry_read": 1, "retry_backoff_factor": 0.3}
_BLOB_OPTIONS: Mapping[str, Any] = {
    "retry_total": 2,
    "initial_backoff": 0.3,
    "increment_base": 1,
    "random_jitter_range": 0,
}
_QUEUE_OPTIONS: Mapping[str, Any] = {
    **_BLOB_OPTIONS,
    "message_encode_policy": TextBase64EncodePolicy(),
    "message_decode_policy": TextBase64DecodePolicy(),
}
"""Back-offs in seconds, in the words of each SDK; the queue's own default begins with 15. Messages are in base64, as
the Functions host expects them."""


def open_table(name: str, environment: Mapping[str, str] = os.environ) -> TableClient:
    """A table. Nothing is asked for yet; it is made at a first use that finds none.

    Raises:
        InvalidSettings: no storage account is named.
    """
    account = _Account("table", environment)

    def client(transport: RequestsTransport) -> TableClient:
        options: dict[str, Any] = {**_TABLE_OPTIONS, "transport": transport}
        if account.connection:
            return TableClient.from_connection_string(account.connection, name, **options)
        return TableClient(account.endpoint, name, credential=account.credential, **options)

    return client(account.transport(name, lambda transport: client(transport).create_table()))


def open_queue(name: str, environment: Mapping[str, str] = os.environ) -> QueueClient:
    """A queue. Nothing is asked for yet; it is made at a first use that finds none.

    Raises:
        InvalidSettings: no storage account is named.
    """
    account = _Account("queue", environment)

    def client(transport: RequestsTransport) -> QueueClient:
        options: dict[str, Any] = {**_QUEUE_OPTIONS, "transport": transport}
        if account.connection:
            return QueueClient.from_connection_string(account.connection, name, **options)
        return QueueClient(account.endpoint, name, credential=account.credential, **options)

    return client(account.transport(name, lambda transport: client(transport).create_queue()))


def open_container(name: str, environment: Mapping[str, str] = os.environ) -> "ContainerClient":
    """A container of blobs. Nothing is asked for yet; it is made at a first use that finds none.

    Raises:
        InvalidSettings: no storage account is named.
    """
    from azure.storage.blob import ContainerClient  # 70 ms, for the few runs that need it

    account = _Account("blob", environment)

    def client(transport: RequestsTransport) -> ContainerClient:
        options: dict[str, Any] = {**_BLOB_OPTIONS, "transport": transport}
        if account.connection:
            return ContainerClient.from_connection_string(account.connection, name, **options)
        return ContainerClient(account.endpoint, name, credential=account.credential, **options)

    return client(account.transport(name, lambda transport: client(transport).create_container()))


class _Account:
    """Where a service of the storage account is, and how the app gets in."""

    def __init__(self, service: str, environment: Mapping[str, str]) -> None:
        self.connection = environment.get(STORAGE_CONNECTION)
        self.endpoint = _service_url(service, self.connection) if self.connection else _endpoint(service, environment)
        self.credential = None if self.connection else _identity(environment)

    def transport(self, name: str, create: Callable[[RequestsTransport], object]) -> StorageTransport:
        """For a client of what has this name; `create` makes that, by a client with the transport that it gets."""
        session = pooled_session(self.endpoint, _MAX_CONNECTIONS)
        session.hooks["response"].append(STORAGE_CLOCK.on_response)
        return StorageTransport(session, name, lambda: create(CheckedTransport(session)))


def _service_url(service: str, connection: str) -> str:
    if service == "table":
        return str(TableServiceClient.from_connection_string(connection).url)
    if service == "queue":
        return str(QueueServiceClient.from_connection_string(connection).url)
    from azure.storage.blob import BlobServiceClient

    return str(BlobServiceClient.from_connection_string(connection).url)


def _endpoint(service: str, environment: Mapping[str, str]) -> str:
    uri = environment.get(f"{STORAGE_CONNECTION}__{service}ServiceUri")
    if uri:
        return uri
    account = environment.get(f"{STORAGE_CONNECTION}__accountName")
    if not account:
        raise InvalidSettings(
            f"no storage account: set {STORAGE_CONNECTION} to a connection string, or {STORAGE_CONNECTION}__accountName"
        )
    return f"https://{account}.{service}.core.windows.net"


def _identity(environment: Mapping[str, str]) -> Any:
    return managed_identity(environment.get(f"{STORAGE_CONNECTION}__clientId"))
