"""How many backups on demand each instance had within a day, shared by all hosts: one row for each instance.

A slot is of one remediation, taken just before the call for the backup: who finds it held does not know whether the
call was made. It is given back where Azure said that no backup was begun.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from azure.data.tables import TableClient

from shared.clock import from_iso, to_iso, to_millis
from shared.domain.backup_slot import BackupSlot, FreeSlot, HeldSlot, NoSlot
from shared.domain.resource_ids import BackupInstanceId
from shared.storage.own_writes import new_write
from shared.storage.shared_rows import CORRUPT, Row, SharedRows

_PARTITION = "backups"
_DAY = timedelta(hours=24)


class BackupSlots:
    """Gives out backups. Raises `azure.core.exceptions.AzureError` without storage."""

    def __init__(self, table: TableClient, daily_cap: int, now: Callable[[], datetime]) -> None:
        """Keep the slots in this table; an instance has `daily_cap` of them within 24 hours."""
        self._rows = SharedRows(table, _PARTITION, now)
        self._daily_cap = daily_cap
        self._now = now

    def look(self, instance: BackupInstanceId, remediation_id: str) -> BackupSlot:
        """The slot that the remediation has, or could take now."""
        return self._slot(self._taken(self._rows.read(instance.key)), remediation_id)

    def take(self, instance: BackupInstanceId, remediation_id: str) -> datetime | None:
        """Take a free slot.

        Returns:
            When it was taken; None if there was none, or the remediation had one before.

        Raises:
            WriteConflict: other hosts kept changing the row first.
        """
        taken_at: datetime | None = None
        taker = new_write()

        def with_slot(row: Row | None) -> Row | None:
            nonlocal taken_at
            taken, takers, now = self._taken(row), _takers(row), self._now()
            if takers.get(remediation_id) == taker:
                return None  # by the try before, which was repeated after another had changed the row
            is_free = isinstance(self._slot(taken, remediation_id), FreeSlot)
            taken_at = now if is_free else None
            return _written(taken | {remediation_id: now}, takers | {remediation_id: taker}) if is_free else None

        self._rows.change(instance.key, with_slot)
        return taken_at

    def give_back(self, instance: BackupInstanceId, remediation_id: str, called_at: datetime) -> None:
        """Free the remediation's slot, if it has one.

        Args:
            called_at: when the call was made that began no backup. A slot that was taken later is for another call:
                whoever comes so late must not free it.

        Raises:
            WriteConflict: other hosts kept changing the row first.
        """

        def without_slot(row: Row | None) -> Row | None:
            taken = self._taken(row)
            if remediation_id not in taken or taken[remediation_id] > called_at:
                return None
            del taken[remediation_id]
            return _written(taken, _takers(row))

        self._rows.change(instance.key, without_slot)

    def purge(self) -> int:
        """Remove the rows whose slots are all older than a day; returns how many."""
        return self._rows.purge(f"TakenAt lt '{to_millis(self._now() - _DAY):013d}'")

    def _slot(self, taken: Mapping[str, datetime], remediation_id: str) -> BackupSlot:
        if remediation_id in taken:
            return HeldSlot(taken[remediation_id])
        return FreeSlot() if len(taken) < self._daily_cap else NoSlot()

    def _taken(self, row: Row | None) -> dict[str, datetime]:
        oldest = self._now() - _DAY
        return {each: at for each, at in _read(row).items() if at > oldest}


def _written(taken: Mapping[str, datetime], takers: Mapping[str, str]) -> Row:
    newest = max(map(to_millis, taken.values()), default=0)
    return {
        "Slots": json.dumps({each: to_iso(at) for each, at in taken.items()}),
        "Takers": json.dumps({each: takers[each] for each in taken if each in takers}),
        "TakenAt": f"{newest:013d}",
    }


def _takers(row: Row | None) -> dict[str, str]:
    """The random name of the call that took each slot; earlier versions write none."""
    try:
        return dict(json.loads(row["Takers"])) if row else {}
    except CORRUPT:
        return {}


def _read(row: Row | None) -> dict[str, datetime]:
    """The slots of a row. One that cannot be read has none: a backup too many harms less than none ever."""
    try:
        slots = json.loads(row["Slots"]) if row else {}
        return {str(each): from_iso(at) for each, at in slots.items()}
    except CORRUPT:
        return {}
