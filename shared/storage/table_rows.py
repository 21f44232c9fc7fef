"""Rows of the table: how remediations, latest pointers and due entries are written and read.

Keys are in the partition that the instance's key decides:

    o:{instance key}        latest pointer: the instance's latest remediation, and the claim with which it was opened
    r:{remediation id}      the remediation, as a JSON document, and beside it what storage filters by
    d:{millis}:{id}         due entry: poll this remediation at that time

Ids count down with time, so `r:` rows read newest first; `d:` rows read soonest first.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from azure.core import MatchConditions

from shared.clock import from_millis, to_millis
from shared.domain.remediation import Remediation, instance_key_of, is_remediation_id, opened_at_of
from shared.domain.remediation_json import CorruptDocument, from_json, to_json
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.summary import summary_to_text

SHARDS = ("0", "1", "2", "3")
_MAX_GAP = timedelta(seconds=10)
"""Remediations that were opened within such a time of each other have few others between them."""
_CLAIM_TIMEOUT = timedelta(hours=12)
_MAX_PROPERTY_CHARS = 30_000
"""Characters of a document in one property: below the 64 KiB of UTF-16 that a property may hold."""

_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError)
"""Raised by a row that was damaged, or written by another version of the app."""


class CorruptRow(ValueError):
    """A row other than a remediation's cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class DueEntry:
    """Poll this remediation at that time; two are equal when they are the same row."""

    remediation_id: str
    at: datetime
    """To the millisecond, as the row key has it."""

    @property
    def row_key(self) -> str:
        """The key of its row, which holds nothing else."""
        return f"d:{to_millis(self.at):013d}:{self.remediation_id}"


@dataclass(frozen=True, slots=True)
class Stored:
    """A remediation as it was read, with the conditions of a compare-and-swap."""

    remediation: Remediation
    etag: str
    due_entry: DueEntry
    """The entry by which it is polled; any other that names it is stale."""


@dataclass(frozen=True, slots=True)
class LatestPointer:
    """Names the instance's latest remediation, active or ended."""

    remediation_id: str
    opened: tuple[datetime, ...]
    """When the instance's latest remediations were opened, newest first; at most `MAX_OPENINGS`."""
    etag: str
    claim: Remediation | None = None
    """The latest remediation as it was opened; None if that cannot be read."""
    opener: str | None = None
    """The name of the intake that opened it, as given to `RemediationStore.open`; None if it gave none."""

    def unfulfilled_claim(self, now: datetime) -> Remediation | None:
        """The remediation that a host claimed and perhaps died before it was written, if its row is missing.

        After half a day a missing row says something else: it was purged (`RETENTION_DAYS` is one at least).
        """
        claim = self.claim
        return claim if claim and now - claim.opened_at < _CLAIM_TIMEOUT else None


@dataclass(frozen=True, slots=True)
class Change:
    """A remediation that a poll moved on: from the row that was read to what is to be stored."""

    stored: Stored
    after: Remediation

    @property
    def due_entry(self) -> DueEntry:
        """The due entry once the change is stored: the one before, if that will do.

        What ends is due at once, so an entry that is due already need not be moved.
        """
        entry, due_at = self.stored.due_entry, self.after.due_at
        ends = self.after.status.is_terminal and not self.stored.remediation.status.is_terminal
        return entry if due_at is None or (ends and entry.at <= due_at) else due_entry(self.after.id, due_at)


@dataclass(frozen=True, slots=True)
class Saved:
    """A change that was stored: the remediation before, and the row now."""

    before: Remediation
    stored: Stored


@dataclass(frozen=True, slots=True)
class Unsaved:
    """A change that storage will not take however often it is tried, and why."""

    change: Change
    reason: str


def due_entry(remediation_id: str, at: datetime) -> DueEntry:
    """A due entry at that time, rounded down to the millisecond."""
    return DueEntry(remediation_id, from_millis(to_millis(at)))


def shard_of(remediation_id: str) -> str:
    """The partition in which a remediation and everything about its instance is kept."""
    return _shard(remediation_id[13])


def shard_of_instance(instance: BackupInstanceId) -> str:
    """The partition of everything about an instance."""
    return _shard(instance.key[0])


def _shard(hex_digit: str) -> str:
    return SHARDS[int(hex_digit, 16) % len(SHARDS)]


