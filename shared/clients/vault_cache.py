"""The instances of a vault that protect a resource, for alerts that name nothing but vault and resource.

A vault's list is kept for a few minutes: when a region fails, hundreds of alerts come about the same vaults. So is
a refusal, for as long as a list is trusted: somebody may be granting the permission right now.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.arm_results import ListedInstance, TransientFailure, VaultListed, VaultRefused, VaultResult
from shared.domain.resource_ids import BackupInstanceId, BackupVaultId, normalize

_KEPT = timedelta(minutes=5)
_TRUSTED = timedelta(seconds=30)
"""A list that does not have the resource is asked for anew unless it is this fresh: the instance may be new."""
_MOST_VAULTS = 100

Found = tuple[BackupInstanceId, ...] | VaultRefused | TransientFailure


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: VaultListed | VaultRefused
    at: datetime


@dataclass(frozen=True, slots=True)
class VaultCache:
    """Looks into vaults. Two threads at once may list the same vault: that costs a read, and a lock would too."""

    list_vault: Callable[[BackupVaultId], VaultResult]
    now: Callable[[], datetime]
    _kept: dict[BackupVaultId, _Kept] = field(default_factory=dict)

    def protecting(self, resources: Sequence[str], vault: BackupVaultId) -> Found:
        """The instances of this vault whose protected resource is one of these, ids in lower case."""
        kept = self._kept.get(vault)
        age = self.now() - kept.at if kept else _KEPT
        if kept and age < _KEPT:
            found = _found(kept.answer, resources)
            if age < _TRUSTED or (isinstance(kept.answer, VaultListed) and found):
                return found
        answer = self.list_vault(vault)
        if isinstance(answer, TransientFailure):
            return answer
        self._keep(vault, answer)
        return _found(answer, resources)

    def _keep(self, vault: BackupVaultId, answer: VaultListed | VaultRefused) -> None:
        self._kept.pop(vault, None)
        for oldest in list(self._kept)[: len(self._kept) - _MOST_VAULTS + 1]:
            self._kept.pop(oldest, None)
        self._kept[vault] = _Kept(answer, self.now())


def _found(answer: VaultListed | VaultRefused, resources: Sequence[str]) -> tuple[BackupInstanceId, ...] | VaultRefused:
    return matching(answer.instances, resources) if isinstance(answer, VaultListed) else answer


def matching(listed: Sequence[ListedInstance], resources: Sequence[str]) -> tuple[BackupInstanceId, ...]:
    """The instances of a vault that protect one of these resources: the resource itself, or what stands above it."""
    return tuple(
        instance.id
        for instance in listed
        if any(f"{resource}/".startswith(f"{normalize(instance.resource_id)}/") for resource in resources)
    )
