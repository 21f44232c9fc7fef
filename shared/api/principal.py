"""Reads who has signed in from `X-MS-CLIENT-PRINCIPAL`, the header in which App Service's authentication says so.

Its form is in "Work with user identities in Azure App Service authentication", section "Decode the client principal
header". App Service takes the header away from callers, but only while its authentication is on: so it is read only
where the platform says that it is.
"""

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.api.signed_in_request import Principal, Role
from shared.domain.signal import one_line

PRINCIPAL_HEADER = "X-MS-CLIENT-PRINCIPAL"
MAX_HEADER_CHARS = 64 * 1024
"""More than any server takes for all headers together."""
_MAX_NAME_CHARS = 100
_ENTRA = "aad"
"""`auth_typ` of Microsoft Entra ID: another provider may let its users choose what their claims say."""

_ROLE_CLAIMS = frozenset({"roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"})
"""The claim of a token, and what App Service may map it to ("App settings reference for Azure App
Service", `WEBSITE_AUTH_USE_LEGACY_CLAIMS`)."""
_TENANT_CLAIMS = frozenset({"tid", "http://schemas.microsoft.com/identity/claims/tenantid"})
"""Likewise ("Configure your App Service app to use Microsoft Entra sign-in", section "Perform validations")."""
_NAME_CLAIMS = (
    "preferred_username",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
    "upn",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
    "email",
    "name",
    "appid",
    "azp",
    "http://schemas.microsoft.com/identity/claims/objectidentifier",
    "oid",
)
"""The first that there is names who signed in: a person by their address, an app by its id.

An address can change and, as a guest's may, be another's in another tenant: it is for people to read, and decides
nothing."""


class NoPrincipal(ValueError):
    """The header names nobody whom the app could know; the message says why, and nothing of its content."""


@dataclass(frozen=True, slots=True)
class Platform:
    """App Service's authentication, as its environment variables tell ("App settings reference", "Authentication")."""

    is_on: bool
    tenants: frozenset[str]
    """Ids of the tenants whose accounts may sign in, in lower case; empty where only the issuer says so."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Platform":
        """The Functions host itself reads the first one so (azure-functions-host, `IsEasyAuthEnabled`)."""
        tenants = environment.get("WEBSITE_AUTH_AAD_ALLOWED_TENANTS", "").lower().split(",")
        return cls(
            environment.get("WEBSITE_AUTH_ENABLED", "").strip().lower() == "true",
            frozenset(each.strip() for each in tenants if each.strip()),
        )

    @property
    def problem(self) -> str:
        """Why nobody can sign in, and the way out; empty if they can."""
        if self.is_on:
            return ""
        return (
            "SIGN_IN is Entra, but the authentication of App Service is off, so that anybody could say who they are:"
            " nobody is let in without a key. Deploy with AUTOHEAL_SIGN_IN_CLIENT_ID, or turn the authentication on"
        )


def read_principal(header: str, tenants: frozenset[str] = frozenset()) -> Principal:
    """Who the header says has signed in.

    Args:
        tenants: as in `Platform`.

    Raises:
        NoPrincipal: it is not of that form, or the account is none of Entra's, or not known to be in one of the
            tenants, or has no name.
    """
    document = _document(header)
    provider, claims = document.get("auth_typ"), document.get("claims")
    if provider != _ENTRA:
        raise NoPrincipal("another identity provider than Microsoft Entra ID signed them in")
    if not isinstance(claims, list):
        raise NoPrincipal("its claims are no list")
    pairs = tuple(_pairs(claims))
    of_tenants = {value.lower() for kind, value in pairs if kind in _TENANT_CLAIMS}
    if tenants and not (of_tenants and of_tenants <= tenants):
        raise NoPrincipal("the account is in another tenant")
    return Principal(_name(pairs), _role(pairs))


def _document(header: str) -> Mapping[str, Any]:
    if len(header) > MAX_HEADER_CHARS:
        raise NoPrincipal("it is too long")
    try:
        document = json.loads(base64.b64decode(header, validate=True).decode())
    except (ValueError, RecursionError) as cause:
        raise NoPrincipal("it is no JSON in base64") from cause
    if not isinstance(document, dict):
        raise NoPrincipal("it is no JSON object")
    return document


def _pairs(claims: Sequence[object]) -> Iterator[tuple[str, str]]:
    """Type and value of each claim that has both as texts."""
    for claim in claims:
        match claim:
            case {"typ": str(kind), "val": str(value)}:
                yield kind, value


def _role(pairs: Sequence[tuple[str, str]]) -> Role | None:
    """The greater one; the values are compared as Entra does, with case."""
    given = {value for kind, value in pairs if kind in _ROLE_CLAIMS}
    return next((role for role in (Role.OPERATOR, Role.READER) if role.value in given), None)


def _name(pairs: Sequence[tuple[str, str]]) -> str:
    values = {kind: one_line(value.strip())[:_MAX_NAME_CHARS] for kind, value in reversed(pairs)}
    name = next((values[kind] for kind in _NAME_CLAIMS if values.get(kind)), None)
    if not name:
        raise NoPrincipal("the account has no name")
    return name
