"""Azure Resource Manager, as far as healing needs it: sync, the operation behind it, the instance, its vault.

Every method answers with a fact from `answers`; what cannot be known now is `NotAnswered`, never an exception.
URLs that ARM names are checked, because each request carries the token.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

import requests

from shared.clients.arm_transport import ArmTransport, arm_error, as_object, cloud_error, is_transient, json_object
from shared.clients.url_guard import UnsafeUrl, check_next_link, check_operation_url
from shared.domain import arm_results
from shared.domain.arm_results import ListedInstance, OperationUrls, TransientFailure, new_error
from shared.domain.resource_ids import BackupInstanceId, BackupVaultId, InvalidResourceId
from shared.domain.signal import SyncType
from shared.rate_limits.rate_limiter import RateLimiter

API_VERSION = "2024-04-01"
_SUBSCRIPTIONS_VERSION = "2022-12-01"
_MOST_PAGES = 100
"""Of a vault's list of instances: many times what a vault may hold (5,000), and an end to links in a circle."""
_UNCLEAR_READS = frozenset({401, 403, 409})
"""A new role assignment that does not act yet, and an instance in the middle of a change."""


class ArmClient:
    """The calls that a heal makes, on one pooled session."""

    def __init__(
        self,
        endpoint: str,
        allowed_hosts: Sequence[str],
        calls: ArmTransport,
        writes: RateLimiter,
        reads: RateLimiter,
    ) -> None:
        """Call the endpoint with the token; poll there, on its subdomains and on the allowed hosts.

        What the answers say of the subscription's budgets goes to `writes` and `reads`.
        """
        host = urlsplit(endpoint).netloc.lower()
        self._endpoint = endpoint
        self._hosts = (host, f"*.{host}", *allowed_hosts)
        self._calls = calls
        self._pacers = {"POST": (writes, "writes"), "GET": (reads, "reads")}

    def sync(self, instance: BackupInstanceId, sync_type: SyncType, request_id: str) -> arm_results.SyncResult:
        """`POST .../sync` (REST reference, "Backup Instances - Sync Backup Instance").

        Args:
            request_id: goes along as `x-ms-client-request-id`, for Azure's own logs.
        """
        url = f"{self._endpoint}{instance.url_path}/sync?api-version={API_VERSION}"
        response = self._send(instance.subscription_id, "POST", url, request_id, {"syncType": sync_type.value})
        if isinstance(response, TransientFailure):
            return response
        if response.status_code == 200:
            return arm_results.SyncDone()
        if response.status_code == 202:
            headers = response.headers
            operation = OperationUrls(headers.get("Azure-AsyncOperation"), headers.get("Location"))
            return arm_results.SyncAccepted(operation, self._calls.retry_after(response))
        if response.status_code == 409:
            return arm_results.SyncConflict(cloud_error(response), self._calls.retry_after(response))
        if is_transient(response.status_code):
            return self._calls.not_answered(response)
        return arm_results.SyncRefused(response.status_code, cloud_error(response))

    def operation(self, instance: BackupInstanceId, operation: OperationUrls) -> arm_results.OperationResult:
        """Look at an operation by the URL that ARM gave, once the guard has let it pass."""
        url = operation.status_url or operation.result_url
        if url is None:
            return arm_results.OperationUnknown()
        try:
            check_operation_url(url, instance, self._hosts)
        except UnsafeUrl as unsafe:
            return arm_results.OperationFailed("Unknown", new_error("UnsafeOperationUrl", str(unsafe)))
        response = self._send(instance.subscription_id, "GET", url)
        if isinstance(response, TransientFailure):
            return response
        if response.status_code == 404:
            return arm_results.OperationUnknown()
        if response.status_code not in (200, 202, 204):
            return self._calls.not_answered(response)
        return self._status(response) if operation.status_url else self._result(response)

    def read(self, instance: BackupInstanceId) -> arm_results.InstanceResult:
        """`GET` the backup instance and its protection state."""
        url = f"{self._endpoint}{instance.url_path}?api-version={API_VERSION}"
        response = self._send(instance.subscription_id, "GET", url)
        if isinstance(response, TransientFailure):
            return response
        if response.status_code == 200:
            return _instance(response)
        if is_transient(response.status_code) or response.status_code in _UNCLEAR_READS:
            return self._calls.not_answered(response)
        return arm_results.InstanceRefused(response.status_code, cloud_error(response))

    def instances(self, vault: BackupVaultId) -> arm_results.VaultResult:
        """`GET .../backupInstances`: all instances of a vault, page by page along `nextLink`, each once checked."""
        listed: list[ListedInstance] = []
        url: object = f"{self._endpoint}{vault.url_path}/backupInstances?api-version={API_VERSION}"
        for page in range(_MOST_PAGES):
            if not isinstance(url, str):
                return arm_results.VaultListed(tuple(listed))
            try:
                if page:
                    check_next_link(url, vault, self._hosts)
            except UnsafeUrl as unsafe:
                return arm_results.VaultRefused(200, new_error("UnsafeNextLink", str(unsafe)))
            response = self._send(vault.subscription_id, "GET", url)
            if isinstance(response, TransientFailure):
                return response
            if is_transient(response.status_code) or response.status_code == 401:
                return self._calls.not_answered(response)
            body = json_object(response)
            if response.status_code != 200 or not isinstance(body.get("value"), list):
                return arm_results.VaultRefused(response.status_code, cloud_error(response))
            listed += _listed(body["value"], vault)
            url = body.get("nextLink") or None
        return arm_results.VaultRefused(200, new_error("TooManyPages", f"more than {_MOST_PAGES} pages of instances"))

    def reach(self) -> arm_results.Reachable | TransientFailure:
        """`GET /subscriptions`, which any identity may ask (REST reference, "Subscriptions - List")."""
        response = self._calls.send("GET", f"{self._endpoint}/subscriptions?api-version={_SUBSCRIPTIONS_VERSION}")
        if isinstance(response, TransientFailure):
            return response
        if response.status_code in (403, 429):
            # Not its word that counts here, but that it was said to our token.
            return arm_results.Reachable(None)
        if response.status_code != 200:
            return self._calls.not_answered(response)
        listed = json_object(response).get("value")
        return arm_results.Reachable(len(listed) if isinstance(listed, list) else None)

    def _send(
        self,
        subscription_id: str,
        method: str,
        url: str,
        request_id: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> requests.Response | TransientFailure:
        """The response; what it says of the subscription's budget is learned."""
        response = self._calls.send(method, url, request_id, body)
        if isinstance(response, TransientFailure):
            return response
        pacer, kind = self._pacers[method]
        remaining = response.headers.get(f"x-ms-ratelimit-remaining-subscription-{kind}", "")
        pacer.learn(
            subscription_id,
            int(remaining) if remaining.isascii() and remaining.isdigit() else None,
            self._calls.retry_after(response) if response.status_code == 429 else None,
        )
        return response

    def _status(self, response: requests.Response) -> arm_results.OperationResult:
        body = json_object(response)
        status = body.get("status")
        if not isinstance(status, str):
            return TransientFailure(new_error("InvalidResponse", "the operation status has no status"))
        job_id = _text(as_object(body.get("properties")).get("jobId"))
        match status.lower():
            case "succeeded":
                return arm_results.OperationSucceeded(job_id)
            case "failed" | "canceled":
                error = arm_error(body.get("error"), f"Operation{status}", f"the operation is {status}")
                return arm_results.OperationFailed(status, error, job_id)
            case _:
                return arm_results.OperationRunning(status, self._calls.retry_after(response))

    def _result(self, response: requests.Response) -> arm_results.OperationResult:
        """`Location` tells by its HTTP status alone: 202 while it runs, 200 or 204 when it is done."""
        if response.status_code == 202:
            return arm_results.OperationRunning("Accepted", self._calls.retry_after(response))
        return arm_results.OperationSucceeded(None)


def client_request_id(remediation_id: str, attempt: int) -> str:
    """A UUID that is the same each time this attempt is submitted."""
    return str(uuid5(NAMESPACE_URL, f"{remediation_id}/{attempt}"))


def _instance(response: requests.Response) -> arm_results.InstanceResult:
    properties = as_object(json_object(response).get("properties"))
    protection = as_object(properties.get("protectionStatus"))
    state = properties.get("currentProtectionState") or protection.get("status")
    if not isinstance(state, str):
        return TransientFailure(new_error("InvalidResponse", "the backup instance shows no protection state"))
    found = protection.get("errorDetails") or properties.get("protectionErrorDetails")
    return arm_results.InstanceRead(state, arm_error(found, state, f"the instance is {state}") if found else None)


def _listed(page: Sequence[object], vault: BackupVaultId) -> Iterator[ListedInstance]:
    for one in map(as_object, page):
        source = as_object(as_object(one.get("properties")).get("dataSourceInfo")).get("resourceID")
        with suppress(InvalidResourceId):
            instance = BackupInstanceId.parse(one.get("id"))
            if isinstance(source, str) and source and instance.vault_id == vault:
                yield ListedInstance(instance, source)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
