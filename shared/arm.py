"""Azure Resource Manager, as far as healing needs it: sync, the operation behind it, the instance, its vault.

Every method answers with a fact from `answers`; what cannot be known now is `NotAnswered`, never an exception.
Redirects are off and URLs that ARM names are checked, because each request carries the token.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

import requests
from azure.core.exceptions import AzureError

from shared import answers
from shared.answers import ErrorDetail, ListedInstance, NotAnswered, Operation, error_detail
from shared.identity import Tokens
from shared.operation_url import UnsafeOperationUrl, check_next_link, check_operation_url
from shared.pacing import Pacer
from shared.resource_id import BackupInstanceId, BackupVaultId, InvalidResourceId
from shared.signals import SyncType

API_VERSION = "2024-04-01"
_SUBSCRIPTIONS_VERSION = "2022-12-01"
_TIMEOUTS = (5, 30)
"""Seconds to connect and between two bytes."""
_LONGEST_RETRY_AFTER = 3600.0
_LARGEST_ERROR = 30_000
_MOST_PAGES = 100
"""Of a vault's list of instances: many times what a vault may hold (5,000), and an end to links in a circle."""
_RETRY_LATER = frozenset({408, 429})
_UNCLEAR_READS = frozenset({401, 403, 409})
"""A new role assignment that does not act yet, and an instance in the middle of a change."""


