"""The Event Grid webhook: POST /runtime/webhooks/EventGrid?functionName=NAME&code=SYSTEMKEY.

Behaviour of Microsoft.Azure.WebJobs.Extensions.EventGrid's request processor, and 400 for a body that is no JSON.
One invocation per event; the answer is 202 when all succeeded and 500 when one failed, so that Event Grid
delivers the whole batch again: at-least-once, as in Azure.
"""

import asyncio
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from azure.functions.meta import Datum
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from dev.functions_host.bindings import LocalFunction
from dev.functions_host.http_trigger import given_key
from dev.functions_host.invoker import Invoker
from dev.functions_host.settings import Keys

Event = dict[str, Any]


class EventGridWebhook:
    """Serves all Event Grid functions of the app."""

    def __init__(self, functions: Iterable[LocalFunction], keys: Keys, invoker: Invoker) -> None:
        self._functions = {
            function.name.lower(): function for function in functions if function.trigger.type == "eventGridTrigger"
        }
        self._keys = keys
        self._invoker = invoker

    async def answer(self, request: Request) -> Response:
        """Answer one delivery or handshake: 401 key, 404 unknown function, 400 not events, 202, 500."""
        if not self._keys.opens("system", given_key(request)):
            return Response(status_code=401)
        name = request.query_params.get("functionName", "")
        function = self._functions.get(name.lower())
        if function is None:
            return PlainTextResponse(f"cannot find function: '{name}'", 404)
        try:
            decoded = msgspec.json.decode(await request.body(), type=list[Event] | Event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return PlainTextResponse(f"the body is neither an event nor an array of events: {error}", 400)
        events = decoded if isinstance(decoded, list) else [decoded]
        match request.headers.get("aeg-event-type", "").lower():
            case "notification":
                return await self._deliver(function, events)
            case "subscriptionvalidation":
                return _validation_response(events)
            case _:
                return PlainTextResponse("expected the header aeg-event-type", 400)

    async def _deliver(self, function: LocalFunction, events: list[Event]) -> Response:
        reason = f"EventGrid trigger fired at {datetime.now(UTC).isoformat()}"
        data = [Datum(json.dumps(event), "json") for event in events]
        outcomes = await asyncio.gather(*(self._invoker.invoke(function, datum, reason=reason) for datum in data))
        if not all(outcome.succeeded for outcome in outcomes):
            return PlainTextResponse(f"Exception while executing function: {function.name}", 500)
        return Response(status_code=202)


def _validation_response(events: list[Event]) -> Response:
    data = events[0].get("data") if events else None
    if not isinstance(data, dict) or "validationCode" not in data:
        return PlainTextResponse("the validation event has no data.validationCode", 400)
    return JSONResponse({"validationResponse": data["validationCode"]})
