"""Vaults that are listed once for many alerts."""

from datetime import timedelta

from shared.clients.vault_cache import VaultCache
from shared.domain.arm_results import (
    ListedInstance,
    TransientFailure,
    VaultListed,
    VaultRefused,
    VaultResult,
    new_error,
)
from shared.domain.resource_ids import BackupInstanceId, BackupVaultId
from tests.support.alert_bodies import DISK, INSTANCE, VAULT
from tests.support.episodes import NO_VERDICT, NOW

ID = BackupInstanceId.parse(INSTANCE)
RESOURCE = (DISK.lower(),)
REFUSED = VaultRefused(403, new_error("AuthorizationFailed", "no permission"))
ABSENT = ("/subscriptions/x/resourcegroups/y/providers/z/disks/other",)


class Azure:
    """Lists vaults, and a clock."""

    def __init__(self, answer: VaultResult) -> None:
        self.answer = answer
        self.lists = 0
        self.now = NOW
        self.vaults = VaultCache(self.list_vault, lambda: self.now)

    def list_vault(self, vault: BackupVaultId) -> VaultResult:
        self.lists += 1
        return self.answer

    def lists_for(self, *lookups: tuple[float, tuple[str, ...]], vault: str = VAULT) -> int:
        """How often the vault is listed when these resources are looked up, each so many seconds after the last."""
        for seconds, resources in lookups:
            self.now += timedelta(seconds=seconds)
            self.vaults.protecting(resources, BackupVaultId.parse(vault))
        return self.lists


def azure() -> Azure:
    return Azure(VaultListed((ListedInstance(ID, DISK.upper()),)))


def test_the_instance_is_found_in_any_casing() -> None:
    assert azure().vaults.protecting(RESOURCE, ID.vault_id) == (ID,)


def test_a_vault_is_listed_once_for_alerts_that_follow_each_other() -> None:
    assert azure().lists_for((0, RESOURCE), (200, RESOURCE), (90, RESOURCE)) == 1


def test_a_list_is_kept_for_some_minutes_only() -> None:
    assert azure().lists_for((0, RESOURCE), (301, RESOURCE)) == 2


def test_a_resource_that_is_not_in_the_list_is_asked_for_anew() -> None:
    assert azure().lists_for((0, RESOURCE), (31, ABSENT)) == 2


def test_a_resource_that_is_not_in_a_fresh_list_is_not() -> None:
    assert azure().lists_for((0, ABSENT), (29, ABSENT)) == 1


def test_what_azure_cannot_say_now_is_not_kept() -> None:
    assert Azure(NO_VERDICT).lists_for((0, RESOURCE), (1, RESOURCE)) == 2
    assert isinstance(Azure(NO_VERDICT).vaults.protecting(RESOURCE, ID.vault_id), TransientFailure)


def test_a_refusal_is_kept_as_long_as_a_list_is_trusted() -> None:
    refusing = Azure(REFUSED)
    assert refusing.lists_for((0, RESOURCE), (29, RESOURCE)) == 1
    assert refusing.vaults.protecting(RESOURCE, ID.vault_id) == REFUSED
    assert refusing.lists_for((1, RESOURCE)) == 2


def test_no_more_than_a_hundred_vaults_are_kept_and_the_oldest_goes() -> None:
    asked = azure()
    for number in range(101):
        asked.lists_for((0, RESOURCE), vault=f"{VAULT}{number}")
    assert asked.lists_for((0, RESOURCE), vault=f"{VAULT}100") == 101
    assert asked.lists_for((0, RESOURCE), vault=f"{VAULT}0") == 102
