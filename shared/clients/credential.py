"""The app's managed identity: one credential, made when first needed."""

import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from azure.core.credentials import TokenCredential
from azure.identity import ManagedIdentityCredential

_PATIENCE: Mapping[str, Any] = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 1}
"""Seconds; the credential's own are minutes, in which every call of this process would wait for the token."""
_EARLY = 300
"""Seconds before its end at which a token is replaced (azure-core's own policy does the same)."""


def managed_identity(client_id: str | None) -> ManagedIdentityCredential:
    """The user-assigned identity with this client id, or the system-assigned one."""
    return ManagedIdentityCredential(client_id=client_id, **_PATIENCE)


class TokenCache:
    """Bearer tokens for one audience, fetched only when they must be, and once for all threads."""

    def __init__(self, identity: Callable[[], TokenCredential], audience: str) -> None:
        """`identity` makes a credential, with a cache of its own."""
        self._identity = identity
        self._scope = f"{audience}/.default"
        self._credential = identity()
        self._token, self._expires_on = "", 0
        self._lock = Lock()

    def current(self) -> str:
        """A token that is good for some minutes, as far as we know.

        Raises:
            azure.core.exceptions.AzureError: the identity endpoint gives none.
        """
        with self._lock:
            if time.time() > self._expires_on - _EARLY:
                self._fetch()
            return self._token

    def instead_of(self, refused: str) -> str:
        """Another token than this one, which was refused though it had not expired.

        Raises:
            azure.core.exceptions.AzureError: the identity endpoint gives none.
        """
        with self._lock:
            if refused == self._token:
                # The credential's cache still thinks well of it, so that cache must go too.
                self._credential = self._identity()
                self._fetch()
            return self._token

    def _fetch(self) -> None:
        fresh = self._credential.get_token(self._scope)
        self._token, self._expires_on = fresh.token, fresh.expires_on
