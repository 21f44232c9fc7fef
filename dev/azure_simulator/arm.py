"""Azure Resource Manager, as far as Backup vaults go: routing, admission, and the headers of every answer.

Sources: "Backup Instances - Sync Backup Instance" and its siblings in the REST reference (2024-04-01), "Track
asynchronous Azure operations" and "Understand how Resource Manager throttles requests".
"""

import asyncio
import re
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from dev.azure_simulator.backup_provider import BackupProvider
from dev.azure_simulator.data_protection import ArmRequest, DataProtection
from dev.azure_simulator.errors import cloud_error, fault_response
from dev.azure_simulator.managed_identity import ARM_AUDIENCES, ManagedIdentity, TokenRefused
from dev.azure_simulator.resource_graph import ResourceGraph
from dev.azure_simulator.throttling import Admission, Throttling
from dev.azure_simulator.vaults import Instance, InstanceId, Vaults

_VAULT = (
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.DataProtection/backupVaults/(?P<vault>[^/]+)"
)
_LOCATION = r"/subscriptions/(?P<subscription>[^/]+)/providers/Microsoft\.DataProtection/locations/(?P<location>[^/]+)"
_INSTANCE = _VAULT + r"/backupInstances/(?P<name>[^/]+)"
_SUBSCRIPTION = re.compile(r"/subscriptions/(?P<subscription>[^/]+)", re.IGNORECASE)
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_CHALLENGE = {"WWW-Authenticate": 'Bearer authorization_uri="https://login.windows.net/", error="invalid_token"'}
_READS = ("GET", "HEAD")


class _Route(NamedTuple):
    kind: str
    method: str
    path: str
    faults: str | None
    """The key of the list in a behaviour."""
    handle: Callable[[Any, ArmRequest], Response]
    """A method of one of the providers."""


_ROUTES = [
    (re.compile(route.path, re.IGNORECASE), route)
    for route in (
        _Route(
            "operationStatus",
            "GET",
            _VAULT + "/operationStatus/(?P<operation>[^/]+)",
            "pollFaults",
            DataProtection.operation_status,
        ),
        _Route(
            "operationResults",
            "GET",
            _VAULT + "/operationResults/(?P<operation>[^/]+)",
            "pollFaults",
            DataProtection.operation_results,
        ),
        _Route(
            "operationResults",
            "GET",
            _LOCATION + "/operationResults/(?P<operation>[^/]+)",
            "pollFaults",
            DataProtection.operation_results,
        ),
        _Route("sync", "POST", _INSTANCE + "/sync", "syncFaults", DataProtection.sync),
        _Route("instance", "GET", _INSTANCE, "readFaults", DataProtection.read),
        _Route("instances", "GET", _VAULT + "/backupInstances", None, DataProtection.list),
        _Route("backup", "POST", _INSTANCE + "/backup", "backupFaults", BackupProvider.backup),
        _Route("policy", "GET", _VAULT + "/backupPolicies/(?P<policy>[^/]+)", None, BackupProvider.policy),
        _Route("job", "GET", _VAULT + "/backupJobs/(?P<job>[^/]+)", None, BackupProvider.job),
        _Route("jobs", "GET", _VAULT + "/backupJobs", None, BackupProvider.jobs),
        _Route("recoveryPoints", "GET", _INSTANCE + "/recoveryPoints", None, BackupProvider.recovery_points),
        _Route("timeRanges", "POST", _INSTANCE + "/findRestorableTimeRanges", None, BackupProvider.time_ranges),
        _Route("graph", "POST", r"/providers/Microsoft\.ResourceGraph/resources", None, ResourceGraph.resources),
        _Route("subscriptions", "GET", "/subscriptions", None, DataProtection.subscriptions),
    )
]


