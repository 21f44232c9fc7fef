"""The HTTP API about itself: is all well, what does it offer, and what it says to what it does not."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import azure.functions as func

from shared.api import alerts, openapi, remediations, sweep, sync
from shared.api.health import Health
from shared.api.responses import ApiError, api_errors, conditional_response, error_response, json_response
from shared.api.route_docs import ETAG, NOT_MODIFIED, READ, ResponseDoc, RouteDoc
from shared.api.schemas import HealthResource

_OWN = (
    RouteDoc(
        name="get_health",
        method="GET",
        path="health",
        summary="Whether the app can do its work, part by part.",
        answers={
            200: ResponseDoc("All is well.", HealthResource),
            503: ResponseDoc("Something is not; its check says what and why.", HealthResource),
        },
    ),
    RouteDoc(
        name="get_openapi",
        method="GET",
        path="openapi.json",
        summary="This description.",
        answers={200: ResponseDoc("OpenAPI 3.1.", {"type": "object"}, ETAG), 304: NOT_MODIFIED},
    ),
)
API_ROUTES = (
    *sync.OPERATIONS,
    *alerts.OPERATIONS,
    *sweep.OPERATIONS,
    *remediations.OPERATIONS,
    *_OWN,
)
"""The routes of the JSON API; those of the page come on top of them (`composition`)."""


@dataclass(frozen=True)
class HttpApi:
    """The functions behind the routes."""

    health: Health
    routes: Sequence[RouteDoc]
    """All routes of the app."""

    def healthy(self) -> func.HttpResponse:
        """`GET /api/health`: 200 when all is well, else 503; the body says what is not."""
        healthy, document = self.health.check()
        response = json_response(200 if healthy else 503, document)
        response.headers["Cache-Control"] = "no-store"
        return response

    def describe(self, request: func.HttpRequest) -> func.HttpResponse:
        """`GET /api/openapi.json`."""
        return api_errors(lambda: conditional_response(request, self._document))

    @cached_property
    def _document(self) -> Mapping[str, Any]:
        return openapi.document(self.routes)

    def unserved(self, request: func.HttpRequest) -> func.HttpResponse:
        """What no route takes: 405 with `Allow` where only the method is wrong, 204 to `OPTIONS`, else 404.

        The Functions host itself would answer 404 with nothing in it to all of them.
        """
        path = request.route_params.get("path") or ""
        allowed = _allowed(path, self.routes)
        if not allowed:
            return error_response(ApiError(404, "NotFound", f"there is nothing at /api/{ascii(path)[1:-1][:200]}"))
        headers = {"Allow": ", ".join(allowed)}
        if request.method.upper() == "OPTIONS":
            return func.HttpResponse(status_code=204, headers=headers)
        message = f"this path does not take {ascii(request.method)[1:-1][:20]}, only {headers['Allow']}"
        response = error_response(ApiError(405, "MethodNotAllowed", message))
        response.headers["Allow"] = headers["Allow"]
        return response


def _allowed(path: str, operations: Sequence[RouteDoc]) -> list[str]:
    """The methods that a path takes; none if it is no path of these."""
    asked = path.strip("/").lower()
    methods: set[str] = set()
    for operation in operations:
        if re.fullmatch(re.escape(operation.path).replace(r"\{id\}", "[^/]+"), asked):
            methods |= {*READ} if operation.method == "GET" else {operation.method}
    return sorted(methods | {"OPTIONS"}) if methods else []
