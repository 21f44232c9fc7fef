"""Which failed operations of Resource Manager say that an instance's protection failed.

A failing sync is itself a failed action on the instance: healing it would go round in circles. Restores and
validations fail for reasons of their own and leave the instance's protection as it was. Of the rest, the
operator's setting decides.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

INSTANCES = "microsoft.dataprotection/backupvaults/backupinstances/"
"""How the names of all operations on backup instances begin, in lower case."""
_NEVER = ("sync/", "restore/", "rehydrate/", "validate", "findrestorabletimeranges/")
_CALLER_CLAIMS = ("appid", "azp", "oid", "http://schemas.microsoft.com/identity/claims/objectidentifier")
"""Whom the claims of an event name (Microsoft Learn, "Azure subscription as an Event Grid source")."""


def nobody() -> frozenset[str]:
    """The ids of an identity that is not known."""
    return frozenset()


@dataclass(frozen=True, slots=True)
class OperationRules:
    """What the installation says about failed operations."""

    counted: tuple[str, ...] = (f"{INSTANCES}*",)
    """Globs on the operation's name, in lower case: these count."""
    own_ids: Callable[[], frozenset[str]] = nobody
    """The application and object ids of the app's own identity; asked for only when an operation would count."""


def why_not(operation: str, data: Mapping[str, Any], rules: OperationRules) -> str | None:
    """Why this failed operation does not count; None if it does.

    Args:
        data: what says who did it: `claims` and `authorization`, each an object or its JSON as text.
    """
    name, shown = operation.lower(), ascii(operation[:200])
    if not name.startswith(INSTANCES):
        return f"{shown} is no operation on a backup instance"
    if name.removeprefix(INSTANCES).startswith(_NEVER):
        return f"{shown} says nothing about the protection of the instance"
    if not any(fnmatchcase(name, glob) for glob in rules.counted):
        return f"no glob of EVENT_OPERATIONS matches {shown}"
    callers = set(_callers(data))
    if callers and not callers.isdisjoint(_plain(own) for own in rules.own_ids()):
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


def _callers(data: Mapping[str, Any]) -> Iterator[str]:
    claims = as_object(data.get("claims"))
    evidence = as_object(as_object(data.get("authorization")).get("evidence"))
    for value in (*(claims.get(name) for name in _CALLER_CLAIMS), evidence.get("principalId")):
        if isinstance(value, str) and value:
            yield _plain(value)


def _plain(identifier: str) -> str:
    """A UUID as `evidence.principalId` has it: without dashes."""
    return identifier.replace("-", "").lower()
