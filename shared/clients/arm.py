"""Client of Azure Resource Manager: sync, the operation behind it, the backup instance, its vault.

Every method returns a fact from `domain.arm_results`; a call without a verdict is a `TransientFailure`, never an
exception. URLs that ARM names are checked before they are called, because each request carries the token.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import requests

from shared.clients.arm_circuit import ArmCircuit
from shared.clients.arm_transport import (
    ArmTransport,
    arm_error,
    as_object,
    is_transient,
    is_verdict,
    json_object,
    response_error,
    retry_after,
    transient_failure,
)
from shared.clients.url_guard import UnsafeUrl, check_url
from shared.domain import arm_results
from shared.domain.arm_results import ListedInstance, OperationUrls, TransientFailure, new_error
from shared.domain.resource_ids import BackupInstanceId, BackupVaultId, InvalidResourceId, foreign_id
from shared.domain.signal import SyncType
from shared.rate_limits.rate_limiter import RateLimiter

API_VERSION = "2024-04-01"
_SUBSCRIPTIONS_API_VERSION = "2022-12-01"
_REMAINING_RESOURCE_REQUESTS = "x-ms-ratelimit-remaining-subscription-resource-requests"
"""In place of the others where a resource provider has a limit of its own ("Request limits and throttling"); the GETs
of this one have it, as recordings of the tests of Azure CLI's `dataprotection` show."""
_REMAINING_WRITES = ("x-ms-ratelimit-remaining-subscription-writes", _REMAINING_RESOURCE_REQUESTS)
_REMAINING_READS = ("x-ms-ratelimit-remaining-subscription-reads", _REMAINING_RESOURCE_REQUESTS)
_MAX_REMAINING_DIGITS = 9
_PERMANENT = frozenset({400, 404, 405, 422})
"""Refusals of a read that the same read will meet again. Of the others, 401 and 403 pass once a new role assignment
acts, and 409 is an instance in the middle of a change."""
_FORBIDDEN_LIST = _PERMANENT | {403}
"""Refusals to list a vault that are reported at once: without the right to list it, each alert would be sent again."""
_MAX_PAGES = 100
"""Of a vault's list of instances: many times what a vault may hold (5,000), and an end to links in a circle."""


