"""A request of somebody who has signed in: only the door for such requests makes one, from what App Service says.

Who calls is never read from a header elsewhere. On the routes that take keys App Service may let a caller's own
`x-ms-client-principal-name` through, and whoever has a key could write another's name into the history.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import azure.functions as func

from shared.api.requests import KEY_PARAMETERS

PREFIX = "/api/signed-in"
START = f"{PREFIX}/dashboard"
AN_OPERATOR = "an operator"
"""Who asks for something with a key, which does not say who uses it."""


_CREDENTIALS = frozenset({"authorization", "cookie", "x-functions-key", "x-zumo-auth"})


class Role(StrEnum):
    """The app roles of the app registration."""

    READER = "Reader"
    """May see everything."""
    OPERATOR = "Operator"
    """May do everything."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who has signed in: a person, or an app with a token."""

    name: str
    role: Role | None
    """The greater one of those that were assigned; None without any."""


class SignedInRequest(func.HttpRequest):
    """A request of this principal, for one of the use cases behind the routes with keys."""

    def __init__(self, request: func.HttpRequest, principal: Principal, route_params: Mapping[str, str]) -> None:
        """The same request, without keys, cookies and tokens: no link or log line can come to carry any."""
        super().__init__(
            request.method,
            request.url,
            headers={name: value for name, value in request.headers.items() if not _is_credential(name)},
            params={name: value for name, value in request.params.items() if name.lower() not in KEY_PARAMETERS},
            route_params=route_params,
            body=request.get_body(),
        )
        self.principal = principal


def _is_credential(header: str) -> bool:
    return header.lower() in _CREDENTIALS or header.lower().startswith(("x-ms-token-", "x-ms-client-principal"))


def principal_of(request: func.HttpRequest) -> Principal | None:
    """Who makes the request, if they signed in."""
    return request.principal if isinstance(request, SignedInRequest) else None


def path_prefix(request: func.HttpRequest) -> str:
    """Under which all routes stand that whoever makes the request can call."""
    return PREFIX if isinstance(request, SignedInRequest) else "/api"


def signed_in_name(request: func.HttpRequest) -> str | None:
    """The name of who makes the request, if they signed in."""
    principal = principal_of(request)
    return principal.name if principal else None


def operator_name(request: func.HttpRequest) -> str:
    """The same for people: who signed in, or an operator."""
    return signed_in_name(request) or AN_OPERATOR
