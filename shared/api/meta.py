"""The HTTP API about itself: is all well, what does it offer, and what it says to what it does not."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import azure.functions as func

from shared.api import alerts, openapi, remediations, sweep, sync
from shared.api.health import Health
from shared.api.responses import Refusal, answered, json_answer, read_answer, refused
from shared.api.route_docs import ETAG, NOT_MODIFIED, READ, Answer, Operation
from shared.api.schemas import HealthResource
from shared.dashboard import route_docs

_OWN = (
    Operation(
        name="get_health",
        method="GET",
        path="health",
        summary="Whether the app can do its work, part by part.",
        answers={
            200: Answer("All is well.", HealthResource),
            503: Answer("Something is not; its check says what and why.", HealthResource),
        },
    ),
    Operation(
        name="get_openapi",
        method="GET",
        path="openapi.json",
        summary="This description.",
        answers={200: Answer("OpenAPI 3.1.", {"type": "object"}, ETAG), 304: NOT_MODIFIED},
    ),
)
OPERATIONS = (
    *sync.OPERATIONS,
    *alerts.OPERATIONS,
    *sweep.OPERATIONS,
    *remediations.OPERATIONS,
    *route_docs.OPERATIONS,
    *_OWN,
)
"""All that the API offers; a test holds them beside the routes."""


@dataclass(frozen=True, slots=True)
class HttpApi:
    """The functions behind the routes."""

    health: Health

    def healthy(self) -> func.HttpResponse:
        """`GET /api/health`: 200 when all is well, else 503; the body says what is not."""
        healthy, document = self.health.check()
        response = json_answer(200 if healthy else 503, document)
        response.headers["Cache-Control"] = "no-store"
        return response

    def describe(self, request: func.HttpRequest) -> func.HttpResponse:
        """`GET /api/openapi.json`."""
        return answered(lambda: read_answer(request, _description()))

    def unserved(self, request: func.HttpRequest) -> func.HttpResponse:
        """What no route takes: 405 with `Allow` where only the method is wrong, 204 to `OPTIONS`, else 404.

        The Functions host itself would answer 404 with nothing in it to all of them.
        """
        path = request.route_params.get("path") or ""
        allowed = _allowed(path, OPERATIONS)
        if not allowed:
            return refused(Refusal(404, "NotFound", f"there is nothing at /api/{ascii(path)[1:-1][:200]}"))
        headers = {"Allow": ", ".join(allowed)}
        if request.method.upper() == "OPTIONS":
            return func.HttpResponse(status_code=204, headers=headers)
        message = f"this path does not take {ascii(request.method)[1:-1][:20]}, only {headers['Allow']}"
        response = refused(Refusal(405, "MethodNotAllowed", message))
        response.headers["Allow"] = headers["Allow"]
        return response


@cache
def _description() -> Mapping[str, Any]:
    return openapi.document(OPERATIONS)


def _allowed(path: str, operations: Sequence[Operation]) -> list[str]:
    """The methods that a path takes; none if it is no path of these."""
    asked = path.strip("/").lower()
    methods: set[str] = set()
    for operation in operations:
        if re.fullmatch(re.escape(operation.path).replace(r"\{id\}", "[^/]+"), asked):
            methods |= {*READ} if operation.method == "GET" else {operation.method}
    return sorted(methods | {"OPTIONS"}) if methods else []
