"""ARM ids of any kind as scopes: a subscription, a resource group, or a resource. Pure.

They come from events and from Azure's answers, and are compared only: none becomes a part of a URL.
"""

import re

from shared.domain.resource_ids import fold

MAX_SCOPE_CHARS = 1_000
_SCOPE = re.compile(
    r"/subscriptions/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:/resourcegroups/(?P<group>[^/]+))?(?:/[^/]+)*"
)
_AUTHORIZATION = "/providers/microsoft.authorization/"


def read_scope(value: object) -> str | None:
    """The id in lower case, without a slash at its end; None if the value is no id of a subscription's.

    Of a role assignment or a lock it is what that acts on: the part before `/providers/Microsoft.Authorization/`.
    """
    if not isinstance(value, str) or len(value) > MAX_SCOPE_CHARS or not value.isprintable():
        return None
    scope = fold(value.strip()).partition(_AUTHORIZATION)[0].rstrip("/")
    return scope if _SCOPE.fullmatch(scope) else None


def subscription_of(scope: str) -> str:
    """The id of the subscription that a scope is in, or is."""
    return scope.split("/")[2]


def group_of(scope: str) -> str | None:
    """The name of the resource group that a scope is in, or is; None if it is in none."""
    match = _SCOPE.fullmatch(scope)
    return match["group"] if match else None


def is_within(scope: str, outer: str) -> bool:
    """Whether a scope is the other one, or below it."""
    return scope == outer or scope.startswith(f"{outer}/")
