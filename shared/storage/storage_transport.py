"""HTTP of the storage SDKs: bounded time-outs, storage's own answers only, and what was deleted is created again.

A transport that is passed to an SDK's client has time-outs of its own, 300 s (azure-core, `ConnectionConfiguration`):
those that the client is given go to the transport that it would have made itself.
"""

import re
from collections.abc import Callable
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ServiceResponseError
from azure.core.pipeline.transport import RequestsTransport
from requests import RequestException, Session

from shared import logs

CONNECTION_TIMEOUT = 5
READ_TIMEOUT = 20
"""Seconds. A trigger that fails is run again by the host, so a call gives up in seconds rather than minutes."""
_REQUEST_ID = "x-ms-request-id"
"""On every answer of Azure Storage ("Common REST API response headers", table and queue services)."""
_WAITS = ("Retry-After", "retry-after-ms", "x-ms-retry-after-ms")
"""The SDK's retries would sleep as long as they say, and the whole trigger with them."""
_TYPES = ("application/", "multipart/")
"""Begins of the content types that storage's answers have: JSON, XML, and the parts of a transaction."""
_BOUNDARY = b"--"
_MAX_QUOTED_CHARS = 100
_MISSING = ("TableNotFound", "QueueNotFound", "ContainerNotFound")
_PART_STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)
"""Of the answer to an operation of a transaction. A row that comes back is JSON, in which no line begins like this."""
_ERROR_CODE = re.compile(rb'"code"\s*:\s*"(\w+)"|<Code>(\w+)</Code>')
"""As tables, and as queues and blobs write it ("Status and error codes"); the first one is the error's own."""


class CheckedTransport(RequestsTransport):  # type: ignore[misc] # azure-core exports it lazily: Any to mypy
    """Lets storage's own answers pass, and no others."""

    def __init__(self, session: Session) -> None:
        """The session is not closed with a client."""
        super().__init__(
            session=session, session_owner=False, connection_timeout=CONNECTION_TIMEOUT, read_timeout=READ_TIMEOUT
        )

    def send(self, request: Any, **options: Any) -> Any:
        """The answer.

        Raises:
            azure.core.exceptions.AzureError: none, or one that is not storage's.
        """
        try:
            answer = super().send(request, **options)
            answer.body()
        except (HttpResponseError, RequestException) as broken:
            # In the middle of its body. The SDK of tables would look for an answer in this error, and there is none.
            raise ServiceResponseError(str(broken), error=broken) from broken
        for name in _WAITS:
            answer.headers.pop(name, None)
        if answer.status_code < 500 and _REQUEST_ID not in answer.headers:
            # A 404 of a gateway would mean that a row is not there, its 409 that another writer was faster.
            raise ServiceResponseError(f"{answer.status_code} without {_REQUEST_ID}: not an answer of Azure Storage")
        if answer.status_code < 300 and not _is_readable(answer):
            # The SDKs fail in reading it, by exceptions that are no `AzureError`.
            kind = ascii(answer.headers.get("Content-Type"))[:_MAX_QUOTED_CHARS]
            raise ServiceResponseError(f"{answer.status_code} of the type {kind}: not an answer of Azure Storage")
        return answer


class StorageTransport(CheckedTransport):
    """Sends the requests of the client of one table, queue or container."""

    def __init__(self, session: Session, name: str, create: Callable[[], object]) -> None:
        """`create` makes what has this name, by a client with another transport."""
        super().__init__(session)
        self._name = name
        self._create = create

    def send(self, request: Any, **options: Any) -> Any:
        """The answer. Where it is that the table, queue or container is missing, that is made, and asked once more.

        Raises:
            azure.core.exceptions.AzureError: no answer, or one that is not storage's.
        """
        answer = super().send(request, **options)
        if not _is_missing(answer):
            return answer
        self._create_again()
        answer = super().send(request, **options)
        if _is_missing(answer):
            raise self._not_made()
        return answer

    def _create_again(self) -> None:
        try:
            self._create()
        except ResourceExistsError:
            return  # another thread or host was faster
        except HttpResponseError as refusal:
            raise self._not_made() from refusal
        logs.warning("storage.created", name=self._name)

    def _not_made(self) -> ServiceResponseError:
        """For a while after it was deleted its name cannot be had; that says nothing of the row that was asked for."""
        return ServiceResponseError(f"{self._name} does not exist, and cannot be made now")


def _is_readable(answer: Any) -> bool:
    """Whether a success has a body as storage writes it, or none."""
    body: bytes = answer.body()
    kind: str = answer.headers.get("Content-Type", "").strip().lower()
    is_begun = not kind.startswith("multipart/") or body.lstrip().startswith(_BOUNDARY)
    return not body or (kind.startswith(_TYPES) and is_begun)


def _is_missing(answer: Any) -> bool:
    """Whether the table, queue or container does not exist; in a transaction an answer of its own says so."""
    body: bytes = answer.body()
    if answer.status_code == 202:
        return set(_PART_STATUS.findall(body)) == {b"404"} and _error_code(body) in _MISSING
    return answer.status_code == 404 and (answer.headers.get("x-ms-error-code") or _error_code(body)) in _MISSING


def _error_code(body: bytes) -> str | None:
    found = _ERROR_CODE.search(body)
    return (found[1] or found[2]).decode() if found else None
