from contextlib import suppress
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.resource_ids import BackupInstanceId, BackupVaultId, InvalidResourceId, fold, resource_type_of

SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"
ID = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/testrg"
    "/providers/Microsoft.DataProtection/backupVaults/testvault/backupInstances/testbi"
)

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/testrg"
LETTERS: list[Literal["Lu", "Ll", "Lt", "Lm", "Lo", "Nd"]] = ["Lu", "Ll", "Lt", "Lm", "Lo", "Nd"]
groups = st.text(st.characters(categories=LETTERS, include_characters="_-.()"), min_size=1, max_size=90).filter(
    lambda name: not name.endswith(".")
)
vaults = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{1,49}", fullmatch=True)
names = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters='<>%&:\\?/#*"|'), min_size=1, max_size=60
).filter(lambda name: not name.endswith("."))
KELVIN = "\N{KELVIN SIGN}"


def test_an_id_is_shown_as_it_came() -> None:
    assert str(BackupInstanceId.parse(ID)) == ID


@pytest.mark.parametrize("text", [ID.upper(), ID.lower(), ID[1:], f"{ID}/", f" {ID}\n"])
def test_the_same_instance_is_meant_in_any_casing_with_or_without_slashes(text: str) -> None:
    parsed = BackupInstanceId.parse(text)
    assert (parsed, parsed.key, hash(parsed)) == (
        BackupInstanceId.parse(ID),
        BackupInstanceId.parse(ID).key,
        hash(parsed),
    )


@pytest.mark.parametrize("tail", ["/sync", "/backup/action", "/operationResults/x/y"])
def test_segments_behind_the_name_are_left_out(tail: str) -> None:
    assert str(BackupInstanceId.parse(ID + tail)) == ID


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "NoneType"),
        (7, "int"),
        ("", "expected /subscriptions/"),
        ("/subscriptions/" + SUBSCRIPTION, "expected /subscriptions/"),
        (ID.replace("DataProtection", "RecoveryServices"), "is not a backup instance id"),
        (ID.replace("backupInstances", "backupPolicies"), "is not a backup instance id"),
        (ID.removesuffix("/testbi"), "names no backup instance"),
        (ID.replace(SUBSCRIPTION, "not-a-uuid"), "is not a UUID"),
        (ID.replace("testrg", ""), "resource group name is empty"),
        (ID.replace("testbi", ".."), "ends with a blank or a period"),
        (ID.replace("testbi", "a" * 261), "261 characters"),
        (ID.replace("testrg", "a" * 91), "91 characters"),
        (ID.replace("backupVaults", f"bac{KELVIN}upVaults"), "is not a backup instance id"),
        (ID + "/" + "a" * 5000, "too long"),
    ],
)
def test_what_is_no_backup_instance_is_refused_with_the_reason(text: object, reason: str) -> None:
    with pytest.raises(InvalidResourceId, match=reason):
        BackupInstanceId.parse(text)


GROUP, VAULT, NAME = "resource group name", "vault name", "backup instance name"
REFUSED = {
    GROUP: [
        "rg.",
        "..",
        "a b",
        " rg",
        "rg ",
        "a/b",
        "a<b",
        "a:b",
        "a*b",
        "a&b",
        "a'b",
        "a;b",
        "\N{ROMAN NUMERAL ONE}",
        "a\n",
    ],
    VAULT: ["v", "v" * 51, "1vault", "-vault", "va_ult", "va.ult", "va ult", "v\N{LATIN SMALL LETTER E WITH ACUTE}"],
    NAME: [*(f"a{character}b" for character in '<>%&:\\?/#*"|\n\t\0\x7f\ud800'), " a", "a ", "a.", ".", "..", " "],
}
TAKEN = {
    GROUP: ["r", "rg(1)", "_rg-1.a", "a" * 90, "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n", ".rg", "\u7fa4"],
    VAULT: ["vv", "Vault-1", "v" * 50, "vault-"],
    NAME: ["a", "1", "a b", "disk (weekly)", "a.b", "server;db", "a+b=c,d@e!f$g'h~i", "-", "a" * 260, KELVIN],
}


