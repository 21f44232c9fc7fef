"""The Event Grid binding, changed so that it hands over an event as the text that came.

The converter of `azure-functions` raises for what it cannot decode: a time that is none or has an offset, JSON nested
too deeply. The invocation fails before the app is asked, and Event Grid delivers the event again, for up to a day. The
worker takes only `EventGridEvent` and `CloudEvent` as annotations of this trigger (not `str`), and
`register_converter` replaces only the bindings of Durable Functions. What the worker calls is the `decode` of the
converter that `get_binding_registry` names (azure_functions_runtime, `bindings/meta.py`): that one is replaced.
"""

import json
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum


class RawEvent(func.EventGridEvent):
    """An event of either schema, not read yet."""

    def __init__(self, text: str) -> None:
        """`text` is the event's JSON."""
        super().__init__(id="", data={}, topic="", subject="", event_type="", event_time=None, data_version="")
        self.text = text


def hand_over_text() -> None:
    """Let the Event Grid trigger's argument be a `RawEvent`, whatever comes."""
    library: Any = func
    library.get_binding_registry().get("eventGridTrigger").decode = staticmethod(_decode)


def event_text(event: func.EventGridEvent | func.CloudEvent) -> str:
    """The event's JSON.

    A worker that no longer calls the replaced converter hands over what the library decoded: it is written anew.
    """
    if isinstance(event, RawEvent):
        return event.text
    time = getattr(event, "event_time", None) or getattr(event, "time", None)
    fields = {
        "eventType": getattr(event, "event_type", None) or getattr(event, "type", None),
        "eventTime": time.isoformat() if time else None,
        "subject": event.subject,
        "data": event.get_json(),
    }
    return json.dumps(fields)


def _decode(data: Datum, *, trigger_metadata: object) -> RawEvent:
    value = data.value
    return RawEvent(value.decode(errors="replace") if isinstance(value, bytes) else str(value))
