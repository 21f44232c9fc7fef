"""Lists of remediations: pages, newest first, with filters; and summaries of all recent ones.

Ids sort newest first in each of the four shards, so a list is a merge of four sorted reads, and a place in it is
an id. Filters are storage's work. It scans what they leave out, so a filtered list is read in stretches of time,
each longer than the one before, until the page is full or enough was read for one request.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isqrt
from typing import Any

from azure.data.tables import TableClient

from shared.clock import to_millis
from shared.domain.remediation import Resolution, Status, id_prefix, is_remediation_id, opened_at_of
from shared.domain.remediation_json import CorruptDocument
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.summary import Summary
from shared.storage.remediation_store import RemediationStore
from shared.storage.summary_cache import SummaryCache
from shared.storage.table_rows import SHARDS, Stored, shard_of, shard_of_instance, stored_in

_FIRST_STRETCH = timedelta(days=1)
_STRETCH_GROWTH = 8
"""Each stretch ends so many times as long ago as it begins."""
_MAX_REQUESTS = 40
"""Requests to storage for one page, unless a stretch needs more: some 200 ms."""
_OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_KEY = "-ffffffffffffffff"
"""Behind every id of the same millisecond."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which remediations to list; an empty or absent filter lets all through."""

    statuses: frozenset[Status] = frozenset()
    instance: BackupInstanceId | None = None
    subscription_id: str | None = None
    since: datetime | None = None
    """Opened then or later."""
    resolution: Resolution | None = None
    """Only heals have one."""
    incident_id: str | None = None
    """Only members of it."""

    @property
    def by_time_only(self) -> bool:
        """Whether nothing but a time is filtered for."""
        return not (self.statuses or self.instance or self.subscription_id or self.resolution or self.incident_id)

    @property
    def excludes_all(self) -> bool:
        """Whether nothing can pass: what has a resolution is healed."""
        return bool(self.resolution and self.statuses) and not any(status.is_healed for status in self.statuses)


@dataclass(frozen=True, slots=True)
class Page:
    """Some remediations, newest first."""

    items: tuple[Stored, ...]
    after: str | None
    """Where the next page begins: behind this place, which has the shape of an id. None when nothing follows."""


class RemediationReader:
    """Reads lists from one table."""

    def __init__(self, table: TableClient, store: RemediationStore, now: Callable[[], datetime]) -> None:
        """Read from the table in which the store writes."""
        self._table = table
        self._store = store
        self._corrupt_rows = store.corrupt_rows
        self._summaries = SummaryCache(table, store)
        self._now = now

    def summaries(self, opened_since: datetime) -> list[Summary]:
        """The remediations that were opened then or later, newest first, in short (see `summary_cache`).

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        return self._summaries.since(opened_since)

    def load(self, remediation_ids: Sequence[str]) -> tuple[Stored, ...]:
        """These remediations, in this order, but those that are gone or cannot be read.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        by_shard: dict[str, list[str]] = {}
        for remediation_id in remediation_ids:
            by_shard.setdefault(shard_of(remediation_id), []).append(remediation_id)
        found: dict[str, Stored] = {}
        for shard, ids in by_shard.items():
            for remediation_id, each in self._store.load_all(ids).items():
                if isinstance(each, CorruptDocument):
                    self._corrupt_rows.report(shard, f"r:{remediation_id}", str(each))
                else:
                    found[remediation_id] = each
        return tuple(found[each] for each in remediation_ids if each in found)

    def ids_over_since(self, opened_before: datetime, over_since: datetime) -> list[str]:
        """The remediations opened before a time that were over later than another, or are not over.

        Reads the keys of all of them, which costs a fifth of what whole rows do. Rows of older versions, which do
        not say when they were over, are among them.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        limit, found = f"{to_millis(over_since):013d}", []
        for shard in SHARDS:
            rows = self._table.query_entities(
                f"PartitionKey eq '{shard}' and RowKey gt 'r:{_place(opened_before)}' and RowKey lt 'r;'",
                results_per_page=1000,
                select=["RowKey", "OverAt"],
            )
            found += [_row_key(row).removeprefix("r:") for row in rows if row.get("OverAt", limit) >= limit]
        return [each for each in found if is_remediation_id(each)]

    def page(self, filters: Filters, top: int, after: str | None = None) -> Page:
        """The first `top` remediations that the filters let through, behind a place.

        A page may be short, even empty, and yet have a next one: then what follows is long ago.

        Args:
            after: where to begin, from the page before.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        found: list[Stored] = []
        if filters.excludes_all:
            return Page((), None)
        requests = 0
        for end in _stretches(filters, after, self._now()):
            queries = [_Query(self._table, shard, filters, after, end, top) for shard in _shards(filters)]
            for row in heapq.merge(*queries, key=_row_key):
                if len(found) == top:
                    return Page(tuple(found), found[-1].remediation.id)
                found += self._readable(row)
            after, requests = end, requests + sum(query.requests for query in queries)
            if requests >= _MAX_REQUESTS and end != _end_of(filters):
                return Page(tuple(found), after)
        return Page(tuple(found), None)

    def _readable(self, row: Mapping[str, Any]) -> list[Stored]:
        try:
            return [stored_in(row)]
        except CorruptDocument as corrupt:
            # One record that cannot be read must not keep the others from being seen.
            self._corrupt_rows.report(row["PartitionKey"], _row_key(row), str(corrupt))
            return []


