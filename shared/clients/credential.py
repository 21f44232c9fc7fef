"""The app's managed identity, and a cache of its tokens."""

import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential

from shared.logs import describe_exception

_CLIENT_OPTIONS: Mapping[str, Any] = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 0}
"""Seconds; the credential's own are minutes, in which every call of this process would wait for the token. Its own
retries would sleep as long as a `Retry-After` says."""
_MAX_TRIES = 2
"""At once after each other: a connection may just have been closed."""
_FAILURE_HOLD = 5.0
"""Seconds for which a failure stands for the next requests: thousands of calls need not each ask a broken endpoint."""
_REFRESH_BEFORE_EXPIRY = 300
"""Seconds (azure-core's own policy does the same)."""
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
"""RFC 6750, section 2.1. What a header cannot hold is no token."""


class ManagedIdentity(TokenCredential):
    """The managed identity as every client of this app uses it: without a token there is an `AzureError`.

    `ManagedIdentityCredential` lets through whatever breaks in it when the endpoint, or a proxy before it, answers
    with a web page, an empty body, a JSON array or a date for `expires_on`: `JSONDecodeError`, `AttributeError`,
    `ValueError` (msal 1.39, `_obtain_token_on_app_service`; azure-identity 1.27, `_get_token_base`).
    """

    def __init__(
        self, new_credential: Callable[[], TokenCredential], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`new_credential` makes the credential at the first request: that may fail, too."""
        self._new_credential = new_credential
        self._monotonic = monotonic
        self._credential: TokenCredential | None = None
        self._failures: dict[tuple[str, ...], tuple[float, str]] = {}
        """By scopes: until when a failure stands for the next requests, and its message."""
        self._lock = Lock()

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token, from the credential's own cache where that has one. One thread at a time asks for it.

        Raises:
            azure.core.exceptions.AzureError: the endpoint gives none, or nothing that could be read.
        """
        with self._lock:
            until, message = self._failures.get(scopes, (0.0, ""))
            if message and self._monotonic() < until:
                raise CredentialUnavailableError(message)
            try:
                token = self._ask(scopes, options)
            except AzureError as cause:
                self._failures[scopes] = self._monotonic() + _FAILURE_HOLD, describe_exception(cause)
                raise
            self._failures.pop(scopes, None)
            return token

    def _ask(self, scopes: tuple[str, ...], options: Mapping[str, Any]) -> AccessToken:
        for _ in range(_MAX_TRIES - 1):
            try:
                return self._ask_once(scopes, options)
            except AzureError:
                continue
        return self._ask_once(scopes, options)

    def _ask_once(self, scopes: tuple[str, ...], options: Mapping[str, Any]) -> AccessToken:
        # One that failed goes: MSAL keeps what is no token, and repeats a 429 or 5xx as long as `Retry-After` says.
        credential, self._credential = self._credential, None
        try:
            credential = credential or self._new_credential()
            token = credential.get_token(*scopes, **options)
        except AzureError:
            raise
        except Exception as cause:
            reason = f"the identity endpoint gave no token that can be read: {describe_exception(cause)}"
            raise CredentialUnavailableError(reason) from cause
        if not isinstance(token.token, str) or not _TOKEN.fullmatch(token.token):
            raise CredentialUnavailableError("the identity endpoint gave a token with characters that no token has")
        self._credential = credential
        return token


def managed_identity(client_id: str | None) -> ManagedIdentity:
    """The user-assigned identity with this client id, or the system-assigned one."""
    return ManagedIdentity(lambda: ManagedIdentityCredential(client_id=client_id, **_CLIENT_OPTIONS))


def identity_ids(token: str) -> frozenset[str]:
    """The client id and the object id in the claims of a token, in lower case; none where it cannot be read.

    Microsoft Learn, "Access token claims reference": `appid` or `azp`, and `oid`. A token of Microsoft Entra is a
    JSON Web Token (RFC 7519), though nothing promises that to a client.
    """
    payload = [*token.split("."), ""][1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return frozenset()
    named = (claims.get(name) for name in ("appid", "azp", "oid")) if isinstance(claims, dict) else ()
    return frozenset(each.lower() for each in named if isinstance(each, str) and each)


class TokenCache:
    """Bearer tokens for one audience, fetched only when they must be, and once for all threads."""

    def __init__(self, new_credential: Callable[[], TokenCredential], audience: str) -> None:
        """`new_credential` makes a credential that has a token cache of its own."""
        self._new_credential = new_credential
        self._scope = f"{audience}/.default"
        self._credential = new_credential()
        self._token, self._renew_at = "", 0.0
        self._lock = Lock()

    def get(self) -> str:
        """A token that has some minutes left.

        Raises:
            azure.core.exceptions.AzureError: the identity endpoint gives none.
        """
        with self._lock:
            if time.time() >= self._renew_at:
                self._fetch()
            return self._token

    def renew(self, refused: str) -> str:
        """Another token than this one, which was refused though it had not expired.

        Raises:
            azure.core.exceptions.AzureError: the identity endpoint gives none.
        """
        with self._lock:
            if refused == self._token:
                # The credential's cache still holds the refused token, so that cache must go too.
                self._credential = self._new_credential()
                self._fetch()
            return self._token

    def _fetch(self) -> None:
        fresh = self._credential.get_token(self._scope)
        self._token = fresh.token
        # One that seems to have expired on its way may be good: this host's clock may be ahead.
        self._renew_at = max(fresh.expires_on - _REFRESH_BEFORE_EXPIRY, time.time() + _FAILURE_HOLD)
