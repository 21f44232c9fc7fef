"""The managed identity: a token, or an `AzureError`; whatever the endpoint answers."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from hypothesis import given
from hypothesis import strategies as st

from shared.clients.credential import ManagedIdentity, TokenCache, identity_ids, managed_identity
from tests.support.corpus import Case, cases
from tests.support.json_values import json_values
from tests.support.scripted_server import ScriptedServer, scripted_server

SCOPE = "https://management.azure.com/.default"
GOOD = {"access_token": "eyJ0", "expires_on": "4102444800", "resource": "https://management.azure.com"}


@pytest.fixture(scope="module")
def running() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def endpoint(running: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> ScriptedServer:
    for name in ("IDENTITY_SERVER_THUMBPRINT", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{running.port}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "secret")
    return running


def expand(value: Any) -> Any:
    """A case's answer; `"{now+3600}"` in it is that time in seconds since 1970."""
    if isinstance(value, dict):
        return {name: expand(item) for name, item in value.items()}
    if isinstance(value, str) and value.startswith("{now"):
        return str(int(time.time()) + int(value[4:-1] or 0))
    return value


@pytest.mark.parametrize("case", cases("identity"))
def test_an_answer_of_the_identity_endpoint_is_a_token_or_says_why_there_is_none(
    case: Case, endpoint: ScriptedServer
) -> None:
    endpoint.script([expand(answer) for answer in case.input["answers"]])
    tokens = TokenCache(lambda: managed_identity(case.input.get("clientId")), "https://management.azure.com")
    if "token" in case.verdict:
        assert tokens.get() == case.verdict["token"]
    else:
        with pytest.raises(AzureError, match=case.verdict["unavailable"]):
            tokens.get()
    assert len(endpoint.requests) == case.verdict.get("requests", 1 if "token" in case.verdict else 2)


def test_a_token_after_a_broken_answer_counts(endpoint: ScriptedServer) -> None:
    endpoint.script([{"status": 502, "text": "<html>"}, {"status": 200, "body": GOOD}])
    assert managed_identity(None).get_token(SCOPE).token == "eyJ0"


class Broken(TokenCredential):
    """Fails in this way until it is mended."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure
        self.asked = 0

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        self.asked += 1
        if self.failure:
            raise self.failure
        return AccessToken("token", 1)


@pytest.mark.parametrize("failure", [ValueError("v"), TypeError("t"), KeyError("k"), RecursionError(), OSError("o")])
def test_whatever_breaks_in_the_credential_is_an_azure_error(failure: Exception) -> None:
    with pytest.raises(AzureError, match=type(failure).__name__):
        ManagedIdentity(lambda: Broken(failure)).get_token(SCOPE)


def test_a_credential_that_cannot_be_made_is_an_azure_error_and_is_tried_again() -> None:
    made: list[Exception | TokenCredential] = [ValueError("no client id"), Broken(None)]

    def make() -> TokenCredential:
        first = made.pop(0)
        if isinstance(first, Exception):
            raise first
        return first

    assert ManagedIdentity(make).get_token(SCOPE).token == "token"


def test_a_failure_stands_for_five_seconds() -> None:
    now = [100.0]
    broken = Broken(ClientAuthenticationError("no identity"))
    identity = ManagedIdentity(lambda: broken, lambda: now[0])
    for _ in range(1000):
        with pytest.raises(AzureError, match="no identity"):
            identity.get_token(SCOPE)
    assert broken.asked == 2
    broken.failure = None
    now[0] += 5
    assert identity.get_token(SCOPE).token == "token"


def test_a_failure_for_one_audience_says_nothing_of_another() -> None:
    broken = Broken(ClientAuthenticationError("no identity"))
    identity = ManagedIdentity(lambda: broken)
    with pytest.raises(AzureError):
        identity.get_token(SCOPE)
    broken.failure = None
    assert identity.get_token("https://storage.azure.com/.default").token == "token"


def test_a_token_that_is_past_its_time_already_is_not_fetched_for_every_call() -> None:
    # The host's clock may be ahead; Resource Manager has one of its own.
    credential = Broken(None)
    tokens = TokenCache(lambda: credential, "https://management.azure.com")
    assert [tokens.get() for _ in range(100)] == ["token"] * 100
    assert credential.asked == 1


class Anything(TokenCredential):
    """Gives whatever it was told as a token."""

    def __init__(self, token: Any) -> None:
        self._token = token

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(self._token, 4102444800)


@given(json_values() | st.text())
def test_what_no_header_can_hold_is_no_token(value: Any) -> None:
    try:
        token = ManagedIdentity(lambda: Anything(value)).get_token(SCOPE).token
    except AzureError:
        return
    assert token == value
    assert token.isascii()
    assert token.isprintable()
    assert " " not in token


def jwt(claims: object) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


@pytest.mark.parametrize(
    ("token", "ids"),
    [
        (jwt({"appid": "AB", "oid": "cd", "sub": "x"}), {"ab", "cd"}),
        (jwt({"azp": "ab", "oid": 5}), {"ab"}),
        (jwt(["appid"]), set()),
        (jwt({"appid": ""}), set()),
        ("eyJ0", set()),
        ("a.b.c", set()),
        ("a.\u00e9.c", set()),
        ("", set()),
    ],
)
def test_a_token_says_whose_it_is_if_it_can_be_read(token: str, ids: set[str]) -> None:
    assert identity_ids(token) == ids
