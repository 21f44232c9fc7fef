import pytest
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
        ("https:///subscriptions", "malformed"),
        ("", "not https"),
    ],
)
def test_what_could_carry_the_token_elsewhere_is_refused(url: str, reason: str) -> None:
    with pytest.raises(UnsafeUrl, match=f"the next link .* is .*{reason}|has {reason}"):
        check(url)


def test_the_default_port_makes_no_difference() -> None:
    check(URL, ("management.azure.com:443",))


@given(st.text())
def test_any_text_as_a_host_is_refused(host: str) -> None:
    with pytest.raises(UnsafeUrl):
        check(f"https://{host}.example{BELOW}")
