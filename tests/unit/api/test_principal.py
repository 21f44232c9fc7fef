"""Who has signed in, by the header of App Service: what it may hold, and what nobody is let in for."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.principal import MAX_HEADER_CHARS, NoPrincipal, Platform, read_principal
from shared.api.signed_in_request import Principal, Role
from tests.support.easy_auth import TENANT, UPN, encoded, principal_header

MAPPED_ROLE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"


def with_claims(*claims: object) -> str:
    return encoded({"auth_typ": "aad", "claims": list(claims)})


def claim(kind: object, value: object) -> dict[str, object]:
    return {"typ": kind, "val": value}


def test_name_and_role_are_read() -> None:
    assert read_principal(principal_header("ada@example.com", ["Reader"])) == Principal("ada@example.com", Role.READER)


@pytest.mark.parametrize("kind", ["roles", MAPPED_ROLE])
def test_the_role_counts_under_either_name_of_its_claim(kind: str) -> None:
    assert read_principal(principal_header(role_claim=kind)).role is Role.OPERATOR


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        (["Reader", "Operator"], Role.OPERATOR),
        (["Operator", "Reader"], Role.OPERATOR),
        (["Somebody", "Reader"], Role.READER),
        ([], None),
        (["operator"], None),
        (["OPERATOR"], None),
        (["Operator,Reader"], None),
        ([" Operator"], None),
        (["Operator\x00"], None),
        (['["Operator"]'], None),
    ],
)
def test_the_greater_of_the_roles_counts_and_none_that_is_only_alike(roles: list[str], role: Role | None) -> None:
    assert read_principal(principal_header(roles=roles)).role is role


@pytest.mark.parametrize("kind", ["groups", "Roles", "role", "scp", "http://evil.example/role"])
def test_a_claim_of_another_type_gives_no_role(kind: str) -> None:
    assert read_principal(principal_header(role_claim=kind)).role is None


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ([claim("name", "Ada"), claim(UPN, "ada@example.com")], "ada@example.com"),
        ([claim("name", "Ada")], "Ada"),
        ([claim(OBJECT_ID, "1-2"), claim("appid", "3-4")], "3-4"),
        ([claim("preferred_username", "  "), claim("oid", "1-2")], "1-2"),
        ([claim("name", "a\r\nb\x00")], "a\ufffd\ufffdb\ufffd"),
        ([claim("name", "x" * 1000)], "x" * 100),
    ],
)
def test_the_name_is_the_address_of_a_person_or_the_id_of_an_app(claims: list[object], name: str) -> None:
    assert read_principal(with_claims(*claims)).name == name


@pytest.mark.parametrize(
    "header",
    [
        "junk",
        "e30",
        "....",
        " ",
        base64.b64encode(b"\xff\xfe").decode(),
        base64.b64encode(b"{").decode(),
        base64.b64encode(b"[" * 50_000).decode()[: MAX_HEADER_CHARS // 4 * 4],
        encoded([]),
        encoded("Operator"),
        encoded({}),
        encoded({"auth_typ": "aad"}),
        encoded({"auth_typ": "aad", "claims": "roles=Operator"}),
        encoded({"auth_typ": "aad", "claims": {"typ": "roles", "val": "Operator"}}),
        f"{principal_header()},{principal_header()}",
        f"{principal_header()}\n",
        "A" * 1024 * 1024,
    ],
    ids=lambda header: header[:12],
)
def test_junk_is_nobody(header: str) -> None:
    with pytest.raises(NoPrincipal):
        read_principal(header)


@pytest.mark.parametrize("odd", [None, 1, "roles", [], {}, claim("roles", ["Operator"]), claim(None, "Operator")])
def test_an_odd_claim_gives_nothing(odd: object) -> None:
    assert read_principal(with_claims(odd, claim("name", "Ada"))).role is None


@pytest.mark.parametrize("provider", ["github", "google", "AAD", "", None, "aad2"])
def test_no_other_identity_provider_gives_a_role(provider: Any) -> None:
    with pytest.raises(NoPrincipal, match="another identity provider"):
        read_principal(principal_header(provider=provider))


def test_an_account_of_another_tenant_is_nobody() -> None:
    with pytest.raises(NoPrincipal, match="another tenant"):
        read_principal(principal_header(tenant="11111111-0000-0000-0000-000000000000"), frozenset({TENANT}))


def test_an_account_that_names_no_tenant_is_nobody_where_the_tenant_counts() -> None:
    header = with_claims(claim("roles", "Operator"), claim("name", "Ada"))
    with pytest.raises(NoPrincipal, match="another tenant"):
        read_principal(header, frozenset({TENANT}))


def test_an_account_that_names_two_tenants_is_nobody() -> None:
    header = with_claims(claim("roles", "Operator"), claim("name", "Ada"), claim("tid", TENANT), claim("tid", "x"))
    with pytest.raises(NoPrincipal, match="another tenant"):
        read_principal(header, frozenset({TENANT}))


@pytest.mark.parametrize("claims", [[], [claim("name", " ")], [claim("given_name", "Ada")]])
def test_an_account_without_a_name_is_nobody_as_the_history_could_not_say_who_it_was(claims: list[object]) -> None:
    with pytest.raises(NoPrincipal, match="no name"):
        read_principal(with_claims(claim("roles", "Operator"), *claims))


def test_an_account_of_the_tenant_is_known() -> None:
    assert read_principal(principal_header(tenant=TENANT.upper()), frozenset({TENANT})).role is Role.OPERATOR


def test_the_reason_holds_nothing_of_the_header() -> None:
    with pytest.raises(NoPrincipal) as refused:
        read_principal(encoded({"auth_typ": "aad", "note": "hunter2"}))
    assert "hunter2" not in str(refused.value)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()))
def test_no_text_breaks_the_reader_or_gives_a_role(header: str) -> None:
    with contextlib.suppress(NoPrincipal):
        assert read_principal(header).role is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8) | st.sampled_from(["roles", "typ"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["typ", "val", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_JSON)
def test_no_claims_break_the_reader(claims: object) -> None:
    with contextlib.suppress(NoPrincipal):
        assert read_principal(encoded({"auth_typ": "aad", "claims": claims})).role is None


@pytest.mark.parametrize(
    ("value", "is_on"),
    [("True", True), ("true", True), (" TRUE ", True), ("False", False), ("", False), ("1", False), ("yes", False)],
)
def test_the_platform_is_believed_only_when_it_says_so(value: str, is_on: bool) -> None:
    assert Platform.from_environment({"WEBSITE_AUTH_ENABLED": value}).is_on is is_on


def test_without_a_word_the_platform_is_off() -> None:
    assert Platform.from_environment({}) == Platform(False, frozenset())


def test_the_tenants_are_those_that_the_platform_checks() -> None:
    given = {"WEBSITE_AUTH_ENABLED": "True", "WEBSITE_AUTH_AAD_ALLOWED_TENANTS": f" {TENANT.upper()}, ,x"}
    assert Platform.from_environment(given).tenants == {TENANT, "x"}


def test_the_test_header_is_as_documented() -> None:
    document = json.loads(base64.b64decode(principal_header()))
    assert set(document) == {"auth_typ", "claims", "name_typ", "role_typ"}
