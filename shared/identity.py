"""The app's managed identity: one credential, made when first needed."""

import time
from collections.abc import Callable

from azure.identity import ManagedIdentityCredential

_EARLY = 300
"""Seconds before its end at which a token is replaced (azure-core's own policy does the same)."""


def managed_identity(client_id: str | None) -> ManagedIdentityCredential:
    """The user-assigned identity with this client id, or the system-assigned one."""
    return ManagedIdentityCredential(client_id=client_id) if client_id else ManagedIdentityCredential()


def token_source(credential: ManagedIdentityCredential, audience: str) -> Callable[[], str]:
    """A function that gives a bearer token for the audience, asking the identity endpoint only when it must.

    Two threads may both renew it; either token is good. Raises what the credential raises
    (`azure.core.exceptions.ClientAuthenticationError`, `CredentialUnavailableError`).
    """
    scope = f"{audience}/.default"
    kept = ("", 0.0)

    def token() -> str:
        nonlocal kept
        text, expires_on = kept
        if time.time() > expires_on - _EARLY:
            fresh = credential.get_token(scope)
            text = fresh.token
            kept = (text, fresh.expires_on)
        return text

    return token
