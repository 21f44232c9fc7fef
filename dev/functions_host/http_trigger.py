"""HTTP functions: find the route of a request, check its key, call the function and answer.

As in Azure, and unlike `func start`, which lets everything pass, keys are checked: a caller that forgets its
key fails here already. 401 and 404 have empty bodies, a failed function answers 500 with an empty body.
"""

from collections.abc import Iterable, Mapping, Sequence

from azure.functions.meta import Datum
from starlette.requests import Request
from starlette.responses import Response

from dev.functions_host.invoker import Invoker
from dev.functions_host.routes import Route, find_route
from dev.functions_host.settings import Keys


def given_key(request: Request) -> str | None:
    """The access key of a request: query `code` or header `x-functions-key`."""
    return request.query_params.get("code") or request.headers.get("x-functions-key")


class HttpTriggers:
    """Serves all HTTP functions of the app."""

    def __init__(self, routes: Sequence[Route], keys: Keys, invoker: Invoker) -> None:
        self._routes = routes
        self._keys = keys
        self._invoker = invoker

    async def answer(self, request: Request) -> Response:
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
        if outcome.returned is None:
            return Response(status_code=500)
        value = outcome.returned.value
        headers = {name: datum.value for name, datum in value["headers"].items()}
        return Response(value["body"].value, int(value["status_code"].value), headers)


def raw_path(request: Request) -> str:
    """The percent-encoded path: an encoded slash inside a route parameter must not split it."""
    return bytes(request.scope["raw_path"]).decode("latin-1").partition("?")[0]


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
