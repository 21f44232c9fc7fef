"""Which failed operations of Resource Manager say that an instance's protection failed.

A failing sync is itself a failed action on the instance: healing it would go round in circles. Restores and
validations fail for reasons of their own and leave the instance's protection as it was. Of the rest, the
operator's setting decides.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from shared.domain.resource_ids import INSTANCE_OPERATIONS

_NEVER = ("sync/", "restore/", "rehydrate/", "validate", "findrestorabletimeranges/")
_APPLICATION_CLAIMS = ("appid", "azp")
"""Where the claims of a token name the application that it was given to (Microsoft Learn, "Access token claims")."""


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """What the installation says about failed operations."""

    counted: tuple[str, ...] = (f"{INSTANCE_OPERATIONS}*",)
    """Globs on the operation's name, in lower case: these count."""
    own_client_id: str | None = None
    """The app's user-assigned identity, which others may use too: what it does never counts.

    A system-assigned identity is the app's alone, and the app itself does nothing but sync.
    """


def ignore_reason(operation: str, data: Mapping[str, Any], rules: OperationFilter) -> str | None:
    """Why this failed operation does not count; None if it does.

    Args:
        data: what says who did it: `claims`, an object or its JSON as text.
    """
    name, shown = operation.lower(), ascii(operation[:200])
    if not name.startswith(INSTANCE_OPERATIONS):
        return f"{shown} is no operation on a backup instance"
    if f"{name.removeprefix(INSTANCE_OPERATIONS)}/".startswith(_NEVER):
        return f"{shown} says nothing about the protection of the instance"
    if not any(fnmatchcase(name, glob) for glob in rules.counted):
        return f"no glob of EVENT_OPERATIONS matches {shown}"
    if _is_own(as_object(data.get("claims")), rules.own_client_id):
        return f"{shown} was this app's own doing"
    return None


def as_object(value: object) -> Mapping[str, Any]:
    """An object that came as one or as its JSON text, as Azure does with `claims`; anything else is empty."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _is_own(claims: Mapping[str, Any], own: str | None) -> bool:
    named = (claims.get(name) for name in _APPLICATION_CLAIMS)
    return own is not None and any(isinstance(one, str) and one.lower() == own.lower() for one in named)
