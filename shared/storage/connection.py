"""Connections to the storage account, by the same `AzureWebJobsStorage` settings as the triggers'.

A connection string, or identity-based: `AzureWebJobsStorage__accountName` (or `__tableServiceUri` and
`__queueServiceUri`) with `__clientId` for a user-assigned identity (Azure Functions, "Identity-based connections").
"""

import os
from collections.abc import Mapping
from typing import Any

from azure.core.exceptions import ResourceExistsError
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableClient, TableServiceClient
from azure.storage.queue import QueueClient, TextBase64DecodePolicy, TextBase64EncodePolicy

from shared.clients.credential import managed_identity
from shared.clients.http_session import pooled_session
from shared.settings import STORAGE_CONNECTION, InvalidSettings

_TIMEOUTS: Mapping[str, Any] = {"retry_total": 2, "connection_timeout": 5, "read_timeout": 20}
"""Seconds. A trigger that fails is run again by the host, so a call gives up in seconds rather than minutes."""
_MAX_CONNECTIONS = 64
"""Kept open: as many as polls run at the same time, and the triggers beside them."""
_TABLE_BACK_OFF: Mapping[str, Any] = {"retry_backoff_factor": 0.3}
_QUEUE_BACK_OFF: Mapping[str, Any] = {"initial_backoff": 0.3, "increment_base": 1, "random_jitter_range": 0}
"""Seconds, in the words of each SDK; the queue's own default begins with 15."""


def open_table(name: str, environment: Mapping[str, str] = os.environ) -> TableClient:
    """A table, made if it is missing.

    Raises:
        InvalidSettings: no storage account is named.
        azure.core.exceptions.AzureError: it cannot be reached.
    """
    options = {**_TIMEOUTS, **_TABLE_BACK_OFF}
    connection = environment.get(STORAGE_CONNECTION)
    if connection:
        transport = _transport(TableServiceClient.from_connection_string(connection).url)
        service = TableServiceClient.from_connection_string(connection, **options, **transport)
    else:
        endpoint = _endpoint("table", environment)
        service = TableServiceClient(endpoint, credential=_identity(environment), **options, **_transport(endpoint))
    return service.create_table_if_not_exists(name)


def open_queue(name: str, environment: Mapping[str, str] = os.environ) -> QueueClient:
    """A queue, made if it is missing, with messages in base64 as the Functions host expects them.

    Raises:
        InvalidSettings: no storage account is named.
        azure.core.exceptions.AzureError: it cannot be reached.
    """
    options = {
        **_TIMEOUTS,
        **_QUEUE_BACK_OFF,
        "message_encode_policy": TextBase64EncodePolicy(),
        "message_decode_policy": TextBase64DecodePolicy(),
    }
    connection = environment.get(STORAGE_CONNECTION)
    if connection:
        transport = _transport(QueueClient.from_connection_string(connection, name).url)
        client = QueueClient.from_connection_string(connection, name, **options, **transport)
    else:
        endpoint = _endpoint("queue", environment)
        client = QueueClient(endpoint, name, credential=_identity(environment), **options, **_transport(endpoint))
    try:
        client.create_queue()
    except ResourceExistsError:
        return client
    return client


def _transport(url: str) -> dict[str, Any]:
    return {"transport": RequestsTransport(session=pooled_session(url, _MAX_CONNECTIONS))}


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
