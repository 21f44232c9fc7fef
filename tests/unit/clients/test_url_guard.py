import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clients.url_guard import UnsafeUrl, check_next_link, check_operation_url
from shared.domain.resource_ids import BackupInstanceId

SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"
INSTANCE = BackupInstanceId(SUBSCRIPTION, "testrg", "testvault", "testbi")
HOSTS = ("management.azure.com", "*.management.azure.com", "localhost:8443")
BELOW = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/testrg/providers/Microsoft.DataProtection"
URL = f"https://management.azure.com{BELOW}/backupVaults/testvault/operationStatus/ZTA4==?api-version=2024-04-01"


@pytest.mark.parametrize(
    "url",
    [
        URL,
        URL.upper().replace("HTTPS", "https"),
        URL.replace("azure.com/", "azure.com:443/"),
        URL.replace("management", "westeurope.management"),
        URL.replace("management.azure.com", "localhost:8443"),
        f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/providers/Microsoft.DataProtection/locations/we/operationStatus/x",
    ],
)
def test_what_arm_gives_passes(url: str) -> None:
    check_operation_url(url, INSTANCE, HOSTS)


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
        (URL.replace("/resourceGroups", "/..;/x/resourceGroups"), "climbs"),
        (URL.replace("/resourceGroups", "/%252e%252e/x/resourceGroups"), "climbs"),
        (URL.replace("/resourceGroups", "/../x/resourceGroups"), "climbs"),
        (URL.replace("/resourceGroups", "/%2e%2E/x/resourceGroups"), "climbs"),
        (URL.replace("/resourceGroups", "%2f..%2fx/resourceGroups"), "climbs"),
        ("https:///subscriptions", "malformed"),
        ("", "not https"),
    ],
)
def test_what_could_carry_the_token_elsewhere_is_refused(url: str, reason: str) -> None:
    with pytest.raises(UnsafeUrl, match=reason):
        check_operation_url(url, INSTANCE, HOSTS)


def test_the_default_port_makes_no_difference() -> None:
    check_operation_url(URL, INSTANCE, ("management.azure.com:443",))


@given(st.text())
def test_any_text_as_a_host_is_refused(host: str) -> None:
    with pytest.raises(UnsafeUrl):
        check_operation_url(f"https://{host}.example{BELOW}", INSTANCE, HOSTS)


LINK = f"https://management.azure.com{BELOW}/backupVaults/testvault/backupInstances?api-version=x&$skipToken=ZTA4%3D"


def test_a_next_link_of_arm_passes() -> None:
    check_next_link(LINK, INSTANCE.vault_id, HOSTS)


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        (LINK.replace("management.azure.com", "evil.example"), "next link .* host"),
        (LINK.replace("https", "http"), "not https"),
        (LINK.replace(SUBSCRIPTION, "14cf684a-d41f-4550-9f70-7708a3a2283b"), "subscription"),
        (LINK.replace("DataProtection", "KeyVault"), "Microsoft.DataProtection"),
    ],
)
def test_a_next_link_that_could_carry_the_token_elsewhere_is_refused(link: str, reason: str) -> None:
    with pytest.raises(UnsafeUrl, match=reason):
        check_next_link(link, INSTANCE.vault_id, HOSTS)
