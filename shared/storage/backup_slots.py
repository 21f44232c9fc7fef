"""How many backups on demand each instance had within a day, shared by all hosts: one row for each instance.

A slot is of one remediation: taken again after a crash between the slot and the call, it is the same slot.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableClient, UpdateMode

from shared.clock import from_iso, to_iso
from shared.domain.resource_ids import BackupInstanceId
from shared.storage.conflicts import WriteConflict, retry_on_conflict
from shared.storage.table_rows import etag_of, only_if

_PARTITION = "backups"
_DAY = timedelta(hours=24)


class BackupSlots:
    """Gives out backups. Raises `azure.core.exceptions.AzureError` without storage."""

    def __init__(self, table: TableClient, daily_cap: int, now: Callable[[], datetime]) -> None:
        """Keep the slots in this table; an instance has `daily_cap` of them within 24 hours."""
        self._table = table
        self._daily_cap = daily_cap
        self._now = now

    def take(self, instance: BackupInstanceId, remediation_id: str) -> bool:
        """Whether this remediation may make a backup of the instance: it has a slot, or takes one that is free.

        Raises:
            WriteConflict: other hosts kept changing the row first.
        """
        return retry_on_conflict(lambda: self._take(instance.key, remediation_id))

    def _take(self, key: str, remediation_id: str) -> bool:
        row = self._row(key)
        oldest = self._now() - _DAY
        taken = {each: at for each, at in _read(row).items() if at > oldest}
        if remediation_id in taken:
            return True
        if len(taken) >= self._daily_cap:
            return False
        taken[remediation_id] = self._now()
        slots = json.dumps({each: to_iso(at) for each, at in taken.items()})
        after = {"PartitionKey": _PARTITION, "RowKey": key, "Slots": slots}
        try:
            if row is None:
                self._table.create_entity(after)
            else:
                self._table.update_entity(after, UpdateMode.REPLACE, **only_if(etag_of(row)))
        except (ResourceExistsError, ResourceModifiedError) as faster:
            raise WriteConflict(f"another host took a backup slot of {key}") from faster
        return True

    def _row(self, key: str) -> Any:
        try:
            return self._table.get_entity(_PARTITION, key)
        except ResourceNotFoundError:
            return None


def _read(row: Any) -> dict[str, datetime]:
    """The slots of a row. One that cannot be read has none: a backup too many harms less than none ever."""
    try:
        slots = json.loads(row["Slots"]) if row else {}
        return {str(each): from_iso(at) for each, at in slots.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}