def remediation_row(remediation: Remediation, entry: DueEntry, write: str | None = None) -> dict[str, Any]:
    """A remediation's row, which names the due entry by which it is polled, and the write that has put it there."""
    over = {"OverAt": f"{to_millis(remediation.over_at):013d}"} if remediation.over_at else {}
    return {
        "PartitionKey": shard_of(remediation.id),
        "RowKey": f"r:{remediation.id}",
        "Status": remediation.status.value,
        "EntryAt": f"{to_millis(entry.at):013d}",
        "Subscription": remediation.instance.subscription_id.lower(),
        "InstanceKey": remediation.instance.key,
        "Summary": summary_to_text(remediation),
        **({"Write": write} if write else {}),
        **({"Incident": remediation.incident_id} if remediation.incident_id else {}),
        **({"Resolution": remediation.resolution.value} if remediation.resolution else {}),
        **over,
        **_document_columns(remediation),
    }


def stored_in(row: Mapping[str, Any]) -> Stored:
    """The remediation in a whole `r:` row.

    Raises:
        CorruptDocument: the row cannot be read.
    """
    try:
        remediation = _remediation_in(row)
        if row["RowKey"] != f"r:{remediation.id}":
            raise ValueError(f"the document is that of {remediation.id}")
        return Stored(remediation, etag_of(row), DueEntry(remediation.id, from_millis(int(row["EntryAt"]))))
    except _UNREADABLE as cause:
        raise CorruptDocument(f"{row['RowKey']}: {cause}") from cause


def pointer_row(remediation: Remediation, opened: Sequence[datetime], opener: str | None = None) -> dict[str, Any]:
    """The latest pointer to this remediation as it is opened, with when the latest ones were, newest first."""
    return {
        "PartitionKey": shard_of(remediation.id),
        "RowKey": pointer_key(remediation.instance.key),
        "Remediation": remediation.id,
        "Opened": ",".join(str(to_millis(opening)) for opening in opened),
        **({"Opener": opener} if opener else {}),
        **_document_columns(remediation),
    }


def pointer_key(instance_key: str) -> str:
    """The row key of an instance's latest pointer."""
    return f"o:{instance_key}"


def pointer_in(row: Mapping[str, Any]) -> LatestPointer:
    """The latest pointer in an `o:` row; without its claim, if that cannot be read.

    Raises:
        CorruptRow: it names no remediation of the instance, or not when the latest ones were opened.
    """
    try:
        remediation_id, opened = row["Remediation"], tuple(from_millis(int(at)) for at in row["Opened"].split(","))
    except _UNREADABLE as cause:
        raise CorruptRow(f"{type(cause).__name__}: {cause}") from cause
    if not is_remediation_id(remediation_id) or pointer_key(instance_key_of(remediation_id)) != row["RowKey"]:
        raise CorruptRow(f"it names {ascii(remediation_id)[:100]}, no remediation of this instance")
    claim: Remediation | None = None
    with suppress(*_UNREADABLE):
        claim = _remediation_in(row)
    return LatestPointer(remediation_id, opened, etag_of(row), claim, row.get("Opener"))


def entry_row(entry: DueEntry) -> dict[str, Any]:
    """A due entry's row: it is all in the key."""
    return {"PartitionKey": shard_of(entry.remediation_id), "RowKey": entry.row_key}


def entry_in(row: Mapping[str, Any]) -> DueEntry:
    """The due entry in a `d:` row.

    Raises:
        CorruptRow: its key names no remediation of its shard, or no time.
    """
    try:
        _, millis, remediation_id = row["RowKey"].split(":")
        entry = DueEntry(remediation_id, from_millis(int(millis)))
    except _UNREADABLE as cause:
        raise CorruptRow(f"{type(cause).__name__}: {cause}") from cause
    if not is_remediation_id(remediation_id) or entry_row(entry) != {name: row[name] for name in entry_row(entry)}:
        raise CorruptRow("its key is none that a due entry of this shard has")
    return entry


def runs_of(entries: Iterable[DueEntry]) -> list[list[DueEntry]]:
    """Entries in the order of their remediations' rows, cut where two were not opened shortly after each other."""
    runs: list[list[DueEntry]] = []
    newer: datetime | None = None
    for entry in sorted(entries, key=attrgetter("remediation_id")):
        opened_at = opened_at_of(entry.remediation_id)
        if newer is None or newer - opened_at > _MAX_GAP:
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


def _document_columns(remediation: Remediation) -> dict[str, str]:
    text = to_json(remediation)
    starts = range(0, len(text), _MAX_PROPERTY_CHARS)
    return {f"Document{number}": text[start : start + _MAX_PROPERTY_CHARS] for number, start in enumerate(starts)}


def _remediation_in(row: Mapping[str, Any]) -> Remediation:
    return from_json("".join(row[f"Document{number}"] for number in range(len(row)) if f"Document{number}" in row))
