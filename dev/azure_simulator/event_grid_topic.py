"""An Event Grid custom topic that takes CloudEvents and keeps them."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dev.azure_simulator.behaviour import Fault, FaultsUsed, Json
from dev.azure_simulator.errors import cloud_error, fault_response
from dev.azure_simulator.managed_identity import TOPIC_AUDIENCES, TokenRefused, Tokens

_ONE = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_REQUIRED = ("id", "source", "type")
_LARGEST_REQUEST = 1024 * 1024
"""Bytes, for all events of one request (Event Grid, "Quotas and limits")."""


class Topics:
    """Every topic, by a name in any casing; each exists once something is published to it."""

    def __init__(self, tokens: Tokens) -> None:
        """`tokens` tells who may publish."""
        self._tokens = tokens
        self.reset()

    def reset(self) -> None:
        """Forget the events and the faults."""
        self._events: list[tuple[str, Json]] = []
        self._faults: tuple[Fault, ...] = ()
        self._used = FaultsUsed()

    def set_faults(self, faults: tuple[Fault, ...]) -> None:
        """Use these up, one per request to publish."""
        self._faults = faults
        self._used = FaultsUsed()

    def events(self, topic: str | None) -> list[Json]:
        """The events of one topic, or of all, in the order of their arrival, repeats included."""
        return [event for name, event in self._events if topic is None or name == topic.lower()]

    def publish(self, topic: str, request: Request, body: bytes) -> Response:
        """Keep the events, all or none of them."""
        try:
            self._tokens.check(request.headers.get("authorization"), TOPIC_AUDIENCES)
        except TokenRefused as refused:
            return cloud_error(401, "Unauthorized", refused.message)
        if fault := self._used.take("topicFaults", self._faults):
            return fault_response(fault)
        if len(body) > _LARGEST_REQUEST:
            return cloud_error(413, "PayloadTooLarge", f"The maximum size is {_LARGEST_REQUEST} bytes.")
        try:
            events = _read_events(request.headers.get("content-type", ""), body)
        except ValueError as error:
            return cloud_error(400, "BadRequest", f"This resource is configured for 'CloudEvents 1.0': {error}")
        self._events.extend((topic.lower(), event) for event in events)
        return Response()


def _read_events(content_type: str, body: bytes) -> list[Json]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (_ONE, _BATCH):
        raise ValueError(f"the content type is {kind!r}, expected {_ONE} or {_BATCH}")
    document = json.loads(body)
    events = document if kind == _BATCH else [document]
    if not isinstance(events, list):
        raise ValueError("a batch is a JSON array")
    for event in events:
        _check_event(event)
    return events


def _check_event(event: Any) -> None:
    if not isinstance(event, dict) or event.get("specversion") != "1.0":
        raise ValueError("an event is a JSON object with specversion '1.0'")
    for name in _REQUIRED:
        if not isinstance(event.get(name), str) or not event[name]:
            raise ValueError(f"the attribute {name!r} is required")