class ArmClient:
    """The calls that a heal makes, on one pooled session."""

    def __init__(
        self,
        endpoint: str,
        allowed_hosts: Sequence[str],
        tokens: Tokens,
        session: requests.Session,
        writes: Pacer,
        now: Callable[[], datetime],
    ) -> None:
        """Call the endpoint with the token; poll there, on its subdomains and on the allowed hosts.

        What the answers to writes say of the subscription's budget goes to `writes`.
        """
        host = urlsplit(endpoint).netloc.lower()
        self._endpoint = endpoint
        self._hosts = (host, f"*.{host}", *allowed_hosts)
        self._tokens = tokens
        self._session = session
        self._writes = writes
        self._now = now

    def sync(self, instance: BackupInstanceId, sync_type: SyncType, request_id: str) -> answers.SyncAnswer:
        """`POST .../sync` (REST reference, "Backup Instances - Sync Backup Instance").

        Args:
            request_id: goes along as `x-ms-client-request-id`, for Azure's own logs.
        """
        url = f"{self._endpoint}{instance.url_path}/sync?api-version={API_VERSION}"
        response = self._call("POST", url, request_id, {"syncType": sync_type.value})
        if isinstance(response, NotAnswered):
            return response
        self._learn(instance, response)
        if response.status_code == 200:
            return answers.SyncDone()
        if response.status_code == 202:
            headers = response.headers
            operation = Operation(headers.get("Azure-AsyncOperation"), headers.get("Location"))
            return answers.SyncAccepted(operation, self._retry_after(response))
        if response.status_code == 409:
            return answers.SyncConflict(_cloud_error(response), self._retry_after(response))
        if _is_passing(response.status_code):
            return self._not_answered(response)
        return answers.SyncRefused(response.status_code, _cloud_error(response))

    def operation(self, instance: BackupInstanceId, operation: Operation) -> answers.OperationAnswer:
        """Look at an operation by the URL that ARM gave, once the guard has let it pass."""
        url = operation.status_url or operation.result_url
        if url is None:
            return answers.OperationUnknown()
        try:
            check_operation_url(url, instance, self._hosts)
        except UnsafeOperationUrl as unsafe:
            return answers.OperationFailed("Unknown", error_detail("UnsafeOperationUrl", str(unsafe)))
        response = self._call("GET", url)
        if isinstance(response, NotAnswered):
            return response
        if response.status_code == 404:
            return answers.OperationUnknown()
        if response.status_code not in (200, 202, 204):
            return self._not_answered(response)
        return self._status(response) if operation.status_url else self._result(response)

    def read(self, instance: BackupInstanceId) -> answers.InstanceAnswer:
        """`GET` the backup instance and its protection state."""
        response = self._call("GET", f"{self._endpoint}{instance.url_path}?api-version={API_VERSION}")
        if isinstance(response, NotAnswered):
            return response
        if response.status_code == 200:
            return _instance(response)
        if _is_passing(response.status_code) or response.status_code in _UNCLEAR_READS:
            return self._not_answered(response)
        return answers.InstanceRefused(response.status_code, _cloud_error(response))

    def instances(self, vault: BackupVaultId) -> answers.VaultAnswer:
        """`GET .../backupInstances`: all instances of a vault, page by page along `nextLink`, each once checked."""
        listed: list[ListedInstance] = []
        url: object = f"{self._endpoint}{vault.url_path}/backupInstances?api-version={API_VERSION}"
        for page in range(_MOST_PAGES):
            if not isinstance(url, str):
                return answers.VaultListed(tuple(listed))
            try:
                if page:
                    check_next_link(url, vault, self._hosts)
            except UnsafeOperationUrl as unsafe:
                return answers.VaultRefused(200, error_detail("UnsafeNextLink", str(unsafe)))
            response = self._call("GET", url)
            if isinstance(response, NotAnswered):
                return response
            if _is_passing(response.status_code) or response.status_code == 401:
                return self._not_answered(response)
            body = _json_object(response)
            if response.status_code != 200 or not isinstance(body.get("value"), list):
                return answers.VaultRefused(response.status_code, _cloud_error(response))
            listed += _listed(body["value"], vault)
            url = body.get("nextLink") or None
        return answers.VaultRefused(200, error_detail("TooManyPages", f"more than {_MOST_PAGES} pages of instances"))

    def reach(self) -> answers.Reached | NotAnswered:
        """`GET /subscriptions`, which any identity may ask (REST reference, "Subscriptions - List")."""
        response = self._call("GET", f"{self._endpoint}/subscriptions?api-version={_SUBSCRIPTIONS_VERSION}")
        if isinstance(response, NotAnswered):
            return response
        if response.status_code in (403, 429):
            # Not its word that counts here, but that it was said to our token.
            return answers.Reached(None)
        if response.status_code != 200:
            return self._not_answered(response)
        listed = _json_object(response).get("value")
        return answers.Reached(len(listed) if isinstance(listed, list) else None)

    def _learn(self, instance: BackupInstanceId, response: requests.Response) -> None:
        remaining = response.headers.get("x-ms-ratelimit-remaining-subscription-writes", "")
        self._writes.learn(
            instance.subscription_id,
            int(remaining) if remaining.isascii() and remaining.isdigit() else None,
            self._retry_after(response) if response.status_code == 429 else None,
        )

    def _call(
        self, method: str, url: str, request_id: str | None = None, body: Mapping[str, Any] | None = None
    ) -> requests.Response | NotAnswered:
        headers = {"x-ms-client-request-id": request_id} if request_id else None

        def send(token: str) -> requests.Response:
            return self._session.request(
                method, url, json=body, headers=headers, auth=_Bearer(token), timeout=_TIMEOUTS, allow_redirects=False
            )

        try:
            token = self._tokens.current()
            response = send(token)
            # A token may be refused before its time (a revoked session): one more, and only one.
            return send(self._tokens.instead_of(token)) if response.status_code == 401 else response
        except AzureError as cause:
            return NotAnswered(error_detail("TokenUnavailable", f"no token: {cause}"))
        except requests.RequestException as cause:
            return NotAnswered(error_detail("NoResponse", f"{method} {url}: {type(cause).__name__}: {cause}"))

    def _status(self, response: requests.Response) -> answers.OperationAnswer:
        body = _json_object(response)
        status = body.get("status")
        if not isinstance(status, str):
            return NotAnswered(error_detail("InvalidResponse", "the operation status has no status"))
        job_id = _text(_object(body.get("properties")).get("jobId"))
        match status.lower():
            case "succeeded":
                return answers.OperationSucceeded(job_id)
            case "failed" | "canceled":
                error = _whole_error(body.get("error"), f"Operation{status}", f"the operation is {status}")
                return answers.OperationFailed(status, error, job_id)
            case _:
                return answers.OperationRunning(status, self._retry_after(response))

    def _result(self, response: requests.Response) -> answers.OperationAnswer:
        """`Location` tells by its HTTP status alone: 202 while it runs, 200 or 204 when it is done."""
        if response.status_code == 202:
            return answers.OperationRunning("Accepted", self._retry_after(response))
        return answers.OperationSucceeded(None)

    def _not_answered(self, response: requests.Response) -> NotAnswered:
        return NotAnswered(_cloud_error(response), self._retry_after(response))

    def _retry_after(self, response: requests.Response) -> float | None:
        """Seconds, from `Retry-After` as a number or an HTTP date (RFC 9110, section 10.2.3)."""
        text = response.headers.get("Retry-After", "").strip()
        if not text:
            return None
        try:
            seconds = float(text) if text.isascii() and text.isdigit() else self._seconds_until(text)
        except (ValueError, TypeError, OverflowError):
            return None
        return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)

    def _seconds_until(self, http_date: str) -> float:
        moment = parsedate_to_datetime(http_date)
        return (moment.astimezone(UTC) - self._now()).total_seconds()


