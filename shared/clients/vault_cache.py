"""Cache of vaults' instances, for alerts that name nothing but a vault and the resource that it protects.

A vault's list is kept for a few minutes: when a region fails, hundreds of alerts come about the same vaults. A
refusal is kept for seconds only: somebody may be granting the permission right now.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.arm_results import ListedInstance, Refused, TransientFailure, VaultListed, VaultResult
from shared.domain.resource_ids import BackupInstanceId, BackupVaultId, normalize

_MAX_AGE = timedelta(minutes=5)
_MAX_AGE_OF_MISS = timedelta(seconds=30)
"""Of a refusal, or of a list that does not have the resource: the instance may be new."""
_MAX_VAULTS = 100

Lookup = tuple[BackupInstanceId, ...] | Refused | TransientFailure


@dataclass(frozen=True, slots=True)
class _Entry:
    result: VaultListed | Refused
    listed_at: datetime


@dataclass(frozen=True, slots=True)
class VaultCache:
    """Lists vaults. Two threads at once may list the same vault: that costs a read, and a lock would too."""

    list_vault: Callable[[BackupVaultId], VaultResult]
    now: Callable[[], datetime]
    _entries: dict[BackupVaultId, _Entry] = field(default_factory=dict)

    def find_instances(self, resources: Sequence[str], vault: BackupVaultId) -> Lookup:
        """The instances of this vault that protect one of these resources, whose ids are in lower case."""
        entry = self._entries.get(vault)
        age = self.now() - entry.listed_at if entry else _MAX_AGE
        if entry and age < _MAX_AGE:
            found = _find(entry.result, resources)
            if age < _MAX_AGE_OF_MISS or (found and not isinstance(found, Refused)):
                return found
        result = self.list_vault(vault)
        if isinstance(result, TransientFailure):
            return result
        self._keep(vault, result)
        return _find(result, resources)

    def _keep(self, vault: BackupVaultId, result: VaultListed | Refused) -> None:
        self._entries.pop(vault, None)
        for oldest in list(self._entries)[: len(self._entries) - _MAX_VAULTS + 1]:
            self._entries.pop(oldest, None)
        self._entries[vault] = _Entry(result, self.now())


def _find(result: VaultListed | Refused, resources: Sequence[str]) -> tuple[BackupInstanceId, ...] | Refused:
    return protecting(resources, result.instances) if isinstance(result, VaultListed) else result


def protecting(resources: Sequence[str], instances: Sequence[ListedInstance]) -> tuple[BackupInstanceId, ...]:
    """The instances that protect one of these resources (ids in lower case), or what such a resource is a part of."""
    return tuple(
        instance.id
        for instance in instances
        if any(f"{resource}/".startswith(f"{normalize(instance.resource_id)}/") for resource in resources)
    )
