from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.resource_ids import BackupInstanceId, BackupVaultId, InvalidResourceId

SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"
ID = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/testrg"
    "/providers/Microsoft.DataProtection/backupVaults/testvault/backupInstances/testbi"
)

names = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="/\\?#%"), min_size=1, max_size=60
).filter(lambda name: name.strip("."))


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
        (ID.replace("testbi", ".."), "is not a name"),
        (ID.replace("testbi", "a?b"), "no ARM name may have"),
        (ID.replace("testbi", "a\nb"), "no ARM name may have"),
        (ID.replace("testbi", "a\ud800b"), "no ARM name may have"),
        (ID.replace("testbi", "a" * 261), "261 characters"),
        (ID + "/" + "a" * 5000, "too long"),
    ],
)
def test_what_is_no_backup_instance_is_refused_with_the_reason(text: object, reason: str) -> None:
    with pytest.raises(InvalidResourceId, match=reason):
        BackupInstanceId.parse(text)


def test_a_name_cannot_change_the_path_of_a_url() -> None:
    hostile = BackupInstanceId(SUBSCRIPTION, "rg", "vault", "<a b>&;=")
    assert hostile.url_path.endswith("/backupInstances/%3Ca%20b%3E%26%3B%3D")


@given(names, names, names)
def test_every_id_that_can_be_made_can_be_read_back(group: str, vault: str, name: str) -> None:
    made = BackupInstanceId(SUBSCRIPTION, group, vault, name)
    assert str(BackupInstanceId.parse(str(made))) == str(made)


@given(names, names, names)
def test_the_key_is_the_same_in_lower_case(group: str, vault: str, name: str) -> None:
    made = BackupInstanceId(SUBSCRIPTION, group, vault, name)
    assert made.key == BackupInstanceId.parse(str(made).lower()).key


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
    assert BackupVaultId(SUBSCRIPTION, "a b", "v").url_path.count("a%20b") == 1
