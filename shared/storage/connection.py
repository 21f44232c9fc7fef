"""Connections to the storage account, by the same `AzureWebJobsStorage` settings as the triggers'.

A connection string, or identity-based: `AzureWebJobsStorage__accountName` (or `__tableServiceUri` and
`__queueServiceUri`) with `__clientId` for a user-assigned identity (Azure Functions, "Identity-based connections").
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from azure.data.tables import TableClient
from azure.storage.queue import QueueClient, TextBase64DecodePolicy, TextBase64EncodePolicy

from shared.clients.credential import managed_identity
from shared.clients.http_session import pooled_session
from shared.settings import STORAGE_CONNECTION, InvalidSettings
from shared.storage.storage_clock import STORAGE_CLOCK
from shared.storage.storage_transport import CheckedTransport, StorageTransport
from shared.storage.transaction_client import TransactionClient

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

_Client = TypeVar("_Client")

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
    return _open("table", TransactionClient, TableClient.create_table, name, _TABLE_OPTIONS, environment)


def open_queue(name: str, environment: Mapping[str, str] = os.environ) -> QueueClient:
    """A queue. Nothing is asked for yet; it is made at a first use that finds none.

    Raises:
        InvalidSettings: no storage account is named.
    """
    return _open("queue", QueueClient, QueueClient.create_queue, name, _QUEUE_OPTIONS, environment)


def open_container(name: str, environment: Mapping[str, str] = os.environ) -> "ContainerClient":
    """A container of blobs. Nothing is asked for yet; it is made at a first use that finds none.

    Raises:
        InvalidSettings: no storage account is named.
    """
    from azure.storage.blob import ContainerClient  # 70 ms, for the few runs that need it

    return _open("blob", ContainerClient, ContainerClient.create_container, name, _BLOB_OPTIONS, environment)


def _open(
    service: str,
    sdk: type[_Client],
    create: Callable[[_Client], object],
    name: str,
    options: Mapping[str, Any],
    environment: Mapping[str, str],
) -> _Client:
    """A client of this class of the SDK, with pooled connections; `create` makes what it is a client of."""
    constructor: Any = sdk  # the three have these arguments in common, and no base class that says so
    connection = environment.get(STORAGE_CONNECTION)
    client: Callable[..., Any]
    if connection:
        client = partial(constructor.from_connection_string, connection, name, **options)
    else:
        endpoint = _endpoint(service, environment)
        client = partial(constructor, endpoint, name, credential=_identity(environment), **options)
    session = pooled_session(client().url, _MAX_CONNECTIONS)
    session.hooks["response"].append(STORAGE_CLOCK.on_response)
    transport = StorageTransport(session, name, lambda: create(client(transport=CheckedTransport(session))))
    opened: _Client = client(transport=transport)
    return opened


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