class _Query:
    """The rows of one shard between two places, sorted; counts its requests to storage."""

    def __init__(self, table: TableClient, shard: str, filters: Filters, after: str | None, end: str, top: int) -> None:
        conditions = [f"PartitionKey eq '{shard}'", f"RowKey gt 'r:{after or ''}'", f"RowKey le 'r:{end}'"]
        self._pages = table.query_entities(
            " and ".join(conditions + _conditions(filters)),
            # Instances spread evenly over the shards, so a quarter and some more is nearly always enough.
            results_per_page=top // len(SHARDS) + 2 * isqrt(top) + 1,
        ).by_page()
        self.requests = 0

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for rows in self._pages:
            self.requests += 1
            yield from rows


def _conditions(filters: Filters) -> list[str]:
    """At most 11 comparisons besides the range's three. All values have a fixed alphabet.

    A filter may hold 15 (Microsoft Learn, "Querying tables and entities"), so of many statuses the others are named.
    """
    conditions = []
    if filters.resolution:
        conditions.append(f"Resolution eq '{filters.resolution}'")
    wanted = [each for each in Status if each in filters.statuses]
    unwanted = [each for each in Status if each not in filters.statuses]
    if wanted and len(wanted) <= len(unwanted):
        conditions.append("(" + " or ".join(f"Status eq '{status}'" for status in wanted) + ")")
    elif wanted:
        conditions += [f"Status ne '{status}'" for status in unwanted]
    if filters.instance:
        conditions.append(f"InstanceKey eq '{filters.instance.key}'")
    if filters.subscription_id:
        conditions.append(f"Subscription eq '{filters.subscription_id.lower()}'")
    if filters.incident_id:
        conditions.append(f"Incident eq '{filters.incident_id}'")
    return conditions


def _shards(filters: Filters) -> tuple[str, ...]:
    return (shard_of_instance(filters.instance),) if filters.instance else SHARDS


def _stretches(filters: Filters, after: str | None, now: datetime) -> Iterator[str]:
    """The ends of the stretches of time to read, the last one being the end of all."""
    age = now - opened_at_of(after) if after else timedelta()
    while not filters.by_time_only and (age := max(_FIRST_STRETCH, _STRETCH_GROWTH * age)) < now - _oldest(filters):
        yield _place(now - age)
    yield _end_of(filters)


def _end_of(filters: Filters) -> str:
    return _place(_oldest(filters))


def _oldest(filters: Filters) -> datetime:
    return max(filters.since or _OLDEST, _OLDEST)


def _place(moment: datetime) -> str:
    return id_prefix(moment) + _LAST_KEY


def _row_key(row: Mapping[str, Any]) -> str:
    key: str = row["RowKey"]
    return key
