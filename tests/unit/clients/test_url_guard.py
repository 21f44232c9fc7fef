from contextlib import suppress
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from shared.clients.url_guard import UnsafeUrl, check_url

SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"
HOSTS = ("management.azure.com", "*.management.azure.com", "localhost:8443")
ARM = "https://management.azure.com"
BELOW = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/testrg/providers/Microsoft.DataProtection"
URL = f"{ARM}{BELOW}/backupVaults/testvault/operationStatus/ZTA4==?api-version=2024-04-01"


def check(url: str, hosts: tuple[str, ...] = HOSTS) -> None:
    check_url("next link", url, SUBSCRIPTION, hosts)


@pytest.mark.parametrize(
    "url",
    [
        URL,
        URL.upper().replace("HTTPS", "https"),
        URL.replace("azure.com/", "azure.com:443/"),
        URL.replace("management", "westeurope.management"),
        URL.replace("management.azure.com", "localhost:8443"),
        f"{ARM}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.DataProtection/locations/we/operationStatus/x",
        f"{ARM}{BELOW}/backupVaults/testvault/backupInstances?api-version=x&$skipToken=ZTA4%3D",
    ],
)
def test_what_arm_gives_passes(url: str) -> None:
    check(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (URL.replace("https", "http"), "not https"),
        (URL.replace("management.azure.com", "evil.example"), "host"),
        (URL.replace("management.azure.com", "management.azure.com.evil.example"), "host"),
        (URL.replace("management.azure.com", "evilmanagement.azure.com"), "host"),
        (URL.replace("management.azure.com", "management.azure.com:8443"), "host"),
        (URL.replace("management.azure.com", "localhost"), "host"),
        (URL.replace("https://", "https://management.azure.com@evil.example/"), "malformed"),
        (URL.replace("https://", "https://evil.example\\@"), "malformed"),
        (URL.replace("?", "#"), "malformed"),
        (URL + "\r\nHost: evil.example", "malformed"),
        (URL.replace(SUBSCRIPTION, "14cf684a-d41f-4550-9f70-7708a3a2283b"), "subscription"),
        (URL.replace("DataProtection", "Storage"), "Microsoft.DataProtection"),
        (URL.replace("/providers/", "/providers/Microsoft.Evil/x/providers/"), "Microsoft.DataProtection"),
        (URL.replace("/resourceGroups", "/..;/x/resourceGroups"), "dot segments"),
        (URL.replace("/resourceGroups", "/%252e%252e/x/resourceGroups"), "dot segments"),
        (URL.replace("/resourceGroups", "/../x/resourceGroups"), "dot segments"),
        (URL.replace("/resourceGroups", "/%2e%2E/x/resourceGroups"), "dot segments"),
        (URL.replace("/resourceGroups", "%2f..%2fx/resourceGroups"), "dot segments"),
        (URL.replace("https://", "https://evil:80."), "malformed"),
        (URL.replace("https://", "https://."), "malformed"),
        (URL.replace("https://", "https://a..b."), "malformed"),
        (URL.replace("azure.com", "azure.com."), "malformed"),
        (URL.replace("https://", f"https://{'a' * 64}."), "malformed"),
        (URL.replace("https://", f"https://{'a.' * 120}"), "malformed"),
        (URL.replace("https://", "https://-a."), "malformed"),
        (URL.replace("https://", "https://a-."), "malformed"),
        (URL.replace("https://", "https://user@"), "malformed"),
        (URL.replace("https://", "https://user:x@"), "malformed"),
        (URL.replace("https://", "https://é."), "malformed"),
        (URL.replace("azure.com/", "azure.com:/"), "malformed"),
        (URL.replace("azure.com/", "azure.com:0/"), "malformed"),
        (URL.replace("azure.com/", "azure.com:0443/"), "malformed"),
        (URL.replace("azure.com/", "azure.com:65536/"), "malformed"),
        (URL.replace("azure.com/", "azure.com:443:443/"), "malformed"),
        (URL.replace("azure.com/", "azure.com:80/"), "host"),
        (URL + "%", "malformed"),
        (URL + "%zz", "malformed"),
        (URL + "x" * 20_000, "malformed"),
        ("https:///subscriptions", "malformed"),
        ("", "not https"),
    ],
)
def test_what_could_carry_the_token_elsewhere_is_refused(url: str, reason: str) -> None:
    with pytest.raises(UnsafeUrl, match=f"the next link .* is .*{reason}|has {reason}"):
        check(url)


def test_the_default_port_makes_no_difference() -> None:
    check(URL, ("management.azure.com:443",))


_labels = st.text("ab-E1", min_size=0, max_size=3) | st.sampled_from(
    ["management", "azure", "com", "evil", "xn--4ca", "é", "K", "a" * 63, "a" * 64, "*", "[", "127"]
)
_hosts = st.lists(_labels, max_size=5).map(".".join) | st.sampled_from(
    ["management.azure.com", "x.management.azure.com"]
)
_ports = st.sampled_from(["", "", ":443", ":8443", ":", ":0", ":65535", ":65536", ":80.management.azure.com", ":é"])
_users = st.sampled_from(["", "", "", "user@", "management.azure.com@", "a:b@", "\\@"])
_ends = st.text("/ab?&=%2eE#@:;.\\ \t\u00e9'", max_size=8)


@given(_users, _hosts, _ports, _ends)
def test_whatever_passes_is_what_requests_calls(user: str, host: str, port: str, end: str) -> None:
    url = f"https://{user}{host}{port}{BELOW}{end}"
    try:
        check(url, ("management.azure.com", "*.management.azure.com", "*.azure.com:8443", "*.com"))
    except UnsafeUrl:
        return
    called = urlsplit(str(requests.Request("GET", url).prepare().url))
    assert (called.scheme, called.netloc) == ("https", f"{host}{port}".lower())
    assert called.username is None


@given(st.text())
def test_any_url_passes_or_is_unsafe_and_nothing_else_is_raised(url: str) -> None:
    for candidate in (url, f"https://{url}", f"https://{url}.management.azure.com{BELOW}", f"{ARM}:{url}{BELOW}"):
        with suppress(UnsafeUrl):
            check(candidate)


@given(st.text())
def test_any_text_as_a_host_is_refused(host: str) -> None:
    with pytest.raises(UnsafeUrl):
        check(f"https://{host}.example{BELOW}")
