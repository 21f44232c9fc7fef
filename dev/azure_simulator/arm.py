"""Azure Resource Manager, as far as Backup vaults go: routing, admission, and what every answer carries.

Sources: "Backup Instances - Sync Backup Instance" and its siblings in the REST reference (2024-04-01), "Track
asynchronous Azure operations" and "Understand how Resource Manager throttles requests".
"""

import asyncio
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from dev.azure_simulator.data_protection import Backups, Call
from dev.azure_simulator.errors import cloud_error, fault_response
from dev.azure_simulator.managed_identity import ARM_AUDIENCES, TokenRefused, Tokens
from dev.azure_simulator.resource_graph import Graph
from dev.azure_simulator.throttling import Throttling, Turn, kind_of
from dev.azure_simulator.vaults import Instance, InstanceId, Vaults

_VAULT = (
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.DataProtection/backupVaults/(?P<vault>[^/]+)"
)
_INSTANCE = _VAULT + r"/backupInstances/(?P<name>[^/]+)"
# An operation can be named below its vault, its instance, the resource group, or a location.
_OPERATION = (
    r"/subscriptions/(?P<subscription>[^/]+)(?:/resourceGroups/(?P<group>[^/]+))?"
    r"/providers/Microsoft\.DataProtection(?:/locations/[^/]+|/backupVaults/(?P<vault>[^/]+))?"
    r"(?:/backupInstances/(?P<name>[^/]+))?/{collection}/(?P<operation>[^/]+)"
)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SUBSCRIPTION = re.compile(r"/subscriptions/(?P<subscription>[^/]+)", re.IGNORECASE)
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_CHALLENGE = {"WWW-Authenticate": 'Bearer authorization_uri="https://login.windows.net/", error="invalid_token"'}


class _Route(NamedTuple):
    kind: str
    method: str
    path: re.Pattern[str]
    faults: str | None
    handle: Callable[[Any, Call], Response]
    """A method of the resource provider, `Backups` or `Graph`."""


def _route(kind: str, method: str, path: str, faults: str | None, handle: Callable[[Any, Call], Response]) -> _Route:
    return _Route(kind, method, re.compile(path, re.IGNORECASE), faults, handle)


_ROUTES = (
    _route(
        "operationStatus",
        "GET",
        _OPERATION.replace("{collection}", "operationStatus"),
        "pollFaults",
        Backups.operation_status,
    ),
    _route(
        "operationResults",
        "GET",
        _OPERATION.replace("{collection}", "operationResults"),
        "pollFaults",
        Backups.operation_results,
    ),
    _route("sync", "POST", _INSTANCE + "/sync", "syncFaults", Backups.sync),
    _route("instance", "GET", _INSTANCE, "readFaults", Backups.read),
    _route("instances", "GET", _VAULT + "/backupInstances", None, Backups.list),
    _route("graph", "POST", r"/providers/Microsoft\.ResourceGraph/resources", None, Graph.resources),
    _route("subscriptions", "GET", "/subscriptions", None, Backups.subscriptions),
)


@dataclass(frozen=True, slots=True)
class _Target:
    """What a path names: the first route that fits it, and whether the method is the route's."""

    route: _Route
    names: dict[str, str]
    method_fits: bool


