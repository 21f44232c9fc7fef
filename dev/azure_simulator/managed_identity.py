"""The managed identity endpoint of App Service, and the check of the bearer tokens that it issued."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

ARM_AUDIENCES = frozenset(
    f"https://management.{domain}{slash}" for domain in ("azure.com", "core.windows.net") for slash in ("", "/")
)
"""What ARM's own message on a wrong audience lists."""
TOPIC_AUDIENCES = frozenset({"https://eventgrid.azure.net", "https://eventgrid.azure.net/"})

_API_VERSION = "2019-08-01"
_SYSTEM_ASSIGNED = "0a1b2c3d-0000-4000-8000-5157e3a55160"
_HEADER = base64.urlsafe_b64encode(b'{"typ":"JWT","alg":"HS256"}').rstrip(b"=").decode()
_DAY = 86_400.0


class TokenRefused(Exception):
    """A request's token does not open the door; `code` and `message` are those of ARM's error."""

    def __init__(self, code: str, message: str) -> None:
        """Keep both for the answer."""
        super().__init__(message)
        self.code = code
        self.message = message


class Tokens:
    """Issues signed tokens and knows which it still honours."""

    def __init__(self, signing_key: bytes) -> None:
        """Tokens outlive a restart of the simulator with the same key, as they do in Azure."""
        self._signing_key = signing_key
        self.reset()

    def reset(self) -> None:
        """Back to tokens of a day, the lifetime of a managed identity's."""
        self.lifetime_seconds = _DAY
        self._revoked_before = 0.0

    def revoke(self) -> None:
        """No token issued until now is honoured any more."""
        self._revoked_before = time.time()

    def issue(self, audience: str, client_id: str) -> tuple[str, int]:
        """A token and the second since 1970 at which it expires."""
        now = time.time()
        expires_on = int(now + self.lifetime_seconds)
        claims = {"aud": audience, "appid": client_id, "iat": now, "exp": expires_on}
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        return f"{_HEADER}.{payload}.{self._sign(payload)}", expires_on

    def check(self, authorization: str | None, audiences: frozenset[str]) -> None:
        """Let a request with this Authorization header pass.

        Raises:
            TokenRefused: no token, not one of ours, for another audience, expired or revoked.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenRefused(
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing or has an invalid format.",
            )
        claims = self._claims(token)
        if claims is None or claims["iat"] <= self._revoked_before:
            raise TokenRefused("InvalidAuthenticationToken", "The access token is invalid.")
        if claims["aud"] not in audiences:
            allowed = ",".join(f"'{audience}'" for audience in sorted(audiences))
            raise TokenRefused(
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource '{claims['aud']}'. "
                f"It should exactly match with one of the allowed audiences {allowed}.",
            )
        if claims["exp"] <= time.time():
            raise TokenRefused("ExpiredAuthenticationToken", "The access token has expired.")

    def _claims(self, token: str) -> dict[str, Any] | None:
        header, _, rest = token.partition(".")
        payload, _, signature = rest.partition(".")
        if header != _HEADER or not hmac.compare_digest(signature.encode(), self._sign(payload).encode()):
            return None
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims

    def _sign(self, payload: str) -> str:
        return hmac.new(self._signing_key, payload.encode(), hashlib.sha256).hexdigest()


class ManagedIdentity:
    """`GET {IDENTITY_ENDPOINT}?api-version=2019-08-01&resource=...[&client_id=...]`.

    Source: App Service, "How to use managed identities", REST endpoint reference.
    """

    def __init__(self, tokens: Tokens, secret: str) -> None:
        """`secret` is what the header X-IDENTITY-HEADER must hold."""
        self._tokens = tokens
        self._secret = secret

    def answer(self, request: Request) -> Response:
        """A token for the resource that was asked for, whatever it is: the resource refuses a wrong one."""
        presented = request.headers.get("x-identity-header", "")
        if not hmac.compare_digest(presented.encode(), self._secret.encode()):
            return _refused(401, "The header X-IDENTITY-HEADER is missing or wrong.")
        if request.query_params.get("api-version") != _API_VERSION:
            return _refused(400, f"The api-version must be {_API_VERSION}.")
        resource = request.query_params.get("resource")
        if not resource:
            return _refused(400, "The parameter resource is required.")
        client_id = request.query_params.get("client_id") or _SYSTEM_ASSIGNED
        token, expires_on = self._tokens.issue(resource, client_id)
        return JSONResponse(
            {
                "access_token": token,
                "client_id": client_id,
                "expires_on": str(expires_on),
                "resource": resource,
                "token_type": "Bearer",
            }
        )


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"statusCode": status, "message": message}, status)
