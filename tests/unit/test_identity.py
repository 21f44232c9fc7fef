"""Whose token it is."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from shared.identity import Tokens


class Identity:
    """A credential with one token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken(self._token, 2**40)


def tokens(token: str) -> Tokens:
    return Tokens(lambda: Identity(token), "https://management.azure.com")


def jwt(claims: object) -> str:
    payload = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"header.{payload}.signature"


def test_a_token_names_application_and_object() -> None:
    assert tokens(jwt({"appid": "app", "oid": "object", "aud": "arm"})).own_ids() == {"app", "object"}


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "", jwt([]), jwt({"appid": 5}), "..", "a.\u00fc.c"])
def test_a_token_that_names_nobody_is_nobodys(token: str) -> None:
    assert tokens(token).own_ids() == frozenset()
