"""Event Grid custom topics that take batches of CloudEvents and keep them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from dev.azure_simulator.behaviour import Fault, Json
from dev.azure_simulator.errors import cloud_error, fault_response
from dev.azure_simulator.managed_identity import TOPIC_AUDIENCES, ManagedIdentity, TokenRefused

_BATCH = "application/cloudevents-batch+json"
_MAX_REQUEST_BYTES = 1024 * 1024
"""For all events of one request (Event Grid, "Quotas and limits")."""

_Text = Annotated[str, Meta(min_length=1)]


class _CloudEvent(msgspec.Struct):
    """The attributes that CloudEvents 1.0 requires."""

    id: _Text
    source: _Text
    type: _Text
    specversion: Literal["1.0"]


class Topics:
    """Every topic, by a name in any casing; each exists once something is published to it."""

    def __init__(self, identity: ManagedIdentity) -> None:
        """`identity` tells who may publish."""
        self._identity = identity
        self.reset()

    def reset(self) -> None:
        """Forget the events and the faults."""
        self._events: list[tuple[str, Json]] = []
        self.faults: list[Fault] = []
        """Used up one per request to publish."""

    def events(self, topic: str | None) -> list[Json]:
        """The events of one topic, or of all, in the order of their arrival, repeats included."""
        return [event for name, event in self._events if topic is None or name == topic.lower()]

    def publish(self, topic: str, request: Request, body: bytes) -> Response:
        """Keep the events, all or none of them."""
        try:
            self._identity.check(request.headers.get("authorization"), TOPIC_AUDIENCES)
        except TokenRefused as refused:
            return cloud_error(401, "Unauthorized", refused.message)
        if self.faults:
            return fault_response(self.faults.pop(0))
        if len(body) > _MAX_REQUEST_BYTES:
            return cloud_error(413, "PayloadTooLarge", f"The maximum size is {_MAX_REQUEST_BYTES} bytes.")
        kind = request.headers.get("content-type", "").partition(";")[0]
        if kind != _BATCH:
            return _bad_request(f"the content type is {kind!r}, expected {_BATCH}")
        try:
            msgspec.json.decode(body, type=list[_CloudEvent])
        except msgspec.DecodeError as error:
            return _bad_request(str(error))
        self._events.extend((topic.lower(), event) for event in msgspec.json.decode(body))
        return Response()


def _bad_request(reason: str) -> Response:
    return cloud_error(400, "BadRequest", f"This resource is configured for 'CloudEvents 1.0': {reason}")
