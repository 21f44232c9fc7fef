"""HTTP sessions: the variables for proxies and certificates that they read, and those that they ignore."""

import pytest

from shared.clients.http_session import pooled_session

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