class _Bearer(requests.auth.AuthBase):
    """The token as `auth`, not as a header: a header would lose to what a .netrc names for the host."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def client_request_id(remediation_id: str, attempt: int) -> str:
    """A UUID that is the same each time this attempt is submitted."""
    return str(uuid5(NAMESPACE_URL, f"{remediation_id}/{attempt}"))


def _is_passing(status: int) -> bool:
    return status in _RETRY_LATER or status >= 500


def _instance(response: requests.Response) -> answers.InstanceAnswer:
    properties = _object(_json_object(response).get("properties"))
    protection = _object(properties.get("protectionStatus"))
    state = properties.get("currentProtectionState") or protection.get("status")
    if not isinstance(state, str):
        return NotAnswered(error_detail("InvalidResponse", "the backup instance shows no protection state"))
    found = protection.get("errorDetails") or properties.get("protectionErrorDetails")
    return answers.InstanceRead(state, _whole_error(found, state, f"the instance is {state}") if found else None)


def _listed(page: Sequence[object], vault: BackupVaultId) -> Iterator[ListedInstance]:
    for one in map(_object, page):
        source = _object(_object(one.get("properties")).get("dataSourceInfo")).get("resourceID")
        with suppress(InvalidResourceId):
            instance = BackupInstanceId.parse(one.get("id"))
            if isinstance(source, str) and source and instance.vault_id == vault:
                yield ListedInstance(instance, source)


def _cloud_error(response: requests.Response) -> ErrorDetail:
    """ARM's error whole; where the body holds none, one that says so."""
    return _whole_error(
        _json_object(response).get("error"),
        f"Http{response.status_code}",
        f"{response.status_code} {response.reason} without an error in ARM's shape: {response.text[:500]}",
    )


def _whole_error(found: object, code: str, message: str) -> ErrorDetail:
    error = {
        "code": code,
        "message": message,
        **{key: value for key, value in _object(found).items() if value},
    }
    error["code"], error["message"] = str(error["code"]), str(error["message"])
    if len(json.dumps(error)) <= _LARGEST_ERROR:
        return error
    cut = f"{error['message'][:4000]} [the error was too large to keep whole]"
    return error_detail(error["code"][:200], cut)


def _json_object(response: requests.Response) -> Mapping[str, Any]:
    try:
        return _object(response.json())
    except (ValueError, RecursionError):
        return {}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
