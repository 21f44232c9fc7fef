"""Vaults that are listed once for many alerts."""

from datetime import timedelta

import pytest

from shared.clients.vault_cache import VaultCache, protecting
from shared.domain.arm_results import (
    ListedInstance,
    Refused,
    TransientFailure,
    VaultListed,
    VaultResult,
    new_error,
)
from shared.domain.resource_ids import BackupInstanceId, BackupVaultId
from tests.support.alert_bodies import DISK, INSTANCE, OTHER_INSTANCE, VAULT
from tests.support.remediations import NO_VERDICT, NOW

ID = BackupInstanceId.parse(INSTANCE)
RESOURCE = (DISK.lower(),)
LISTED = VaultListed((ListedInstance(ID, DISK.upper()),))
REFUSED = Refused(403, new_error("AuthorizationFailed", "no permission"))
ABSENT = ("/subscriptions/x/resourcegroups/y/providers/z/disks/other",)


class Azure:
    """Lists vaults, and a clock."""

    def __init__(self, result: VaultResult = LISTED) -> None:
        self.result = result
        self.lists = 0
        self.now = NOW
        self.vaults = VaultCache(self.list_vault, lambda: self.now)

    def list_vault(self, vault: BackupVaultId) -> VaultResult:
        self.lists += 1
        return self.result

    def lists_for(self, *lookups: tuple[float, tuple[str, ...]], vault: str = VAULT) -> int:
        """How often the vault is listed when these resources are looked up, each so many seconds after the last."""
        for seconds, resources in lookups:
            self.now += timedelta(seconds=seconds)
            self.vaults.find_instances(resources, BackupVaultId.parse(vault))
        return self.lists


def test_the_instance_is_found_in_any_casing() -> None:
    assert Azure().vaults.find_instances(RESOURCE, ID.vault_id) == (ID,)


@pytest.mark.parametrize(
    ("resource", "found"),
    [
        (DISK, (ID,)),
        (f"{DISK}/providers/Microsoft.DataProtection/x/y", (ID,)),
        (DISK.removesuffix("1"), ()),
        (VAULT, ()),
    ],
)
def test_a_resource_or_a_part_of_it_leads_to_the_instance_that_protects_it(
    resource: str, found: tuple[BackupInstanceId, ...]
) -> None:
    other = ListedInstance(BackupInstanceId.parse(OTHER_INSTANCE), DISK.replace("disk1", "disk12"))
    assert protecting([resource.lower()], [ListedInstance(ID, DISK), other]) == found


@pytest.mark.parametrize(
    ("lookups", "lists"),
    [
        pytest.param([(0, RESOURCE), (200, RESOURCE), (90, RESOURCE)], 1, id="alerts that follow each other"),
        pytest.param([(0, RESOURCE), (301, RESOURCE)], 2, id="minutes later"),
        pytest.param([(0, RESOURCE), (31, ABSENT)], 2, id="a resource that is not in the list"),
        pytest.param([(0, ABSENT), (29, ABSENT)], 1, id="a resource that is not in a fresh list"),
    ],
)
def test_a_list_is_kept_for_some_minutes_and_a_miss_for_seconds(
    lookups: list[tuple[float, tuple[str, ...]]], lists: int
) -> None:
    assert Azure().lists_for(*lookups) == lists


def test_a_transient_failure_is_not_kept() -> None:
    failing = Azure(NO_VERDICT)
    assert failing.lists_for((0, RESOURCE), (1, RESOURCE)) == 2
    assert isinstance(failing.vaults.find_instances(RESOURCE, ID.vault_id), TransientFailure)


def test_a_refusal_is_kept_for_seconds() -> None:
    refusing = Azure(REFUSED)
    assert refusing.lists_for((0, RESOURCE), (29, RESOURCE)) == 1
    assert refusing.vaults.find_instances(RESOURCE, ID.vault_id) == REFUSED
    assert refusing.lists_for((1, RESOURCE)) == 2


def test_no_more_than_a_hundred_vaults_are_kept_and_the_oldest_goes() -> None:
    azure = Azure()
    for number in range(101):
        azure.lists_for((0, RESOURCE), vault=f"{VAULT}{number}")
    assert azure.lists_for((0, RESOURCE), vault=f"{VAULT}100") == 101
    assert azure.lists_for((0, RESOURCE), vault=f"{VAULT}0") == 102
