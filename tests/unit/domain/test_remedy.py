"""The next step that an operator is told, and the commands: every value of them quoted."""

import shlex
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain import arm_results, recovery_steps
from shared.domain.backup_results import PointsRead
from shared.domain.error_codes import BUILT_IN, ErrorCodes, read_entries
from shared.domain.recovery_steps import RecoveryMoment
from shared.domain.remediation import Remediation, Status
from shared.domain.remedy import NextStep, next_step_of
from tests.support.remediations import LATER, after, ended, healed, recovering, running, verifying

DISK = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg-data/providers/Microsoft.Compute/disks/d1"
GROUP = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg-snap"


def broken(code: str, **known: Any) -> Remediation:
    """It ended Failed with this code."""
    failed = arm_results.OperationFailed("Failed", {"code": code, "message": ""})
    return replace(after(running(), failed), **known)


def step(remediation: Remediation) -> NextStep:
    found = next_step_of(remediation, BUILT_IN)
    assert found is not None
    return found


def arguments(remediation: Remediation) -> Sequence[str]:
    command = step(remediation).command
    assert command is not None
    return shlex.split(command)


def test_a_missing_role_is_granted_by_a_command_with_vault_role_and_scope() -> None:
    words = arguments(broken("UserErrorNotEnoughPermissionOnDisk", datasource_id=DISK))
    assert words[:4] == ["az", "role", "assignment", "create"]
    assert words[words.index("--role") + 1] == "Disk Backup Reader"
    assert words[words.index("--scope") + 1] == DISK
    principal = words[words.index("--assignee-object-id") + 1]
    assert principal.startswith("$(az dataprotection backup-vault show ")
    assert all(name in principal for name in ("testrg", "testvault", "identity.principalId"))


def test_a_scope_that_is_not_known_stands_in_angle_brackets() -> None:
    words = arguments(broken("UserErrorNotEnoughPermissionOnDisk"))
    assert words[-1] == "<id of the datasource>"


def test_a_role_at_the_snapshots_names_their_resource_group() -> None:
    words = arguments(broken("UserErrorNotEnoughPermissionOnSnapshotRG", snapshot_group_id=GROUP))
    assert words[-1] == GROUP


def test_a_role_at_a_database_server_names_the_server_of_the_database() -> None:
    server = DISK.replace("Microsoft.Compute/disks", "Microsoft.DBforPostgreSQL/servers")
    words = arguments(broken("UserErrorMSIMissingPermissions", datasource_id=f"{server}/databases/one"))
    assert words[-1] == server


def test_a_lock_is_shown_before_anybody_removes_it() -> None:
    words = arguments(broken("UserErrorSnapshotResourceGroupHasLocks", snapshot_group_id=GROUP))
    assert words[:3] == ["az", "lock", "list"]
    assert words[words.index("--resource-group") + 1] == "rg-snap"


def test_a_provider_is_registered_in_the_subscription_of_the_datasource() -> None:
    words = arguments(broken("UserErrorMissingSubscriptionRegistration", datasource_id=DISK))
    assert words[-4:] == ["--namespace", "Microsoft.Compute", "--subscription", DISK.split("/")[2]]


def test_a_clusters_extension_is_asked_for_its_identity() -> None:
    cluster = DISK.replace("Compute/disks", "ContainerService/managedClusters")
    code = "UserErrorExtensionMSIMissingPermissionsOnBackupStorageLocation"
    principal = arguments(broken(code, datasource_id=cluster))[5]
    assert principal.startswith("$(az k8s-extension show ")
    assert "--cluster-name d1 --resource-group rg-data" in principal


names = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters='/\\?#%<>&:*"|'), min_size=1, max_size=20
)


@given(names, names)
def test_no_name_can_become_another_word_of_a_command(group: str, name: str) -> None:
    hostile = f"/subscriptions/{group}/resourceGroups/{name};rm/providers/A/b/$(x)'`{name}"
    words = arguments(broken("UserErrorNotEnoughPermissionOnDisk", datasource_id=hostile))
    assert words[-1] == hostile
    assert len(words) == 12


@pytest.mark.parametrize("entry", BUILT_IN.entries, ids=lambda entry: entry.codes[0])
def test_every_entry_of_the_table_has_a_step_and_a_command_where_it_has_a_remedy(entry: Any) -> None:
    said = step(broken(entry.codes[0].replace("*", "X")))
    assert said.text.startswith(entry.what_to_do)
    assert (said.command is not None, said.link) == (entry.remedy is not None, entry.link)


def test_whatever_ended_other_than_well_has_a_next_step_and_what_is_well_has_none() -> None:
    well = {Status.HEALED, Status.WOULD_HEAL, Status.RECOVERED, Status.NOT_RECOVERED}
    assert {each.status for each in ended() if next_step_of(each, BUILT_IN) is None} <= well
    assert next_step_of(healed(), BUILT_IN) is None
    assert next_step_of(running(), BUILT_IN) is None


@pytest.mark.parametrize(
    ("code", "is_said"),
    [("UserErrorMissingRequiredPermissions", True), ("CloudInternalError", False), ("UserErrorNew", False)],
)
def test_what_waits_for_a_person_says_so(code: str, is_said: bool) -> None:
    failed = arm_results.OperationFailed("Failed", {"code": code, "message": ""})
    waiting = replace(after(running(), failed), status=Status.WAITING_TO_RETRY)
    assert (next_step_of(waiting, BUILT_IN) is not None) is is_said


def test_a_users_own_entry_is_said() -> None:
    own = ErrorCodes(read_entries('[{"codes": ["UserErrorOurs"], "class": "Never", "whatToDo": "Ask the team."}]'))
    said = next_step_of(broken("UserErrorOurs"), own)
    assert said is not None
    assert said.text.startswith("Ask the team.")


def test_a_state_that_somebody_intends_has_its_own_words() -> None:
    stopped = after(verifying(), arm_results.InstanceRead("ProtectionStopped", None))
    assert "EXCLUDE" in step(stopped).text


def not_recovered(**facts: Any) -> Remediation:
    late = RecoveryMoment(LATER + timedelta(days=9), 0.0)
    ended = recovery_steps.on_points(recovering(), PointsRead(()), late)
    return replace(ended, **facts)


def test_what_did_not_recover_is_backed_up_by_a_command_with_the_rule_of_its_policy() -> None:
    words = arguments(not_recovered())
    assert words[:4] == ["az", "dataprotection", "backup-instance", "adhoc-backup"]
    given = dict(zip(words[4::2], words[5::2], strict=True))
    assert given["--backup-instance-name"] == "testbi"
    assert (given["--rule-name"], given["--retention-tag-override"]) == ("BackupDaily", "Default")


def test_what_could_not_be_read_is_not_to_be_backed_up() -> None:
    gone = not_recovered(error={"code": "ResourceNotFound", "message": "gone"})
    assert step(gone).command is None
    assert "still exists" in step(gone).text
