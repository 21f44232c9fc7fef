"""Writes that storage carries out twice: what was answered by a server error, or not at all, the SDK repeats.

The repeat meets the rows of the first as a conflict. So rows have a random name of their last write, by which a writer
knows that it has not lost against another.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from azure.core.exceptions import AzureError
from azure.data.tables import TableClient

REPEAT_UNANSWERED: Mapping[str, Any] = {"retry_on_methods": ["POST"]}
"""An option of requests of the SDK that create rows or are transactions: after a server error it repeats them anyway,
but after no answer only what it takes for harmless (azure-core, `RetryPolicy`). For rows that are known again."""
_NAMES = ("Write", "EntryAt")
"""Who only puts off what cannot be read changes the entry, and leaves the write as it is."""


def new_write() -> str:
    """A name for a write."""
    return uuid4().hex


def own_row(table: TableClient, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The row that stands there, if it is this one, put there by this write; None also where that cannot be known."""
    if "Write" not in row:
        return None
    with suppress(AzureError):
        found = table.get_entity(row["PartitionKey"], row["RowKey"])
        if all(found.get(name) == row.get(name) for name in _NAMES):
            return found
    return None
