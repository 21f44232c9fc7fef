"""The managed identity endpoint of App Service, and the check of the bearer tokens that it issued."""

import base64
import hmac
import json
import secrets
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

ARM_AUDIENCES = frozenset(
    f"https://management.{domain}{slash}" for domain in ("azure.com", "core.windows.net") for slash in ("", "/")
)
"""The audiences that ARM's own message on a wrong one lists."""
TOPIC_AUDIENCES = frozenset({"https://eventgrid.azure.net", "https://eventgrid.azure.net/"})

_API_VERSION = "2019-08-01"
_SYSTEM_ASSIGNED = "0a1b2c3d-0000-4000-8000-5157e3a55160"
_TOKEN_LIFETIME = 86_400
"""Seconds: a day, as a managed identity's tokens have. The simulator is not run for so long."""


class TokenRefused(Exception):
    """A request's token is not accepted; `code` and `message` are those of ARM's error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ManagedIdentity:
    """`GET {IDENTITY_ENDPOINT}?api-version=2019-08-01&resource=...[&client_id=...]`, and the tokens it gave out.

    Source: App Service, "How to use managed identities", REST endpoint reference.
    """

    def __init__(self) -> None:
        self.header = secrets.token_hex(16)
        """The value that X-IDENTITY-HEADER must have."""
        self._audiences: dict[str, str] = {}
        """By token."""

    def revoke(self) -> None:
        """Accept no token any more that was issued until now."""
        self._audiences.clear()

    def check(self, authorization: str | None, audiences: frozenset[str]) -> None:
        """Let a request with this Authorization header pass.

        Raises:
            TokenRefused: no token, not one of ours, revoked, or for another audience.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenRefused(
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing or has an invalid format.",
            )
        audience = self._audiences.get(token)
        if audience is None:
            raise TokenRefused("InvalidAuthenticationToken", "The access token is invalid.")
        if audience not in audiences:
            allowed = ",".join(f"'{each}'" for each in sorted(audiences))
            raise TokenRefused(
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource '{audience}'. "
                f"It should exactly match with one of the allowed audiences {allowed}.",
            )

    def answer(self, request: Request) -> Response:
        """A token for the resource that was asked for, whatever it is: the resource refuses a wrong one."""
        presented = request.headers.get("x-identity-header", "")
        if not hmac.compare_digest(presented.encode(), self.header.encode()):
            return _refused(401, "The header X-IDENTITY-HEADER is missing or wrong.")
        if request.query_params.get("api-version") != _API_VERSION:
            return _refused(400, f"The api-version must be {_API_VERSION}.")
        resource = request.query_params.get("resource")
        if not resource:
            return _refused(400, "The parameter resource is required.")
        client_id = request.query_params.get("client_id") or _SYSTEM_ASSIGNED
        token = _new_token(client_id)
        self._audiences[token] = resource
        return JSONResponse(
            {
                "access_token": token,
                "client_id": client_id,
                "expires_on": str(int(time.time() + _TOKEN_LIFETIME)),
                "resource": resource,
                "token_type": "Bearer",
            }
        )


def _new_token(client_id: str) -> str:
    """A JSON Web Token of this identity, with something random for a signature."""
    header, claims = ({"alg": "RS256", "typ": "JWT"}, {"appid": client_id, "oid": client_id[::-1]})
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims))
    return ".".join([*parts, secrets.token_urlsafe(32)])


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"statusCode": status, "message": message}, status)
