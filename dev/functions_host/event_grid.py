"""The Event Grid webhook: POST /runtime/webhooks/EventGrid?functionName=NAME&code=SYSTEMKEY.

Behaviour of Microsoft.Azure.WebJobs.Extensions.EventGrid's request processor, with three things that the
Azure platform does around it: the CloudEvents OPTIONS handshake (github.com/cloudevents/spec, http-webhook),
CloudEvents recognised by content type without an `aeg-event-type` header, and 400 for a body that is no JSON.
One invocation per event; the answer is 202 when all succeeded and 500 when one failed, so that Event Grid
delivers the whole batch again: at-least-once, as in Azure.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from azure.functions.meta import Datum
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from dev.functions_host.bindings import LocalFunction
from dev.functions_host.http_trigger import given_key
from dev.functions_host.invoker import Invoker
from dev.functions_host.settings import Keys

_logger = logging.getLogger("Host.EventGrid")
_CLOUD_EVENT_TYPES = ("application/cloudevents+json", "application/cloudevents-batch+json")


class BadDeliveryError(Exception):
    """A delivery whose body is not events; the message is the answer's text."""


class EventGridWebhook:
    """Serves all Event Grid functions of the app."""

    def __init__(self, functions: Iterable[LocalFunction], keys: Keys, invoker: Invoker) -> None:
        self._functions = {
            function.name.lower(): function for function in functions if function.trigger.type == "eventGridTrigger"
        }
        self._keys = keys
        self._invoker = invoker

    async def endpoint(self, request: Request) -> Response:
        """Answer one delivery or handshake: 401 key, 404 unknown function, 400 not events, 202, 500."""
        # Starlette matches paths with case; the real host knows this one in any casing.
        if request.path_params["extension"].lower() != "eventgrid":
            return Response(status_code=404)
        if not self._keys.opens("system", given_key(request)):
            return Response(status_code=401)
        name = request.query_params.get("functionName", "")
        function = self._functions.get(name.lower())
        if function is None:
            return PlainTextResponse(f"cannot find function: '{name}'", status_code=404)
        if request.method == "OPTIONS":
            return _cloud_events_handshake(request)
        kind = _kind(request)
        if kind == "unsubscribe":
            return Response(status_code=202)
        if kind not in ("subscriptionvalidation", "notification"):
            return PlainTextResponse("expected the header aeg-event-type", status_code=400)
        try:
            events = _events(await request.body())
            if kind == "subscriptionvalidation":
                return _validation_response(function.name, events)
        except BadDeliveryError as error:
            return PlainTextResponse(str(error), status_code=400)
        return await self._deliver(function, events)

    async def _deliver(self, function: LocalFunction, events: list[dict[str, Any]]) -> Response:
        reason = f"EventGrid trigger fired at {datetime.now(UTC).isoformat()}"
        data = [Datum(json.dumps(event), "json") for event in events]
        invocations = [self._invoker.invoke(function, datum, reason=reason) for datum in data]
        outcomes = await asyncio.gather(*invocations)
        if not all(outcome.succeeded for outcome in outcomes):
            return PlainTextResponse(f"Exception while executing function: {function.name}", status_code=500)
        return Response(status_code=202)


def _kind(request: Request) -> str:
    header = request.headers.get("aeg-event-type", "").lower()
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return "notification" if not header and content_type in _CLOUD_EVENT_TYPES else header


def _events(body: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise BadDeliveryError(f"the body is not JSON: {error}") from error
    events = document if isinstance(document, list) else [document]
    if not all(isinstance(event, dict) for event in events):
        raise BadDeliveryError("the body is neither an event nor an array of events")
    return events


def _validation_response(function: str, events: list[dict[str, Any]]) -> Response:
    data = events[0].get("data") if events else None
    if isinstance(data, str):  # a CloudEvents subscription sends its data encoded once more
        try:
            data = json.loads(data)
        except ValueError as error:
            raise BadDeliveryError(f"the validation event's data is not JSON: {error}") from error
    if not isinstance(data, dict) or "validationCode" not in data:
        raise BadDeliveryError("the validation event has no data.validationCode")
    _logger.info("perform handshake with eventGrid for function: %s", function)
    return JSONResponse({"validationResponse": data["validationCode"]})


def _cloud_events_handshake(request: Request) -> Response:
    origin = request.headers.get("webhook-request-origin")
    if not origin:
        return PlainTextResponse("expected the header WebHook-Request-Origin", status_code=400)
    rate = request.headers.get("webhook-request-rate", "*")
    return Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": rate, "Allow": "POST"})
