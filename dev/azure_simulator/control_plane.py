"""The control plane `/_simulator/...`: what a test or the demo sets up, and what it looks up afterwards."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dev.azure_simulator.behaviour import (
    FAULT_LISTS,
    MISSING_PERMISSIONS,
    InvalidBehaviour,
    Json,
    read_behaviour,
    read_faults,
    seconds,
)
from dev.azure_simulator.data_protection import Backups, show_instance
from dev.azure_simulator.errors import cloud_error
from dev.azure_simulator.event_grid_topic import Topics
from dev.azure_simulator.managed_identity import Tokens
from dev.azure_simulator.request_log import Journal
from dev.azure_simulator.resource_graph import Graph
from dev.azure_simulator.throttling import Throttling, take_limits
from dev.azure_simulator.vaults import Instance, InstanceId, Vaults

_INSTANCE_KEYS = frozenset({"id", "friendlyName", "protectionState", "errorDetails", "dataSourceId", "behaviour"})
_DEFAULT_ERROR = {
    **MISSING_PERMISSIONS,
    "recommendedAction": ["Grant the vault's managed identity the required role on the datasource."],
    "details": [],
    "isUserError": True,
}


@dataclass(frozen=True, slots=True)
class Simulation:
    """Everything that the simulator consists of."""

    vaults: Vaults
    backups: Backups
    graph: Graph
    tokens: Tokens
    topics: Topics
    journal: Journal
    throttling: Throttling

    def reset(self) -> None:
        """As freshly started; tokens that were issued stay good."""
        self.vaults.reset()
        self.backups.reset()
        self.graph.reset()
        self.tokens.reset()
        self.topics.reset()
        self.journal.reset()
        self.throttling.reset()


def control_routes(simulation: Simulation, clock: Callable[[], float]) -> list[Route]:
    """The control plane. No token is asked for: it exists on a developer's machine only."""
    control = _Control(simulation, clock)
    return [
        Route("/_simulator/instances", control.put_instances, methods=["PUT"]),
        Route("/_simulator/settings", control.put_settings, methods=["PUT"]),
        Route("/_simulator/requests", control.requests, methods=["GET"]),
        Route("/_simulator/events", control.events, methods=["GET"]),
        Route("/_simulator/reset", control.reset, methods=["POST"]),
    ]


class _Control:
    def __init__(self, simulation: Simulation, clock: Callable[[], float]) -> None:
        self._simulation = simulation
        self._clock = clock

    async def put_instances(self, request: Request) -> Response:
        """Create or replace one instance, or a list of them: all or none."""
        try:
            document = json.loads(await request.body())
            wanted = document if isinstance(document, list) else [document]
            instances = [_read_instance(entry) for entry in wanted]
        except ValueError as error:
            return _refused(error)
        for instance in instances:
            self._simulation.vaults.put(instance)
        shown = [show_instance(instance, self._clock()) for instance in instances]
        return JSONResponse({"value": shown})

    async def put_settings(self, request: Request) -> Response:
        """Change what is named, leave the rest."""
        try:
            document = json.loads(await request.body())
            if not isinstance(document, dict):
                raise InvalidBehaviour("the settings are a JSON object")
            limits = take_limits(document)
            own = {key: read(document.pop(key)) for key, read in _SETTINGS.items() if key in document}
            behaviour = read_behaviour(document)
        except ValueError as error:
            return _refused(error)
        self._simulation.vaults.set_defaults(behaviour, [key for key in FAULT_LISTS if key in document])
        self._apply(own)
        self._simulation.throttling.set_limits(limits)
        return Response(status_code=204)

    def _apply(self, settings: Json) -> None:
        if "topicFaults" in settings:
            self._simulation.topics.set_faults(settings["topicFaults"])
        if "graphFaults" in settings:
            self._simulation.graph.set_faults(settings["graphFaults"])
        if "tokenLifetimeSeconds" in settings:
            self._simulation.tokens.lifetime_seconds = settings["tokenLifetimeSeconds"]
        if "pageSize" in settings:
            self._simulation.backups.page_size = settings["pageSize"]
        if settings.get("revokeTokens"):
            self._simulation.tokens.revoke()

    async def requests(self, request: Request) -> Response:
        """The journal from `since` on."""
        since = request.query_params.get("since", "0")
        if not since.isdecimal():
            return _refused(ValueError(f"since is the number of a request, got {since!r}"))
        return JSONResponse(self._simulation.journal.since(int(since)))

    async def events(self, request: Request) -> Response:
        """What was published to a topic, or to any."""
        return JSONResponse({"events": self._simulation.topics.events(request.query_params.get("topic"))})

    async def reset(self, request: Request) -> Response:
        """Forget instances, requests, events and settings."""
        self._simulation.reset()
        return Response(status_code=204)


def _read_instance(document: object) -> Instance:
    if not isinstance(document, dict):
        raise InvalidBehaviour(f"an instance is a JSON object, got {document!r}")
    if unknown := document.keys() - _INSTANCE_KEYS:
        raise InvalidBehaviour(f"unknown keys {sorted(unknown)}; known are {sorted(_INSTANCE_KEYS)}")
    instance_id = InstanceId.parse(document.get("id"))
    state = document.get("protectionState", "ProtectionError")
    broken = state == "ProtectionError"
    disk = f"{instance_id.group_path}/providers/Microsoft.Compute/disks/{instance_id.name}"
    return Instance(
        id=instance_id,
        friendly_name=document.get("friendlyName", instance_id.name),
        protection_state=state,
        error_details=document.get("errorDetails", _DEFAULT_ERROR if broken else None),
        data_source_id=document.get("dataSourceId", disk),
        overrides=read_behaviour(document.get("behaviour", {})),
    )


def _page_size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidBehaviour(f"pageSize: expected a whole number from 1, got {value!r}")
    return value


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidBehaviour(f"revokeTokens: expected true or false, got {value!r}")
    return value


_SETTINGS: dict[str, Callable[[object], Any]] = {
    "topicFaults": read_faults,
    "graphFaults": read_faults,
    "tokenLifetimeSeconds": seconds,
    "pageSize": _page_size,
    "revokeTokens": _switch,
}


def _refused(error: ValueError) -> Response:
    return cloud_error(400, "InvalidSimulation", str(error))
