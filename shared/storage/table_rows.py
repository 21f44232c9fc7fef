"""What the rows of the table hold: how a remediation, its owner and its due entry are written and read.

Keys are in the partition that the instance's key decides:

    o:{instance key}        owner: the instance's latest remediation, as it was opened
    r:{remediation id}      the remediation, as a JSON document, and beside it what storage filters by
    d:{millis}:{id}         due entry: look at this remediation at that time

Ids count down with time, so `r:` rows read newest first; `d:` rows read soonest first.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from azure.core import MatchConditions

from shared.clock import from_millis, to_millis
from shared.domain.remediation import Remediation, opened_at_of
from shared.domain.remediation_json import CorruptDocument, from_document, to_document
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.summary import summarize, to_text

SHARDS = ("0", "1", "2", "3")
_NEAR = timedelta(seconds=10)
"""Remediations that were opened within such a time of each other have few others between them."""
_UNFINISHED = timedelta(hours=12)
_CHUNK = 30_000
"""Characters of a document in one property: below the 64 KiB of UTF-16 that a property may hold."""

_UNREADABLE = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What reading a row can raise that was damaged, or written by another app."""


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
class LatestPointer:
    """The instance's latest remediation, active or ended."""

    remediation_id: str
    opened: tuple[datetime, ...]
    """When the instance's latest remediations were opened, newest first; at most `KEPT_OPENINGS`."""
    etag: str
    opening: Remediation | None = None
    """The latest remediation as it was opened; None if that cannot be read."""

    def unfinished(self, now: datetime) -> Remediation | None:
        """What its opener promised, and died before it was written, if its row is missing.

        After half a day a missing row says something else: it was purged (`RETENTION_DAYS` is one at least).
        """
        opening = self.opening
        return opening if opening and now - opening.opened_at < _UNFINISHED else None


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
    return {
        "PartitionKey": shard_of(remediation.id),
        "RowKey": f"r:{remediation.id}",
        "Status": remediation.status.value,
        "EntryAt": f"{to_millis(entry_at):013d}",
        "Subscription": remediation.instance.subscription_id.lower(),
        "InstanceKey": remediation.instance.key,
        "Summary": to_text(summarize(remediation)),
        **_document(remediation),
    }


def stored_in(row: Mapping[str, Any]) -> Stored:
    """The remediation in a whole `r:` row.

    Raises:
        CorruptDocument: the row cannot be read.
    """
    try:
        return Stored(_remediation_in(row), etag_of(row), from_millis(int(row["EntryAt"])))
    except _UNREADABLE as cause:
        raise CorruptDocument(f"{row['RowKey']}: {cause}") from cause


def pointer_row(remediation: Remediation, opened: Sequence[datetime]) -> dict[str, Any]:
    """The row of the instance's owner: this remediation as it is opened, and when the latest were, newest first."""
    return {
        "PartitionKey": shard_of(remediation.id),
        "RowKey": pointer_key(remediation.instance.key),
        "Remediation": remediation.id,
        "Opened": ",".join(str(to_millis(opening)) for opening in opened),
        **_document(remediation),
    }


def pointer_key(instance_key: str) -> str:
    """The row key of an instance's owner."""
    return f"o:{instance_key}"


def pointer_in(row: Mapping[str, Any]) -> LatestPointer:
    """The owner in an `o:` row; openings that cannot be read do not count."""
    opened: tuple[datetime, ...] = ()
    with suppress(ValueError, TypeError, KeyError, AttributeError, OverflowError):
        opened = tuple(from_millis(int(millis)) for millis in row["Opened"].split(","))
    opening: Remediation | None = None
    with suppress(*_UNREADABLE):
        opening = _remediation_in(row)
    return LatestPointer(str(row.get("Remediation", "")), opened, etag_of(row), opening)


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


def runs_of(entries: Iterable[DueEntry]) -> list[list[DueEntry]]:
    """Entries in the order of their rows, cut where two remediations were not opened shortly after each other."""
    runs: list[list[DueEntry]] = []
    newer: datetime | None = None
    for entry in sorted(entries, key=attrgetter("remediation_id")):
        opened_at = opened_at_of(entry.remediation_id)
        if newer is None or newer - opened_at > _NEAR:
            runs.append([])
        runs[-1].append(entry)
        newer = opened_at
    return runs


def etag_of(row: Any) -> str:
    """The ETag with which a row was read."""
    return str(row.metadata["etag"])


def only_if(etag: str) -> dict[str, Any]:
    """The condition of a compare-and-swap: the row is still the one that was read."""
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _document(remediation: Remediation) -> dict[str, str]:
    text = json.dumps(to_document(remediation), separators=(",", ":"))
    starts = range(0, len(text), _CHUNK)
    return {f"Document{number}": text[start : start + _CHUNK] for number, start in enumerate(starts)}


def _remediation_in(row: Mapping[str, Any]) -> Remediation:
    chunks = (row[f"Document{number}"] for number in range(len(row)) if f"Document{number}" in row)
    return from_document(json.loads("".join(chunks)))
