"""The control plane `/_simulator/...`: a test or the demo sets up instances and faults, and reads what was asked."""

import time
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dev.azure_simulator.backups import Backups, JobDocument, Policy
from dev.azure_simulator.behaviour import MISSING_PERMISSIONS, Behaviour, Fault, Json, check_behaviour
from dev.azure_simulator.data_protection import DataProtection, show_instance
from dev.azure_simulator.errors import cloud_error
from dev.azure_simulator.event_grid_topic import Topics
from dev.azure_simulator.managed_identity import ManagedIdentity
from dev.azure_simulator.request_log import RequestLog
from dev.azure_simulator.resource_graph import ResourceGraph
from dev.azure_simulator.throttling import Limit, Throttling
from dev.azure_simulator.vaults import Instance, InstanceId, Vaults

_BEHAVIOUR_KEYS = frozenset(Behaviour.__struct_encode_fields__)
_DEFAULT_ERROR = {
    **MISSING_PERMISSIONS,
    "recommendedAction": ["Grant the vault's managed identity the required role on the datasource."],
    "details": [],
    "isUserError": True,
}


class _InstanceDocument(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`PUT /_simulator/instances`."""

    id: str
    protection_state: str = "ProtectionError"
    data_source_id: str | None = None
    behaviour: Json = {}
    policy: Policy = Policy()
    recovery_points: list[datetime] = []
    jobs: list[JobDocument] = []


class _Settings(Behaviour, frozen=True):
    """`PUT /_simulator/settings`: the default behaviour, and more."""

    topic_faults: tuple[Fault, ...] = ()
    graph_faults: tuple[Fault, ...] = ()
    page_size: Annotated[int, Meta(ge=1)] = 1
    revoke_tokens: bool = False
    write_burst: Annotated[int, Meta(ge=1)] | None = None
    writes_per_second: Annotated[float, Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        if (self.write_burst is None) != (self.writes_per_second is None):
            raise ValueError("writeBurst and writesPerSecond go together")


class Simulation:
    """Everything that the simulator consists of."""

    def __init__(self, base_url: str) -> None:
        """`base_url` is where its clients reach it, without a slash at its end."""
        self.vaults = Vaults()
        self.identity = ManagedIdentity()
        self.data_protection = DataProtection(self.vaults, base_url)
        self.graph = ResourceGraph(self.vaults)
        self.topics = Topics(self.identity)
        self.throttling = Throttling()
        self.request_log = RequestLog()

    def reset(self) -> None:
        """As freshly started; tokens that were issued stay good."""
        self.vaults.reset()
        self.data_protection.reset()
        self.graph.faults = []
        self.topics.reset()
        self.throttling.set_limit(None)
        self.request_log.reset()


def control_routes(simulation: Simulation) -> list[Route]:
    """The control plane. No token is asked for: it exists on a developer's machine only."""
    control = _ControlPlane(simulation)
    return [
        Route("/_simulator/instances", control.put_instances, methods=["PUT"]),
        Route("/_simulator/settings", control.put_settings, methods=["PUT"]),
        Route("/_simulator/requests", control.requests, methods=["GET"]),
        Route("/_simulator/events", control.events, methods=["GET"]),
        Route("/_simulator/reset", control.reset, methods=["POST"]),
    ]


class _ControlPlane:
    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def put_instances(self, request: Request) -> Response:
        """Create or replace one instance, or a list of them: all or none."""
        try:
            documents = msgspec.json.decode(await request.body(), type=list[_InstanceDocument] | _InstanceDocument)
            wanted = documents if isinstance(documents, list) else [documents]
            instances = [_new_instance(document) for document in wanted]
        except ValueError as error:
            return _refused(error)
        for instance in instances:
            self._simulation.vaults.put(instance)
        return JSONResponse({"value": [show_instance(instance, time.time()) for instance in instances]})

    async def put_settings(self, request: Request) -> Response:
        """Change what is named, leave the rest."""
        try:
            body = await request.body()
            settings = msgspec.json.decode(body, type=_Settings)
        except ValueError as error:
            return _refused(error)
        document: Json = msgspec.json.decode(body)
        self._simulation.vaults.set_defaults({key: document[key] for key in document if key in _BEHAVIOUR_KEYS})
        self._apply(settings, document)
        return Response(status_code=204)

    def _apply(self, settings: _Settings, document: Json) -> None:
        if "topicFaults" in document:
            self._simulation.topics.faults = list(settings.topic_faults)
        if "graphFaults" in document:
            self._simulation.graph.faults = list(settings.graph_faults)
        if "pageSize" in document:
            self._simulation.data_protection.page_size = settings.page_size
        if settings.revoke_tokens:
            self._simulation.identity.revoke()
        if settings.write_burst is not None and settings.writes_per_second is not None:
            self._simulation.throttling.set_limit(Limit(settings.write_burst, settings.writes_per_second))

    async def requests(self, request: Request) -> Response:
        """The request log from `since` on."""
        since = request.query_params.get("since", "0")
        if not since.isdecimal():
            return _refused(ValueError(f"since is the number of a request, got {since!r}"))
        return JSONResponse(self._simulation.request_log.since(int(since)))

    async def events(self, request: Request) -> Response:
        """The events that were published to a topic, or to any."""
        return JSONResponse({"events": self._simulation.topics.events(request.query_params.get("topic"))})

    async def reset(self, request: Request) -> Response:
        """Forget instances, requests, events and settings."""
        self._simulation.reset()
        return Response(status_code=204)


def _new_instance(document: _InstanceDocument) -> Instance:
    instance_id = InstanceId.parse(document.id)
    disk = f"{instance_id.group_path}/providers/Microsoft.Compute/disks/{instance_id.name}"
    return Instance(
        id=instance_id,
        protection_state=document.protection_state,
        error_details=_DEFAULT_ERROR if document.protection_state == "ProtectionError" else None,
        data_source_id=document.data_source_id or disk,
        behaviour=check_behaviour(document.behaviour),
        backups=Backups.of(document.policy, document.recovery_points, document.jobs),
    )


def _refused(error: ValueError) -> Response:
    return cloud_error(400, "InvalidSimulation", str(error))