class ArmClient:
    """The calls that a heal makes, on one pooled session."""

    def __init__(
        self,
        endpoint: str,
        allowed_hosts: Sequence[str],
        transport: ArmTransport | ArmCircuit,
        writes: RateLimiter,
        reads: RateLimiter,
    ) -> None:
        """Call the endpoint with the token; poll there, on its subdomains and on the allowed hosts.

        `writes` and `reads` learn the subscription's remaining calls from the responses.
        """
        host = urlsplit(endpoint).netloc.lower()
        self._endpoint = endpoint
        self._hosts = (host, f"*.{host}", *allowed_hosts)
        self._transport = transport
        self._rate_limiters = {"POST": (writes, _REMAINING_WRITES), "GET": (reads, _REMAINING_READS)}

    def sync(self, instance: BackupInstanceId, sync_type: SyncType, request_id: str) -> arm_results.SyncResult:
        """`POST .../sync` (REST reference, "Backup Instances - Sync Backup Instance").

        Args:
            request_id: goes along as `x-ms-client-request-id`, for Azure's own logs.
        """
        url = f"{self._endpoint}{instance.url_path}/sync?api-version={API_VERSION}"
        body = {"syncType": sync_type.value}
        response = self.send(instance.subscription_id, "POST", url, request_id=request_id, body=body)
        if isinstance(response, TransientFailure):
            return response
        headers = response.headers
        operation = OperationUrls(headers.get("Azure-AsyncOperation"), headers.get("Location"))
        match response.status_code:
            case 202 if operation.status_url or operation.result_url:
                return arm_results.SyncAccepted(operation, retry_after(response))
            case _ if not is_verdict(response):
                return transient_failure(response)
            case 200 | 204:
                return arm_results.SyncDone()
            case 202:
                return arm_results.SyncAccepted(operation, retry_after(response))
            case 409:
                return arm_results.SyncConflict(response_error(response), retry_after(response))
            case status:
                return arm_results.Refused(status, response_error(response))

    def operation(self, instance: BackupInstanceId, operation: OperationUrls) -> arm_results.OperationResult:
        """`GET` the URL that ARM named for an operation, if `url_guard` lets it pass."""
        url = operation.status_url or operation.result_url
        if url is None:
            return arm_results.OperationUnknown()
        try:
            self.check_url("operation URL", url, instance.subscription_id)
        except UnsafeUrl as unsafe:
            return arm_results.OperationFailed("Unknown", new_error("UnsafeOperationUrl", str(unsafe)))
        response = self.send(instance.subscription_id, "GET", url)
        if isinstance(response, TransientFailure):
            return response
        match response.status_code:
            case 404 | 410:
                return arm_results.OperationUnknown()
            case 200 | 202 | 204 if operation.status_url:
                return _operation_status(response)
            # `Location` tells by its HTTP status alone.
            case 200 | 204 if is_verdict(response):
                return arm_results.OperationSucceeded(None)
            case 202:
                return arm_results.OperationRunning("Accepted", retry_after(response))
            case _:
                return transient_failure(response)

    def read(self, instance: BackupInstanceId) -> arm_results.InstanceResult:
        """`GET` the backup instance and its protection state."""
        url = f"{self._endpoint}{instance.url_path}?api-version={API_VERSION}"
        response = self.send(instance.subscription_id, "GET", url)
        if isinstance(response, TransientFailure):
            return response
        if response.status_code == 200:
            return _read_instance(response)
        if response.status_code in _PERMANENT and is_verdict(response):
            return arm_results.Refused(response.status_code, response_error(response))
        return transient_failure(response)

    def instances(self, vault: BackupVaultId) -> arm_results.VaultResult:
        """`GET .../backupInstances`: all instances of a vault, page by page along `nextLink`."""
        listed: list[ListedInstance] = []
        url = f"{self._endpoint}{vault.url_path}/backupInstances?api-version={API_VERSION}"
        for _ in range(_MAX_PAGES):
            response = self.send(vault.subscription_id, "GET", url)
            if isinstance(response, TransientFailure):
                return response
            if response.status_code in _FORBIDDEN_LIST and is_verdict(response):
                return arm_results.Refused(response.status_code, response_error(response))
            if response.status_code != 200 or not is_verdict(response):
                return transient_failure(response)
            body = json_object(response)
            if not isinstance(body.get("value"), list):
                return TransientFailure(new_error("InvalidResponse", "the vault was listed without a list"))
            listed += _listed_instances(body["value"], vault)
            url = body.get("nextLink", "")
            if not isinstance(url, str) or not url:
                return arm_results.VaultListed(tuple(listed))
            try:
                self.check_url("next link", url, vault.subscription_id)
            except UnsafeUrl as unsafe:
                return arm_results.Refused(200, new_error("UnsafeNextLink", str(unsafe)))
        return arm_results.Refused(200, new_error("TooManyPages", f"more than {_MAX_PAGES} pages of instances"))

    def check_access(self) -> arm_results.Reachable | TransientFailure:
        """`GET /subscriptions`, which any identity may ask (REST reference, "Subscriptions - List")."""
        url = f"{self._endpoint}/subscriptions?api-version={_SUBSCRIPTIONS_API_VERSION}"
        response = self._transport.send("GET", url)
        if isinstance(response, TransientFailure):
            return response
        match response.status_code:
            case 200:
                subscriptions = json_object(response).get("value")
                return arm_results.Reachable(len(subscriptions) if isinstance(subscriptions, list) else None)
            case 403 | 429 if is_verdict(response):
                # A refusal too shows that ARM takes our token.
                return arm_results.Reachable(None)
            case _:
                return transient_failure(response)

    def check_url(self, kind: str, url: str, subscription_id: str) -> None:
        """Let a URL pass that ARM named, and that may get the token.

        Raises:
            UnsafeUrl: it may not.
        """
        check_url(kind, url, subscription_id, self._hosts)

    def send(
        self,
        subscription_id: str,
        method: str,
        url: str,
        *,
        request_id: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> requests.Response | TransientFailure:
        """One request of this subscription; every URL gets the token, so it is the endpoint's or a checked one.

        Returns:
            The response, unless its status is transient; the rate limiter learns what it says of its bucket.
        """
        response = self._transport.send(method, url, request_id, body)
        if isinstance(response, TransientFailure):
            return response
        rate_limiter, headers = self._rate_limiters[method]
        is_throttled = response.status_code == 429
        rate_limiter.learn(
            subscription_id, _remaining(response, headers), retry_after(response) if is_throttled else None
        )
        if is_transient(response.status_code):
            return transient_failure(response)
        return response


def _remaining(response: requests.Response, headers: Iterable[str]) -> int | None:
    """How many calls are left by the strictest of these headers; None where there is none."""
    texts = (response.headers.get(header, "").strip() for header in headers)
    return min(
        (int(text) for text in texts if text.isascii() and text.isdigit() and len(text) <= _MAX_REMAINING_DIGITS),
        default=None,
    )


def _operation_status(response: requests.Response) -> arm_results.OperationResult:
    """Read the body behind `Azure-AsyncOperation`."""
    body = json_object(response)
    status = body.get("status")
    if not isinstance(status, str):
        return TransientFailure(new_error("InvalidResponse", "the operation status has no status"))
    job_id = as_object(body.get("properties")).get("jobId")
    job_id = job_id if isinstance(job_id, str) else None
    match status.strip().lower():
        case "succeeded":
            return arm_results.OperationSucceeded(job_id)
        case "failed" | "canceled" | "cancelled":
            error = arm_error(body.get("error"), f"Operation{status}", f"the operation is {status}")
            return arm_results.OperationFailed(status, error, job_id)
        case _:
            return arm_results.OperationRunning(status, retry_after(response))


def _read_instance(response: requests.Response) -> arm_results.InstanceResult:
    properties = as_object(json_object(response).get("properties"))
    protection = as_object(properties.get("protectionStatus"))
    state = properties.get("currentProtectionState") or protection.get("status")
    if not isinstance(state, str):
        return TransientFailure(new_error("InvalidResponse", "the backup instance shows no protection state"))
    error = protection.get("errorDetails") or properties.get("protectionErrorDetails")
    return arm_results.InstanceRead(
        state,
        arm_error(error, state, f"the instance is {state}") if error else None,
        foreign_id(as_object(properties.get("dataSourceInfo")).get("resourceID")),
        _snapshot_group(as_object(as_object(properties.get("policyInfo")).get("policyParameters"))),
    )


def _snapshot_group(parameters: Mapping[str, Any]) -> str | None:
    """`resourceGroupId` of the parameters of the operational store (`AzureOperationalStoreParameters`)."""
    stores = parameters.get("dataStoreParametersList")
    groups = (as_object(store).get("resourceGroupId") for store in (stores if isinstance(stores, list) else ()))
    return next(filter(None, map(foreign_id, groups)), None)


def _listed_instances(page: Iterable[object], vault: BackupVaultId) -> Iterator[ListedInstance]:
    """The entries of a page that name an instance of this vault and what it protects."""
    for entry in map(as_object, page):
        source_id = as_object(as_object(entry.get("properties")).get("dataSourceInfo")).get("resourceID")
        with suppress(InvalidResourceId):
            instance = BackupInstanceId.parse(entry.get("id"))
            if isinstance(source_id, str) and source_id and instance.vault_id == vault:
                yield ListedInstance(instance, source_id)
