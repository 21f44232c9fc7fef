"""The causes under which a failure counts: its code, in each scope in which others may fail for the same. Pure."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from msgspec.structs import replace

from shared.domain.arm_error import texts_of
from shared.domain.arm_scope import MAX_SCOPE_CHARS, is_within, read_scope, subscription_of
from shared.domain.error_codes import ErrorClass, ErrorCodes, azure_code, same_code
from shared.domain.remediation import Remediation
from shared.domain.resource_ids import fold

_KEY_CHARS = 16
_MAX_CODE_CHARS = 200
_MAX_TEXT_CHARS = 4_000
"""Of a text of an error that are searched."""
_RESOURCE = re.compile(
    r"/subscriptions/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/resourceGroups/[^/\s'\"<>,;()]{1,90}"
    r"(?:/providers/[a-z0-9.]{1,100}/[a-z0-9]{1,100}/[^/\s'\"<>,;()?]{1,200}(?:/[^\s'\"<>,;()?]*)?)?",
    re.IGNORECASE,
)
"""The ARM id of a resource or a resource group in a sentence."""
_RESOURCE_SEGMENTS = 9
"""Of a resource's id, the empty one before the first slash too; what follows names a part of it."""
_KEY_VAULT = re.compile(r"https://[a-z0-9-]{3,24}\.vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net)\b", re.IGNORECASE)
"""How errors about secrets name a key vault ("About keys, secrets, and certificates": object identifiers)."""


class ScopeKind(StrEnum):
    """The scopes of incidents, the narrowest first."""

    RESOURCE = "Resource"
    """One that the error names, as a key vault."""
    VAULT = "Vault"
    """The Backup vault."""
    SUBSCRIPTION = "Subscription"
    """Of the datasource."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A code in a scope."""

    code: str
    """As Azure spells it."""
    scope_kind: ScopeKind
    scope: str
    """An ARM id, or the URL of a key vault."""

    @property
    def key(self) -> str:
        """Of 16 hex digits: the same for all spellings of code and scope."""
        return hashlib.sha256(f"{same_code(self.code)}|{fold(self.scope)}".encode()).hexdigest()[:_KEY_CHARS]


def causes_of(failed: Remediation, error_codes: ErrorCodes) -> tuple[Cause, ...]:
    """The causes under which its error counts, the narrowest scope first; none if its code tells of no incident.

    Where Azure's fault passes, or a person mends a cause, it is likely one for all.
    """
    code = azure_code(failed.error)
    if code is None or error_codes.class_of(failed.error) not in (ErrorClass.TRANSIENT, ErrorClass.PERSON):
        return ()
    code = code[:_MAX_CODE_CHARS]
    named, datasource = _named_resource(failed), read_scope(failed.datasource_id)
    causes = [Cause(code, ScopeKind.RESOURCE, named)] if named else []
    causes.append(Cause(code, ScopeKind.VAULT, str(failed.instance.vault_id)))
    if datasource:
        causes.append(Cause(code, ScopeKind.SUBSCRIPTION, f"/subscriptions/{subscription_of(datasource)}"))
    return tuple(causes)


def causes_before(healed: Remediation, error_codes: ErrorCodes) -> tuple[Cause, ...]:
    """The causes under which its last failed attempt counted; none if none failed, or with no such code."""
    errors = [attempt.error for attempt in healed.attempts if attempt.error]
    return causes_of(replace(healed, error=errors[-1]), error_codes) if errors else ()


def _named_resource(failed: Remediation) -> str | None:
    """The first resource that its error names, but for those that are the instance's own."""
    own = [read_scope(str(failed.instance.vault_id)), read_scope(failed.datasource_id)]
    for resource in _resources_in(failed):
        scope = read_scope(resource)
        if scope and not any(each and is_within(scope, each) for each in own):
            return "/".join(resource.split("/")[:_RESOURCE_SEGMENTS])
    return next((url for text in _texts(failed) for url in _KEY_VAULT.findall(text)), None)


def _resources_in(failed: Remediation) -> Iterator[str]:
    for text in _texts(failed):
        for found in _RESOURCE.findall(text):
            resource = found.rstrip("./")
            if len(resource) <= MAX_SCOPE_CHARS:
                yield resource


def _texts(failed: Remediation) -> Iterator[str]:
    return (text[:_MAX_TEXT_CHARS] for text in texts_of(failed.error))
