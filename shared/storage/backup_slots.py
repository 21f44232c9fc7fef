"""How many backups on demand each instance had within a day, shared by all hosts: one row for each instance.

A slot is of one remediation: taken again after a crash between the slot and the call, it is the same slot.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta

from azure.data.tables import TableClient

from shared.clock import from_iso, to_iso
from shared.domain.resource_ids import BackupInstanceId
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

    def take(self, instance: BackupInstanceId, remediation_id: str) -> bool:
        """Whether this remediation may make a backup of the instance: it has a slot, or takes one that is free.

        Raises:
            WriteConflict: other hosts kept changing the row first.
        """
        has_slot = False

        def with_slot(row: Row | None) -> Row | None:
            nonlocal has_slot
            oldest = self._now() - _DAY
            taken = {each: at for each, at in _read(row).items() if at > oldest}
            has_slot = remediation_id in taken or len(taken) < self._daily_cap
            if not has_slot or remediation_id in taken:
                return None
            taken[remediation_id] = self._now()
            return {"Slots": json.dumps({each: to_iso(at) for each, at in taken.items()})}

        self._rows.change(instance.key, with_slot)
        return has_slot


def _read(row: Row | None) -> dict[str, datetime]:
    """The slots of a row. One that cannot be read has none: a backup too many harms less than none ever."""
    try:
        slots = json.loads(row["Slots"]) if row else {}
        return {str(each): from_iso(at) for each, at in slots.items()}
    except CORRUPT:
        return {}
