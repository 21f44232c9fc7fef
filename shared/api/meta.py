"""The routes about the API itself: health, its OpenAPI document, and 404 or 405 for what no route serves."""

import json
import re
from collections.abc import Collection, Mapping
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
        found = find_path(path)
        return not_taken(request.method, f"/api/{path}", _methods(openapi()["paths"][found[0]]) if found else ())


@cache
def openapi() -> dict[str, Any]:
    """The API in OpenAPI 3.1, as it is kept beside this module."""
    document: dict[str, Any] = json.loads(_OPENAPI.read_text(encoding="utf-8"))
    return document


def find_path(path: str) -> tuple[str, dict[str, str]] | None:
    """The path of the description that a request's path, after `/api/`, is one of, and the parameters in it."""
    for template in openapi()["paths"]:
        pattern = re.escape(template).replace(r"\{id\}", "(?P<id>[^/]+)")
        if found := re.fullmatch(pattern, f"/{path.strip('/')}", re.IGNORECASE):
            return template, found.groupdict()
    return None


def not_taken(method: str, path: str, methods: Collection[str]) -> func.HttpResponse:
    """404 if the path takes no method, 204 to `OPTIONS`, else 405."""
    if not methods:
        return error_response(ApiError(404, "NotFound", f"there is nothing at {ascii(path)[1:-1][:200]}"))
    allowed = {*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    headers = {"Allow": ", ".join(sorted(allowed))}
    if method.upper() == "OPTIONS":
        return func.HttpResponse(status_code=204, headers=headers)
    message = f"this path does not take {ascii(method)[1:-1][:20]}, only {headers['Allow']}"
    return json_response(405, ApiError(405, "MethodNotAllowed", message).body(), headers)


def _methods(item: Mapping[str, Any]) -> set[str]:
    return {method.upper() for method in item if method != "parameters"}
