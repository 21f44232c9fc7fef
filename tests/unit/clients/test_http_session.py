"""HTTP sessions: the variables for proxies and certificates that they read, and those that they ignore."""

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from shared.clients.http_session import pooled_session
from tests.support.scripted_server import ScriptedServer

URL = "https://management.azure.com"
PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_in_a_bare_environment_certificates_are_verified_and_nothing_is_read_again() -> None:
    session = pooled_session(URL, 1)
    assert (session.verify, session.trust_env) == (True, False)


def test_a_ca_bundle_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/missing.pem")
    with pytest.raises(OSError, match=r"/etc/ssl/missing\.pem .*REQUESTS_CA_BUNDLE"):
        pooled_session(URL, 1)


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [({}, None), ({"HTTPS_PROXY": PROXY}, PROXY), ({"HTTPS_PROXY": PROXY, "NO_PROXY": "azure.com"}, None)],
    ids=["none", "named", "not for this endpoint"],
)
def test_a_proxy_of_the_environment_is_used_where_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], proxy: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert pooled_session(URL, 1).proxies.get("https") == proxy


def test_a_redirection_is_not_followed_whatever_a_call_says(https: ScriptedServer) -> None:
    url = f"https://localhost:{https.port}"
    https.script([{"status": 307, "headers": {"Location": f"{url}/elsewhere"}}])
    answer = pooled_session(url, 1).get(f"{url}/here", allow_redirects=True)
    assert (answer.status_code, [target for _, target, _ in https.requests]) == (307, ["/here"])


def test_no_cookie_is_sent_back(https: ScriptedServer) -> None:
    url = f"https://localhost:{https.port}"
    https.script([{"status": 200, "headers": {"Set-Cookie": "gateway=1; Path=/"}}])
    session = pooled_session(url, 1)
    session.get(url)
    session.get(url)
    assert ["cookie" in headers for _, _, headers in https.requests] == [False, False]


@pytest.mark.parametrize(
    "setting",
    [
        {"verify": False},
        {"verify": "/etc/ssl/other.pem"},
        {"cert": "/etc/ssl/client.pem"},
        {"cookies": {"a": "b"}},
        {"proxies": {"https": PROXY}},
        {"hooks": {"response": print}},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_what_a_call_sets_that_the_session_does_not_do_is_an_error(
    https: ScriptedServer, setting: dict[str, Any]
) -> None:
    url = f"https://localhost:{https.port}"
    https.script([{"status": 200}])
    with pytest.raises(TypeError, match=next(iter(setting))):
        pooled_session(url, 1).get(url, **setting)
    assert https.requests == []


def test_a_header_of_a_call_without_a_value_is_left_out_with_that_of_the_session(https: ScriptedServer) -> None:
    url = f"https://localhost:{https.port}"
    https.script([{"status": 200}])
    pooled_session(url, 1).get(url, headers={"ACCEPT": None, "x-none": None})
    assert {"accept", "x-none"}.isdisjoint(https.requests[0][2])


def test_headers_of_a_call_win_over_those_of_the_session(https: ScriptedServer) -> None:
    url = f"https://localhost:{https.port}"
    https.script([{"status": 200}])
    pooled_session(url, 1).get(url, headers={"user-agent": "of the call"})
    headers = https.requests[0][2]
    assert (headers["user-agent"], "gzip" in headers["accept-encoding"]) == ("of the call", True)


def test_hooks_hear_of_each_answer_and_how_long_it_took(https: ScriptedServer) -> None:
    url = f"https://localhost:{https.port}"
    https.script([{"status": 503}])
    session, heard = pooled_session(url, 1), list[requests.Response]()
    session.hooks["response"].append(heard.append)
    answer = session.get(url)
    assert heard == [answer]
    assert answer.elapsed.total_seconds() > 0


def prepared(url: str) -> str:
    return str(pooled_session("http://localhost", 1).prepare_request(requests.Request("GET", url)).url)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://a.b/x/../y", "https://a.b/y"),
        ("https://a.b/x y", "https://a.b/x%20y"),
        ("https://a.b?q", "https://a.b/?q"),
        ("https://a.b/x#y", "https://a.b/x#y"),
        ("HTTPS://A.B/X", "https://a.b/X"),
        ("https://a.b/%7e?s=a%2Fb+c", "https://a.b/%7e?s=a%2Fb+c"),
    ],
)
def test_a_url_is_quoted_and_resolved_where_that_changes_it(url: str, sent: str) -> None:
    assert prepared(url) == sent


@given(
    st.from_regex(r"\Ahttps?://[a-z0-9.:@%-]{1,12}(/[\w/.~%!$&'()*+,;=:@\\ -]{0,12}){0,3}(\?[\w/%&=#?. -]{0,12})?\Z")
)
def test_what_is_sent_as_it_is_would_be_the_same_after_quoting(url: str) -> None:
    try:
        quoted = requests.Request("GET", url).prepare().url
    except requests.RequestException:
        return
    assert urlsplit(prepared(url)).netloc == urlsplit(quoted).netloc
    assert fully_unquoted(prepared(url)) == fully_unquoted(str(quoted))


def fully_unquoted(url: str) -> str:
    while (shorter := unquote(url)) != url:
        url = shorter
    return url
