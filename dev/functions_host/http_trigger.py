"""HTTP functions: a Starlette endpoint that finds the route, checks the key and calls the function.

As in Azure, and unlike `func start`, which lets everything pass, keys are checked: a caller that forgets its
key fails here already. 401 and 404 have empty bodies, a failed function answers 500 with an empty body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from azure.functions.meta import Datum
from starlette.requests import Request
from starlette.responses import Response

from dev.functions_host.invoker import Invoker
from dev.functions_host.routes import Route, find_route
from dev.functions_host.settings import Keys

# What Starlette and uvicorn set from the body; a second, different value would corrupt the response.
_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})
_BODILESS = frozenset({204, 304})


def given_key(request: Request) -> str | None:
    """The access key of a request: query `code` or header `x-functions-key`."""
    return request.query_params.get("code") or request.headers.get("x-functions-key")


class HttpTriggers:
    """Serves all HTTP functions of the app."""

    def __init__(self, routes: Sequence[Route], keys: Keys, invoker: Invoker) -> None:
        self._routes = routes
        self._keys = keys
        self._invoker = invoker

    async def endpoint(self, request: Request) -> Response:
        """Answer one request: 404 for route or method, 401 for the key, 500 on failure, or the result."""
        found = find_route(self._routes, request.method, raw_path(request).strip("/"))
        if found is None:
            return Response(status_code=404)
        route, parameters = found
        if not self._keys.opens(route.level, given_key(request)):
            return Response(status_code=401)
        outcome = await self._invoker.invoke(
            route.function,
            request_datum(request, parameters, await request.body()),
            reason="This function was programmatically called via the host APIs.",
        )
        if not outcome.succeeded:
            return Response(status_code=500)
        return to_response(outcome.returned)


def raw_path(request: Request) -> str:
    """The percent-encoded path: an encoded slash inside a route parameter must not split it."""
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    return bytes(raw).decode("latin-1").partition("?")[0]


def request_datum(request: Request, parameters: Mapping[str, str], body: bytes) -> Datum:
    """The request as the worker gets it: repeated headers and query parameters are joined by commas."""
    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(str(request.url), "string"),
            "headers": _strings(request.headers.items()),
            "query": _strings(request.query_params.multi_items()),
            "params": _strings(parameters.items()),
            "body": Datum(body, "bytes"),
        },
        "http",
    )


def _strings(pairs: Iterable[tuple[str, str]]) -> dict[str, Datum]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return {name: Datum(value, "string") for name, value in joined.items()}


def to_response(returned: Datum | None) -> Response:
    """The function's answer on the wire: HttpResponse, text, or 204 when it has no output at all."""
    if returned is None or returned.value is None:
        return Response(status_code=204)
    if returned.type != "http":
        return Response(returned.value, media_type="text/plain")
    return _http_response(returned.value)


def _http_response(value: Mapping[str, Any]) -> Response:
    status = int(value["status_code"].value)
    headers = {name: datum.value for name, datum in value["headers"].items()}
    kept = {name: text for name, text in headers.items() if name.lower() not in _FRAMING_HEADERS}
    body = b"" if status in _BODILESS else value["body"].value
    response = Response(body, status_code=status, headers=kept)
    for cookie in value.get("cookies") or ():
        for morsel in cookie.values():
            response.headers.append("set-cookie", morsel.OutputString())
    return response
