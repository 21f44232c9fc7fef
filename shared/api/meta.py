"""The routes about the API itself: health, its OpenAPI document, and 404 or 405 for what no route serves."""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import azure.functions as func

from shared.api.errors import ApiError
from shared.api.health import PART_TIMEOUT, Health
from shared.api.responses import api_errors, conditional_response, error_response, json_response

_OPENAPI = Path(__file__).with_name("openapi.json")


@dataclass(frozen=True, slots=True)
class MetaApi:
    """The functions behind the routes."""

    health: Health

    def check_health(self) -> func.HttpResponse:
        """`GET /api/health`: 200 when all is well, else 503; the body says which part is not."""
        is_healthy, document = self.health.check(PART_TIMEOUT)
        return json_response(200 if is_healthy else 503, document, {"Cache-Control": "no-store"})

    @api_errors
    def describe(self, request: func.HttpRequest) -> func.HttpResponse:
        """`GET /api/openapi.json`."""
        return conditional_response(request, openapi())

    def unserved(self, request: func.HttpRequest) -> func.HttpResponse:
        """Any request that no route takes: 405 with `Allow` where only the method is wrong, 204 to `OPTIONS`, else 404.

        The Functions host itself would answer 404 with nothing in it to all of them.
        """
        path = request.route_params.get("path") or ""
        allowed = _allowed(path)
        if not allowed:
            return error_response(ApiError(404, "NotFound", f"there is nothing at /api/{ascii(path)[1:-1][:200]}"))
        headers = {"Allow": ", ".join(allowed)}
        if request.method.upper() == "OPTIONS":
            return func.HttpResponse(status_code=204, headers=headers)
        message = f"this path does not take {ascii(request.method)[1:-1][:20]}, only {headers['Allow']}"
        return json_response(405, ApiError(405, "MethodNotAllowed", message).body(), headers)


@cache
def openapi() -> dict[str, Any]:
    """The API in OpenAPI 3.1, as it is kept beside this module."""
    document: dict[str, Any] = json.loads(_OPENAPI.read_text(encoding="utf-8"))
    return document


def _allowed(path: str) -> list[str]:
    """The methods that a path takes; none if it is no path of the API."""
    methods: set[str] = set()
    for template, item in openapi()["paths"].items():
        if re.fullmatch(re.escape(template).replace(r"\{id\}", "[^/]+"), f"/{path.strip('/').lower()}"):
            methods |= {method.upper() for method in item if method != "parameters"}
    if "GET" in methods:
        methods.add("HEAD")
    return sorted(methods | {"OPTIONS"}) if methods else []
