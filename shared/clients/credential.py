"""The app's managed identity, and a cache of its tokens."""

import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from azure.core.credentials import TokenCredential
from azure.identity import ManagedIdentityCredential

_CLIENT_OPTIONS: Mapping[str, Any] = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 1}
"""Seconds; the credential's own are minutes, in which every call of this process would wait for the token."""
_REFRESH_BEFORE_EXPIRY = 300
"""Seconds (azure-core's own policy does the same)."""


def managed_identity(client_id: str | None) -> ManagedIdentityCredential:
    """The user-assigned identity with this client id, or the system-assigned one."""
    return ManagedIdentityCredential(client_id=client_id, **_CLIENT_OPTIONS)


class TokenCache:
    """Bearer tokens for one audience, fetched only when they must be, and once for all threads."""

    def __init__(self, new_credential: Callable[[], TokenCredential], audience: str) -> None:
        """`new_credential` makes a credential that has a token cache of its own."""
        self._new_credential = new_credential
        self._scope = f"{audience}/.default"
        self._credential = new_credential()
        self._token, self._expires_on = "", 0
        self._lock = Lock()

    def get(self) -> str:
        """A token that has some minutes left.

        Raises:
            azure.core.exceptions.AzureError: the identity endpoint gives none.
        """
        with self._lock:
            if time.time() > self._expires_on - _REFRESH_BEFORE_EXPIRY:
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
        self._token, self._expires_on = fresh.token, fresh.expires_on