class Arm:
    """Lets requests in as Resource Manager does, then hands them to the resource provider."""

    def __init__(
        self,
        vaults: Vaults,
        identity: ManagedIdentity,
        data_protection: DataProtection,
        graph: ResourceGraph,
        throttling: Throttling,
    ) -> None:
        """`identity` tells whose tokens are good."""
        self._vaults = vaults
        self._identity = identity
        backups = BackupProvider(vaults, data_protection)
        self._providers = {type(provider).__name__: provider for provider in (data_protection, backups, graph)}
        self._throttling = throttling

    async def answer(self, request: Request, body: bytes) -> tuple[str, Response]:
        """The kind of the request (for the request log) and the response, after the latency that is set."""
        route, names = _find(request.scope["path"])
        instance = self._instance(names)
        if latency := self._vaults.behaviour(instance).latency_seconds:
            await asyncio.sleep(latency)
        response = self._admit(request) or self._serve(request, body, route, names, instance)
        _complete(request, response)
        return (route.kind if route and route.method == request.method else "other"), response

    def _admit(self, request: Request) -> Response | None:
        """The refusal of a request that gets no further than Resource Manager, in its order of checks."""
        try:
            self._identity.check(request.headers.get("authorization"), ARM_AUDIENCES)
        except TokenRefused as refused:
            return cloud_error(401, refused.code, refused.message, _CHALLENGE)
        return _bad_api_version(request) or self._throttle(request)

    def _throttle(self, request: Request) -> Response | None:
        found = _SUBSCRIPTION.match(request.scope["path"])
        if not found or request.method in _READS:
            return None
        admission = self._throttling.admit(found["subscription"], time.monotonic())
        request.state.admission = admission
        if admission is None or admission.retry_after is None:
            return None
        message = (
            f"Number of 'write' requests for subscription '{found['subscription']}' exceeded. Please try again after "
            f"'{admission.retry_after}' seconds after additional tokens are available. Refer to "
            "https://aka.ms/arm-throttling for additional information."
        )
        return cloud_error(429, "SubscriptionRequestsThrottled", message, {"Retry-After": str(admission.retry_after)})

    def _serve(
        self, request: Request, body: bytes, route: _Route | None, names: dict[str, str], instance: Instance | None
    ) -> Response:
        if route is None:
            message = f"The simulator knows no resource at the path '{request.scope['path']}'."
            return cloud_error(404, "NotFound", message)
        if route.method != request.method:
            message = f"The requested resource does not support http method '{request.method}'."
            return cloud_error(405, "HttpMethodNotSupported", message, {"Allow": route.method})
        if fault := self._vaults.next_fault(instance, route.faults):
            return fault_response(fault)
        provider = self._providers[route.handle.__qualname__.partition(".")[0]]
        return route.handle(provider, ArmRequest(request, body, names, instance, time.time()))

    def _instance(self, names: dict[str, str]) -> Instance | None:
        if "operation" in names:
            operation = self._vaults.operation(names["operation"])
            return self._vaults.find(operation.instance_id) if operation else None
        if "name" not in names:
            return None
        return self._vaults.find(InstanceId(names["subscription"], names["group"], names["vault"], names["name"]))


def _find(path: str) -> tuple[_Route | None, dict[str, str]]:
    """The first route that fits the path, and the names in the path."""
    for pattern, route in _ROUTES:
        if found := pattern.fullmatch(path):
            return route, found.groupdict()
    return None, {}


def _bad_api_version(request: Request) -> Response | None:
    version = request.query_params.get("api-version")
    if not version:
        message = "The api-version query parameter (?api-version=) is required for all requests."
        return cloud_error(400, "MissingApiVersionParameter", message)
    if not _API_VERSION.fullmatch(version):
        return cloud_error(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")
    return None


def _complete(request: Request, response: Response) -> None:
    """Add the headers that ARM puts on every answer, unless a fault has set them."""
    request_id = str(uuid.uuid4())
    headers: MutableHeaders = response.headers
    headers.setdefault("x-ms-request-id", request_id)
    headers.setdefault("x-ms-correlation-request-id", request.headers.get("x-ms-correlation-request-id", request_id))
    if client_request_id := request.headers.get("x-ms-client-request-id"):
        headers.setdefault("x-ms-client-request-id", client_request_id)
    # Where nothing is counted: a full bucket less this request. The provider has a limit of its own for GETs.
    admission: Admission | None = getattr(request.state, "admission", None)
    if request.method not in _READS:
        kind, remaining = "writes", admission.remaining if admission else 199
    elif "/providers/" in request.scope["path"]:
        kind, remaining = "resource-requests", 998
    else:
        kind, remaining = "reads", 249
    headers.setdefault(f"x-ms-ratelimit-remaining-subscription-{kind}", str(remaining))
    headers.setdefault("cache-control", "no-cache")
