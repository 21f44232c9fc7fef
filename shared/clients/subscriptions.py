"""The subscriptions that the app's identity can see, with their names.

Source: REST reference "Subscriptions - List" (2022-12-01), which any identity may ask; it lists those in which the
identity has a role.
"""

from collections.abc import Mapping
from typing import Any

from shared.clients.arm_transport import ArmTransport, as_object, json_object, transient_failure
from shared.domain.arm_results import TransientFailure, new_error

_API_VERSION = "2022-12-01"
_MAX_PAGES = 20
"""Many times what a tenant has, and an end to links in a circle."""
_MAX_NAME_CHARS = 100
_MAX_ID_CHARS = 36
"""An id is a UUID."""


class Subscriptions:
    """Asks Resource Manager."""

    def __init__(self, endpoint: str, transport: ArmTransport) -> None:
        """Ask this endpoint, with the token."""
        self._url = f"{endpoint}/subscriptions?api-version={_API_VERSION}"
        self._next_link = f"{endpoint}/subscriptions?"
        self._transport = transport

    def names(self) -> Mapping[str, str] | TransientFailure:
        """The names of all subscriptions by their ids, in lower case; every page, or none."""
        names: dict[str, str] = {}
        url = self._url
        for _ in range(_MAX_PAGES):
            response = self._transport.send("GET", url)
            if isinstance(response, TransientFailure):
                return response
            if response.status_code != 200:
                return transient_failure(response)
            body = json_object(response)
            if not isinstance(body.get("value"), list):
                return TransientFailure(new_error("InvalidResponse", "subscriptions were listed without a list"))
            names |= dict(filter(None, map(_read, body["value"])))
            url = body.get("nextLink") or ""
            if not url:
                return names
            # Each URL gets the token.
            if not isinstance(url, str) or not url.startswith(self._next_link):
                return TransientFailure(new_error("UnsafeNextLink", f"next link {ascii(url)[:300]} is another's"))
        return TransientFailure(new_error("TooManyPages", f"more than {_MAX_PAGES} pages of subscriptions"))


def _read(entry: Any) -> tuple[str, str] | None:
    subscription_id, name = as_object(entry).get("subscriptionId"), as_object(entry).get("displayName")
    if not isinstance(subscription_id, str) or len(subscription_id) != _MAX_ID_CHARS:
        return None
    return subscription_id.lower(), name[:_MAX_NAME_CHARS] if isinstance(name, str) else ""