class Arm:
    """Lets requests in as Resource Manager does, then hands them to the resource provider."""

    def __init__(self, vaults: Vaults, tokens: Tokens, backups: Backups, graph: Graph, throttling: Throttling) -> None:
        """`backups` is Microsoft.DataProtection, `graph` Microsoft.ResourceGraph."""
        self._vaults = vaults
        self._tokens = tokens
        self._backups = backups
        self._graph = graph
        self._throttling = throttling

    async def answer(self, request: Request, body: bytes) -> tuple[str, Response]:
        """The kind of the request (for the journal) and the response, after the latency that is set."""
        target = _find(request)
        instance = self._instance(target) if target else None
        if latency := self._vaults.behaviour(instance).latency_seconds:
            await asyncio.sleep(latency)
        response = self._admit(request) or self._serve(request, body, target, instance)
        _complete(request, response)
        return (target.route.kind if target and target.method_fits else "other"), response

    def _admit(self, request: Request) -> Response | None:
        """The refusal of a request that gets no further than Resource Manager, in its order of checks."""
        try:
            self._tokens.check(request.headers.get("authorization"), ARM_AUDIENCES)
        except TokenRefused as refused:
            return cloud_error(401, refused.code, refused.message, _CHALLENGE)
        return _bad_api_version(request) or _bad_subscription(request) or self._throttle(request)

    def _throttle(self, request: Request) -> Response | None:
        found = _SUBSCRIPTION.match(request.scope["path"])
        turn = found and self._throttling.admit(kind_of(request.method), found["subscription"], time.monotonic())
        if not found or not turn:
            return None
        request.state.turn = turn
        return _throttled(found["subscription"], turn) if turn.retry_after else None

    def _serve(self, request: Request, body: bytes, target: _Target | None, instance: Instance | None) -> Response:
        path = request.scope["path"]
        if target is None:
            return cloud_error(404, "NotFound", f"The simulator knows no resource at the path '{path}'.")
        if not target.method_fits:
            message = f"The requested resource does not support http method '{request.method}'."
            return cloud_error(405, "HttpMethodNotSupported", message, {"Allow": target.route.method})
        if fault := self._vaults.next_fault(instance, target.route.faults):
            return fault_response(fault)
        provider = self._graph if target.route.kind == "graph" else self._backups
        return target.route.handle(provider, Call(request, body, target.names, instance, time.time()))

    def _instance(self, target: _Target) -> Instance | None:
        names = target.names
        if operation_id := names.get("operation"):
            operation = self._vaults.operation(operation_id)
            return self._vaults.find(operation.instance_id) if operation else None
        if "name" not in names:
            return None
        return self._vaults.find(InstanceId(names["subscription"], names["group"], names["vault"], names["name"]))


def _find(request: Request) -> _Target | None:
    path = request.scope["path"]
    for route in _ROUTES:
        if found := route.path.fullmatch(path):
            return _Target(route, found.groupdict(), route.method == request.method)
    return None


def _bad_api_version(request: Request) -> Response | None:
    version = request.query_params.get("api-version")
    if not version:
        message = "The api-version query parameter (?api-version=) is required for all requests."
        return cloud_error(400, "MissingApiVersionParameter", message)
    if not _API_VERSION.fullmatch(version):
        return cloud_error(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")
    return None


def _bad_subscription(request: Request) -> Response | None:
    found = _SUBSCRIPTION.match(request.scope["path"])
    if not found or _UUID.fullmatch(found["subscription"]):
        return None
    message = f"The provided subscription identifier '{found['subscription']}' is malformed or invalid."
    return cloud_error(400, "InvalidSubscriptionId", message)


def _throttled(subscription: str, turn: Turn) -> Response:
    message = (
        f"Number of '{turn.kind}' requests for subscription '{subscription}' exceeded. Please try again after "
        f"'{turn.retry_after}' seconds after additional tokens are available. Refer to "
        "https://aka.ms/arm-throttling for additional information."
    )
    return cloud_error(429, "SubscriptionRequestsThrottled", message, {"Retry-After": str(turn.retry_after)})


def _complete(request: Request, response: Response) -> None:
    """Add the headers that ARM puts on every answer, unless a fault has set them."""
    request_id = str(uuid.uuid4())
    headers: MutableHeaders = response.headers
    headers.setdefault("x-ms-request-id", request_id)
    headers.setdefault("x-ms-correlation-request-id", request.headers.get("x-ms-correlation-request-id", request_id))
    if client_request_id := request.headers.get("x-ms-client-request-id"):
        headers.setdefault("x-ms-client-request-id", client_request_id)
    kind = kind_of(request.method)
    turn: Turn | None = getattr(request.state, "turn", None)
    # Where nothing is counted: a full bucket less this request.
    remaining = turn.remaining if turn else {"read": 249, "write": 199}[kind]
    headers.setdefault(f"x-ms-ratelimit-remaining-subscription-{kind}s", str(remaining))
    headers.setdefault("cache-control", "no-cache")
