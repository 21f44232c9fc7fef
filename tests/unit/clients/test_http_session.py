"""What a session takes from the environment, and what it does not."""

import pytest

from shared.clients.http_session import pooled_session

URL = "https://management.azure.com"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_without_a_word_from_the_environment_certificates_are_verified_as_usual() -> None:
    session = pooled_session(URL, 1)
    assert (session.verify, session.proxies.get("https")) == (True, None)


def test_a_ca_bundle_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/missing.pem")
    with pytest.raises(OSError, match=r"/etc/ssl/missing\.pem .*REQUESTS_CA_BUNDLE"):
        pooled_session(URL, 1)


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert pooled_session(URL, 1).proxies["https"] == "http://proxy.example:3128"


def test_an_endpoint_that_needs_no_proxy_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "azure.com")
    assert pooled_session(URL, 1).proxies.get("https") is None


def test_no_call_reads_the_environment_again() -> None:
    assert pooled_session(URL, 1).trust_env is False