def made_with(kind: str, name: str) -> BackupInstanceId:
    fitting = {GROUP: "rg", VAULT: "vault", NAME: "instance"} | {kind: name}
    return BackupInstanceId(SUBSCRIPTION, *fitting.values())


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in REFUSED.items() for name in names])
def test_a_name_that_its_resource_type_cannot_have_is_refused(kind: str, name: str) -> None:
    with pytest.raises(InvalidResourceId, match=f"the {kind} "):
        made_with(kind, name)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in TAKEN.items() for name in names])
def test_a_name_that_its_resource_type_can_have_is_taken(kind: str, name: str) -> None:
    made = made_with(kind, name)
    assert BackupInstanceId.parse(str(made)) == made


def test_a_letter_that_only_looks_like_another_is_another() -> None:
    assert made_with(NAME, f"dis{KELVIN}-1") != made_with(NAME, "disk-1")
    assert made_with(NAME, f"dis{KELVIN}-1").key != made_with(NAME, "disk-1").key


def test_a_name_cannot_change_the_path_of_a_url() -> None:
    hostile = BackupInstanceId(SUBSCRIPTION, "rg", "vault", "..a b;=")
    assert hostile.url_path.endswith("/backupInstances/..a%20b%3B%3D")


@given(groups, vaults, names)
def test_every_id_that_can_be_made_can_be_read_back(group: str, vault: str, name: str) -> None:
    made = BackupInstanceId(SUBSCRIPTION, group, vault, name)
    assert str(BackupInstanceId.parse(str(made))) == str(made)


@given(groups, vaults, names)
def test_the_key_is_the_same_in_lower_case(group: str, vault: str, name: str) -> None:
    made = BackupInstanceId(SUBSCRIPTION, group, vault, name)
    assert made.key == BackupInstanceId.parse(fold(str(made))).key


@given(st.text())
def test_any_text_is_an_id_or_refused(text: str) -> None:
    with suppress(InvalidResourceId):
        assert str(BackupInstanceId.parse(text)).startswith("/subscriptions/")


@given(st.text())
def test_any_name_is_an_id_or_refused(name: str) -> None:
    try:
        made = BackupInstanceId(SUBSCRIPTION, "rg", "vault", name)
    except InvalidResourceId:
        return
    assert made.url_path.isascii()


def test_a_vault_is_read_in_any_casing_with_anything_behind_it() -> None:
    vault = ID.partition("/backupInstances")[0]
    assert BackupVaultId.parse(f"{vault.upper()}/backupJobs/1") == BackupVaultId.parse(vault)
    assert str(BackupVaultId.parse(vault)) == vault
    assert BackupInstanceId.parse(ID).vault_id == BackupVaultId.parse(vault)


@pytest.mark.parametrize("text", [None, "", "/", ID.partition("/testvault")[0], ID.replace("DataProtection", "Other")])
def test_what_names_no_vault_is_refused(text: object) -> None:
    with pytest.raises(InvalidResourceId):
        BackupVaultId.parse(text)


def test_a_vaults_names_cannot_change_the_path_of_a_url() -> None:
    assert BackupVaultId(SUBSCRIPTION, "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n", "vault").url_path.count(
        "gr%C3%BCn"
    )


@pytest.mark.parametrize(
    ("resource_id", "expected"),
    [
        (f"{GROUP}/providers/Microsoft.Compute/disks/d", "Microsoft.Compute/disks"),
        (f"{GROUP}/Providers/Microsoft.Compute/disks/d/", "Microsoft.Compute/disks"),
        (
            f"{GROUP}/providers/Microsoft.DBforPostgreSQL/servers/s/databases/d",
            "Microsoft.DBforPostgreSQL/servers/databases",
        ),
        (f"{GROUP}/providers/A.B/c/d/providers/E.F/g/h", "E.F/g"),
        (GROUP, None),
        (f"{GROUP}/providers/Microsoft.Compute", None),
        (f"{GROUP}/providers/Microsoft.Compute/disks", None),
        (f"{GROUP}/providers/Microsoft.Compute//d", None),
        ("", None),
    ],
)
def test_the_type_of_a_resource_is_read_from_its_id(resource_id: str, expected: str | None) -> None:
    assert resource_type_of(resource_id) == expected


@given(st.text())
def test_any_text_names_a_type_or_none(text: str) -> None:
    resource_type_of(text)
