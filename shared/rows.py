"""What the rows of the table hold: how a remediation, its owner and its due entry are written and read.

Keys are in the partition that the instance's key decides:

    o:{instance key}        owner: the instance's latest remediation
    r:{remediation id}      the remediation, as a JSON document, and beside it what storage filters by
    d:{millis}:{id}         due entry: look at this remediation at that time

Ids count down with time, so `r:` rows read newest first; `d:` rows read soonest first.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.clock import from_millis, to_millis
from shared.documents import CorruptDocument, from_document, to_document
from shared.remediation import Remediation
from shared.resource_id import BackupInstanceId
from shared.summaries import summary_of, to_text

SHARDS = ("0", "1", "2", "3")
_CHUNK = 30_000
"""Characters of a document in one property: below the 64 KiB of UTF-16 that a property may hold."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A remediation as it was read, with what a compare-and-swap needs."""

    remediation: Remediation
    etag: str
    entry_at: datetime

    def names(self, entry: "DueEntry") -> bool:
        """Whether this is the entry that stands for the remediation; any other is spare."""
        return to_millis(self.entry_at) == to_millis(entry.at)


@dataclass(frozen=True, slots=True)
class Owner:
    """The instance's latest remediation, active or ended."""

    remediation_id: str
    opened: tuple[datetime, ...]
    """When the instance's latest remediations were opened, newest first; at most `KEPT_OPENINGS`."""
    etag: str


@dataclass(frozen=True, slots=True)
class DueEntry:
    """Look at this remediation at that time."""

    remediation_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """A remediation that a tick moved on: from what was read to what is to be stored."""

    stored: Stored
    after: Remediation


@dataclass(frozen=True, slots=True)
class Saved:
    """A change that counts: what was before, and what is stored now."""

    before: Remediation
    stored: Stored


def shard_of(remediation_id: str) -> str:
    """The partition in which a remediation and everything about its instance is kept."""
    return _shard(remediation_id[13])


def shard_of_instance(instance: BackupInstanceId) -> str:
    """The partition of everything about an instance."""
    return _shard(instance.key[0])


def _shard(hex_digit: str) -> str:
    return SHARDS[int(hex_digit, 16) % len(SHARDS)]


def entry_after(change: Change) -> datetime:
    """Where the change's due entry stands once it is stored: where it stood, if that will do.

    What ends is due at once, so an entry that is due already need not be moved.
    """
    entry_at, due_at = change.stored.entry_at, change.after.due_at
    ends = change.after.status.is_terminal and not change.stored.remediation.status.is_terminal
    return entry_at if due_at is None or (ends and entry_at <= due_at) else due_at


def remediation_row(remediation: Remediation, entry_at: datetime) -> dict[str, Any]:
    """A remediation's row, which names the due entry that stands for it."""
    text = json.dumps(to_document(remediation), separators=(",", ":"))
    row = {
        "PartitionKey": shard_of(remediation.id),
        "RowKey": f"r:{remediation.id}",
        "Status": remediation.status.value,
        "EntryAt": f"{to_millis(entry_at):013d}",
        "Subscription": remediation.instance.subscription_id.lower(),
        "InstanceKey": remediation.instance.key,
        "Summary": to_text(summary_of(remediation)),
    }
    for number, start in enumerate(range(0, len(text), _CHUNK)):
        row[f"Document{number}"] = text[start : start + _CHUNK]
    return row


def stored_in(row: Mapping[str, Any]) -> Stored:
    """The remediation in a whole `r:` row.

    Raises:
        CorruptDocument: the row cannot be read.
    """
    chunks = (row[f"Document{number}"] for number in range(len(row)) if f"Document{number}" in row)
    try:
        remediation = from_document(json.loads("".join(chunks)))
        entry_at = from_millis(int(row["EntryAt"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as cause:
        raise CorruptDocument(f"{row['RowKey']}: {cause}") from cause
    return Stored(remediation, etag_of(row), entry_at)


def owner_in(row: Mapping[str, Any]) -> Owner:
    """The owner in an `o:` row; openings that cannot be read do not count."""
    opened: tuple[datetime, ...] = ()
    with suppress(ValueError, TypeError, KeyError, AttributeError, OverflowError):
        opened = tuple(from_millis(int(millis)) for millis in row["Opened"].split(","))
    return Owner(str(row.get("Remediation", "")), opened, etag_of(row))


def entry_row(entry: DueEntry) -> dict[str, Any]:
    """A due entry's row: it is all in the key."""
    return {
        "PartitionKey": shard_of(entry.remediation_id),
        "RowKey": f"d:{to_millis(entry.at):013d}:{entry.remediation_id}",
    }


def read_entry(row_key: str) -> DueEntry:
    """The due entry with this row key."""
    _, millis, remediation_id = row_key.split(":")
    return DueEntry(remediation_id, from_millis(int(millis)))


def etag_of(row: Any) -> str:
    """The ETag with which a row was read."""
    return str(row.metadata["etag"])
