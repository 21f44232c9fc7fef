"""Which pause an instance is in: that of the setting `MODE`, or one of a scope."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.backup_slot import BackupSlot, NoSlot
from shared.domain.mode import Mode
from shared.domain.pause import EVERYTHING, Pause
from shared.domain.resource_ids import BackupInstanceId
from shared.healing.ports import Slots
from shared.storage.pause_store import PauseStore

PauseOf = Callable[[BackupInstanceId], Pause | None]
_BY_SETTING = Pause(EVERYTHING, "the app's operator", "MODE is Paused", None)


def never_paused(instance: BackupInstanceId) -> None:
    """No instance is paused."""


@dataclass(frozen=True, slots=True)
class Pausing:
    """Finds the pause of an instance."""

    mode: Mode
    store: PauseStore
    now: Callable[[], datetime]

    def pauses(self) -> Sequence[Pause]:
        """All that are not over. Raises `azure.core.exceptions.AzureError` without storage."""
        by_setting = [_BY_SETTING] if self.mode is Mode.PAUSED else []
        return [*by_setting, *self.store.pauses()]

    def __call__(self, instance: BackupInstanceId) -> Pause | None:
        """The pause that the instance is in; None if it is in none. Raises as `pauses` does."""
        now = self.now()
        return next((pause for pause in self.pauses() if pause.covers(str(instance), now)), None)


@dataclass(frozen=True, slots=True)
class SlotsOutsidePauses:
    """Gives no backup to an instance that is paused."""

    slots: Slots
    pause_of: PauseOf

    def look(self, instance: BackupInstanceId, remediation_id: str) -> BackupSlot:
        """As `Slots.look`."""
        return NoSlot() if self.pause_of(instance) else self.slots.look(instance, remediation_id)

    def take(self, instance: BackupInstanceId, remediation_id: str) -> datetime | None:
        """As `Slots.take`."""
        return self.slots.take(instance, remediation_id)

    def give_back(self, instance: BackupInstanceId, remediation_id: str, called_at: datetime) -> None:
        """As `Slots.give_back`."""
        self.slots.give_back(instance, remediation_id, called_at)
