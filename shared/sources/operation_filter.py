"""Filter of failed Resource Manager operations: which of them say that an instance's protection failed.

A failing sync is itself a failed action on the instance: healing it would go round in circles. Restores, reads and
validations fail for reasons of their own and leave the instance's protection as it was. Who deletes an instance, or
stops or suspends its backups, does not want it mended. Of the rest, the operator's setting decides. The list is the
same for events and for alerts.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from shared.domain.resource_ids import INSTANCE_OPERATIONS, fold
from shared.sources.json_text import parse_object

_IGNORED = (
    "sync/",
    "restore/",
    "rehydrate/",
    "validate",
    "findrestorabletimeranges/",
    "recoverypoints/",
    "operationresults/",
    "delete/",
    "stopprotection/",
    "suspendbackups/",
    "read/",
)
"""How the names of operations that never count begin, after `INSTANCE_OPERATIONS` (Microsoft Learn, "Azure
permissions for Storage", Microsoft.DataProtection)."""
_IDENTITY_CLAIMS = ("appid", "azp", "oid", "http://schemas.microsoft.com/identity/claims/objectidentifier")
"""Where the claims of a token name the application that it was given to, and its object id (Microsoft Learn, "Access
token claims reference"; the last as events and the activity log write it)."""


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """The settings that decide which failed operations count."""

    names: tuple[str, ...] = (f"{INSTANCE_OPERATIONS}*",)
    """Globs on the operation's name, in lower case: these count."""
    own_ids: Callable[[], Collection[str]] = tuple
    """Client or object ids of the app's identity, in lower case, asked for only where an operation would count.

    What it does never counts: a backup on demand that fails is seen by its remediation.
    """

    def ignore_reason(self, operation: str, data: Mapping[str, Any]) -> str | None:
        """Why this failed operation does not count; None if it does.

        Args:
            data: the event or alert context; its `claims`, an object or JSON text, say who did it.
        """
        name, quoted = fold(operation), ascii(operation[:200])
        if not name.startswith(INSTANCE_OPERATIONS):
            return f"{quoted} is no operation on a backup instance"
        if f"{name.removeprefix(INSTANCE_OPERATIONS)}/".startswith(_IGNORED):
            return f"{quoted} says nothing about the protection of the instance"
        if not any(fnmatchcase(name, glob) for glob in self.names):
            return f"no glob of EVENT_OPERATIONS matches {quoted}"
        if self.is_own(data):
            return f"{quoted} was this app's own doing"
        return None

    def is_own(self, data: Mapping[str, Any]) -> bool:
        """Whether the app's identity carried out the operation of this event or alert context."""
        claims = parse_object(data.get("claims"))
        named = (claims.get(name) for name in _IDENTITY_CLAIMS)
        actors = {each.lower() for each in named if isinstance(each, str)}
        return bool(actors) and not actors.isdisjoint(self.own_ids())
