"""When the timers ran last and what they saw, for whoever asks in another process: rows of the partition `runs`.

Row `poll`: the last poll run over all shards. Row `sweep`: the last sweep, and which subscriptions it could not read.
Row `names`: the names of those that it could. The processes that answer HTTP are not those that run timers (Azure
Functions, "Flex Consumption plan", per-function scaling), so what only a process remembers, they do not know.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from azure.data.tables import TableClient

from shared.clock import from_iso, to_iso
from shared.domain.coverage import UNKNOWN, Coverage
from shared.storage.shared_rows import CORRUPT, SharedRows

_PARTITION = "runs"
_POLL = "poll"
_SWEEP = "sweep"
_NAMES = "names"
MIN_POLL_RECORD_INTERVAL = timedelta(seconds=20)
"""Below the default schedule of 30 s: a faster one costs no more writes."""
_MAX_REFUSED = 100
"""Subscriptions that are named; all are counted."""
_MAX_REASON_CHARS = 1000
_MAX_PROPERTY_CHARS = 30_000
"""Storage takes 64 KiB of UTF-16 in one property, and 1 MiB in a row."""
_MAX_NAMES_CHARS = 10 * _MAX_PROPERTY_CHARS
"""Some 3,000 names; the others are shown by their ids."""


@dataclass(frozen=True, slots=True)
class LastPollRun:
    """The last poll run that reached storage."""

    at: datetime
    due: int
    polled: int


@dataclass(frozen=True, slots=True)
class LastSweep:
    """The last sweep that ended, and whether one has failed since."""

    at: datetime | None = None
    """None if none has ended yet."""
    opened: int = 0
    skipped: int = 0
    coverage: Coverage = UNKNOWN
    failed_at: datetime | None = None
    """None if none has failed since."""
    failure: str = ""
    """Why Resource Graph did not say which instances are broken."""


class RunStore:
    """Reads and writes the rows; for any number of threads. Raises `azure.core.exceptions.AzureError` without storage.

    Of two hosts that write at the same time the last one wins: both tell of the same minute.
    """

    def __init__(self, table: TableClient, now: Callable[[], datetime]) -> None:
        """Keep the rows in this table."""
        self._table = table
        self._rows = SharedRows(table, _PARTITION, now)
        self._now = now
        self._lock = Lock()
        self._poll_recorded_at: datetime | None = None

    def put_poll_run(self, due: int, polled: int) -> None:
        """A poll run has ended: at most one write in `MIN_POLL_RECORD_INTERVAL` by each process."""
        now = self._now()
        with self._lock:
            last = self._poll_recorded_at
            if last is not None and last <= now < last + MIN_POLL_RECORD_INTERVAL:
                return
            self._poll_recorded_at = now
        self._put(_POLL, {"At": to_iso(now), "Due": due, "Polled": polled})

    def put_sweep(self, sweep: LastSweep) -> None:
        """A sweep has ended, or failed."""
        coverage = sweep.coverage
        if coverage.names:
            self._put_names(coverage.names)
        document = {
            "at": _iso(sweep.at),
            "opened": sweep.opened,
            "skipped": sweep.skipped,
            "failedAt": _iso(sweep.failed_at),
            "failure": sweep.failure[:_MAX_REASON_CHARS],
            "watched": coverage.watched,
            "readable": coverage.readable,
            "refusedCount": coverage.refused_count,
            "refused": coverage.refused[:_MAX_REFUSED],
            "instances": coverage.instances,
        }
        self._put(_SWEEP, {"Document": json.dumps(document)})

    def last_poll_run(self) -> LastPollRun | None:
        """The last poll run; None if there was none, or its row cannot be read: the next run writes it anew."""
        row = self._rows.read(_POLL)
        try:
            return LastPollRun(from_iso(row["At"]), int(row["Due"]), int(row["Polled"])) if row else None
        except CORRUPT:
            return None

    def last_sweep(self) -> LastSweep | None:
        """The last sweep; None if there was none, or its row cannot be read."""
        row = self._rows.read(_SWEEP)
        try:
            return _read_sweep(json.loads(row["Document"])) if row else None
        except CORRUPT:
            return None

    def subscription_names(self) -> Mapping[str, str]:
        """Names of subscriptions by their ids in lower case, as sweeps have seen them last; empty if none has yet."""
        row = self._rows.read(_NAMES)
        try:
            text = "".join(row[f"Names{number}"] for number in range(int(row["Parts"]))) if row else "{}"
            return {str(each): str(name) for each, name in json.loads(text).items()}
        except CORRUPT:
            return {}

    def _put_names(self, names: Mapping[str, str]) -> None:
        text = json.dumps(_that_fit(names))
        parts = [text[at : at + _MAX_PROPERTY_CHARS] for at in range(0, len(text), _MAX_PROPERTY_CHARS)]
        # What a longer list left behind stays in the row, unread.
        self._put(_NAMES, {"Parts": len(parts), **{f"Names{number}": part for number, part in enumerate(parts)}})

    def _put(self, key: str, columns: Mapping[str, Any]) -> None:
        self._table.upsert_entity({"PartitionKey": _PARTITION, "RowKey": key, **columns})


def _read_sweep(document: Mapping[str, Any]) -> LastSweep:
    coverage = Coverage(
        watched=_count(document["watched"]),
        readable=_count(document["readable"]),
        refused=tuple(map(str, document["refused"])),
        refused_count=int(document["refusedCount"]),
        instances=_count(document["instances"]),
    )
    return LastSweep(
        _time(document["at"]),
        int(document["opened"]),
        int(document["skipped"]),
        coverage,
        _time(document["failedAt"]),
        str(document["failure"]),
    )


def _that_fit(names: Mapping[str, str]) -> dict[str, str]:
    fitting, chars = {}, 0
    for each, name in names.items():
        chars += len(json.dumps({each: name}))
        if chars > _MAX_NAMES_CHARS:
            break
        fitting[each] = name
    return fitting


def _iso(moment: datetime | None) -> str | None:
    return to_iso(moment) if moment else None


def _time(text: str | None) -> datetime | None:
    return from_iso(text) if text else None


def _count(value: object) -> int | None:
    return None if value is None else int(str(value))
