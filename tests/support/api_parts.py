"""The HTTP API on storage in memory: requests, and responses that must be as openapi.json describes them."""

import json
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any, NoReturn, cast

import azure.functions as func
from azure.core.exceptions import ServiceRequestError
from azure.data.tables import TableClient
from jsonschema import Draft202012Validator

from shared.api.health import Health
from shared.api.meta import MetaApi, openapi
from shared.api.remediations import RemediationsApi
from shared.api.signed_in_request import Principal, Role, SignedInRequest
from shared.domain.arm_results import InstanceResult, OperationResult, OperationUrls
from shared.domain.mode import Mode
from shared.domain.remediation import Remediation
from shared.domain.resource_ids import BackupInstanceId
from shared.healing.acknowledge import Acknowledge
from shared.healing.cancel import Cancel
from shared.healing.dry_run import DryRun
from shared.healing.incidents import Incidents
from shared.healing.intake import Intake
from shared.healing.pausing import Pausing
from shared.healing.poll_cache import PollCache
from shared.healing.recorder import Recorder
from shared.rate_limits.rate_limiter import Gcra, RateLimiter
from shared.settings import Settings
from shared.storage.pause_store import PauseStore
from shared.storage.table_rows import LatestPointer, Stored
from tests.support.memory_queue import MemoryQueue
from tests.support.memory_store import MemoryStore
from tests.support.remediations import LATER, NOW, read

Json = dict[str, Any]


ADA = "ada@example.com"


def unexpected() -> NoReturn:
    """A part that the request must not need."""
    raise AssertionError


DEFAULTS = Settings()
_NO_PARTS = (unexpected, unexpected, unexpected, unexpected, unexpected, unexpected, unexpected)
META = MetaApi(Health(*_NO_PARTS, Mode.HEAL, unexpected))


def http_request(
    method: str,
    path: str,
    /,
    body: object = b"",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    **route: str,
) -> func.HttpRequest:
    """A request with these bytes, or with this as JSON."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"https://app.example/api{path}"
    return func.HttpRequest(method, url, headers=headers, params=query, route_params=route, body=encoded)


def signed_in(request: func.HttpRequest, role: Role | None = Role.OPERATOR) -> SignedInRequest:
    """The same request, of somebody who has signed in."""
    return SignedInRequest(request, Principal(ADA, role), request.route_params)


def document(response: func.HttpResponse) -> Json:
    decoded: Json = json.loads(response.get_body())
    return decoded


def error(response: func.HttpResponse) -> Json:
    decoded: Json = document(response)["error"]
    return decoded


def intake(store: MemoryStore, settings: Settings = DEFAULTS) -> Intake:
    return Intake(store, MemoryQueue(), PollCache(), settings.policy(), lambda: NOW)


class ShownInstance:
    """Resource Manager that shows every instance so."""

    def __init__(self, result: InstanceResult) -> None:
        self.result = result
        self.reads = 0

    def read(self, instance: BackupInstanceId) -> InstanceResult:
        self.reads += 1
        return self.result

    def operation(self, instance: BackupInstanceId, urls: OperationUrls) -> OperationResult:
        raise AssertionError


PLENTY = Gcra(burst=100, rate=100)
BROKEN = ShownInstance(read("ProtectionError"))


def dry_run(
    store: MemoryStore, settings: Settings = DEFAULTS, arm: ShownInstance = BROKEN, limit: Gcra = PLENTY
) -> DryRun:
    reads = RateLimiter("reads", limit, store.buckets, lambda: NOW)
    return DryRun(intake(store, settings), arm, reads, lambda: NOW)


def recorder(store: MemoryStore, announces: bool = True) -> Recorder:
    """Stores the steps of operators."""
    incidents = Incidents(store, Settings().policy(), timedelta(), lambda: LATER)
    return Recorder(store, PollCache(), incidents, announces)


def acknowledge(store: MemoryStore) -> Acknowledge:
    return Acknowledge(store, recorder(store), lambda: LATER)


def pausing(store: MemoryStore, mode: Mode = Mode.HEAL) -> Pausing:
    return Pausing(mode, PauseStore(cast(TableClient, store.table), lambda: LATER), lambda: LATER)


def cancel(store: MemoryStore) -> Cancel:
    return Cancel(store, recorder(store), lambda: LATER)


def get_remediation(store: MemoryStore, remediation_id: str, **headers: str) -> func.HttpResponse:
    request = http_request("GET", "/remediations/{id}", headers=headers, id=remediation_id)
    response = RemediationsApi(
        unexpected, lambda: store, unexpected, unexpected, lambda: NOW, subscription_names=dict
    ).show(request)
    return described(response, "GET", "/remediations/{id}")


def post_cancel(store: MemoryStore, remediation_id: str, body: object = b"", **headers: str) -> func.HttpResponse:
    request = http_request("POST", "/remediations/{id}/cancel", body, headers, id=remediation_id)
    response = RemediationsApi(
        lambda: cancel(store), unexpected, unexpected, unexpected, lambda: NOW, subscription_names=dict
    ).cancel(request)
    return described(response, "POST", "/remediations/{id}/cancel")


def unserved(method: str, path: str) -> func.HttpResponse:
    response = META.unserved(http_request(method, f"/{path}", path=path))
    return response if response.status_code == 204 else valid(response, {"$ref": "#/components/schemas/ErrorResource"})


class FailingStore(MemoryStore):
    """Opens so many remediations before storage fails."""

    def __init__(self, openings: int) -> None:
        super().__init__()
        self._openings = openings

    def open(self, remediation: Remediation, pointer: LatestPointer | None, opener: str | None = None) -> Stored:
        self._openings -= 1
        if self._openings < 0:
            raise ServiceRequestError("no connection")
        return super().open(remediation, pointer, opener)


def store_with(remediation: Remediation) -> MemoryStore:
    store = MemoryStore()
    store.open(remediation, None)
    return store


def described(response: func.HttpResponse, method: str, path: str) -> func.HttpResponse:
    """The response, with status, headers and body as the route's description promises them."""
    promised = openapi()["paths"][path][method.lower()]["responses"][str(response.status_code)]
    assert [name for name in promised.get("headers", ()) if not response.headers.get(name)] == []
    if "content" not in promised:
        assert response.get_body() == b""
        return response
    schema = promised["content"][response.mimetype]["schema"]
    return valid(response, schema) if response.mimetype == "application/json" else response


def valid(response: func.HttpResponse, schema: Json) -> func.HttpResponse:
    """The response, with a body of this schema and no field of which the schema says nothing."""
    assert [problem.message for problem in _validator(json.dumps(schema)).iter_errors(document(response))] == []
    return response


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(_closed(json.loads(schema)), format_checker=Draft202012Validator.FORMAT_CHECKER)


def _closed(schema: Any) -> Any:
    """The schema in one piece, which jsonschema reads faster, and with all fields that are allowed."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _closed(openapi()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    closed = {key: _closed(value) for key, value in schema.items()}
    return {"additionalProperties": False, **closed} if "properties" in closed else closed
