"""Filter of failed Resource Manager operations: which of them say that an instance's protection failed.

A failing sync is itself a failed action on the instance: healing it would go round in circles. Restores, reads and
validations fail for reasons of their own and leave the instance's protection as it was. Who deletes an instance, or
stops or suspends its backups, does not want it mended. Of the rest, the operator's setting decides. The list is the
same for events and for alerts.
"""

from collections.abc import Mapping
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
_APPLICATION_CLAIMS = ("appid", "azp")
"""Where the claims of a token name the application that it was given to (Microsoft Learn, "Access token claims")."""


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """The settings that decide which failed operations count."""

    names: tuple[str, ...] = (f"{INSTANCE_OPERATIONS}*",)
    """Globs on the operation's name, in lower case: these count."""
    own_client_id: str | None = None
    """The app's user-assigned identity, which others may use too: what it does never counts.

    A system-assigned identity is the app's alone, and the app itself does nothing but sync.
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
        return self.own_client_id is not None and _has_claim(parse_object(data.get("claims")), self.own_client_id)


def _has_claim(claims: Mapping[str, Any], client_id: str) -> bool:
    applications = (claims.get(name) for name in _APPLICATION_CLAIMS)
    return any(isinstance(name, str) and name.lower() == client_id.lower() for name in applications)
