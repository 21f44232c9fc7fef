"""The findings that were reported, one row for each instance, so that each failure is told once by all hosts together.

Row `{instance key}` of the partition `findings`: the finding's id and document, a random name of its last write, and
whether the topic has taken it. The row `~summary` has the counts of the last search, which are one point read.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableClient, UpdateMode

from shared.clock import from_iso, to_iso
from shared.domain.finding import Finding, finding_document
from shared.storage.own_writes import REPEAT_UNANSWERED, new_write
from shared.storage.shared_rows import CORRUPT
from shared.storage.table_rows import etag_of, only_if

MAX_FINDINGS = 10_000
"""Kept: what is found beyond them is reported once there is room."""
_PARTITION = "findings"
_SUMMARY = "~summary"
"""Behind all keys of instances, which are hex digits."""
_OF_INSTANCES = f"PartitionKey eq '{_PARTITION}' and RowKey lt '{_SUMMARY}'"


@dataclass(frozen=True, slots=True)
class ReportedFinding:
    """A finding that was reported."""

    key: str
    """Of the instance."""
    id: str
    """Of the finding; empty where the row cannot be read, so that it is reported anew."""
    document: Mapping[str, Any]
    is_announced: bool
    etag: str


@dataclass(frozen=True, slots=True)
class FindingsSummary:
    """The last search in numbers."""

    searched_at: datetime
    by_kind: Mapping[str, int]
    is_complete: bool

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.by_kind.values())


class FindingStore:
    """Reads and writes the rows. Raises `azure.core.exceptions.AzureError` without storage."""

    def __init__(self, table: TableClient) -> None:
        """Keep the findings in this table."""
        self._table = table

    def reported(self, most: int = MAX_FINDINGS) -> list[ReportedFinding]:
        """Findings that were reported and are not known to be over."""
        return [_read(row) for row in islice(self._table.query_entities(_OF_INSTANCES), most)]

    def report(self, finding: Finding, before: ReportedFinding | None) -> ReportedFinding | None:
        """Keep a finding in place of the instance's earlier one; None if another host was faster."""
        key, document = finding.instance.key, finding_document(finding)
        texts = {"Id": finding.id, "Document": json.dumps(document), "Write": new_write()}
        row = {"PartitionKey": _PARTITION, "RowKey": key, **texts}
        try:
            if before is None:
                written = self._table.create_entity(row, **REPEAT_UNANSWERED)
            else:
                written = self._table.update_entity(row, UpdateMode.REPLACE, **only_if(before.etag))
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
            return self._own(row)
        return ReportedFinding(key, finding.id, document, is_announced=False, etag=str(written["etag"]))

    def _own(self, row: Mapping[str, Any]) -> ReportedFinding | None:
        """The finding of a row that met a conflict, if the conflict was with itself (`own_writes`)."""
        try:
            found = self._table.get_entity(_PARTITION, row["RowKey"])
        except ResourceNotFoundError:
            return None
        return _read(found) if found.get("Write") == row["Write"] else None

    def mark_announced(self, reported: ReportedFinding) -> None:
        """The topic has taken it; unless another finding took its place meanwhile."""
        row = {"PartitionKey": _PARTITION, "RowKey": reported.key, "IsAnnounced": True}
        with suppress(ResourceModifiedError, ResourceNotFoundError):
            self._table.update_entity(row, UpdateMode.MERGE, **only_if(reported.etag))

    def remove(self, reported: ReportedFinding) -> None:
        """It is over; unless another finding took its place meanwhile."""
        with suppress(ResourceModifiedError, ResourceNotFoundError):
            self._table.delete_entity(_PARTITION, reported.key, **only_if(reported.etag))

    def summary(self) -> FindingsSummary | None:
        """The last search; None if there was none, or its row cannot be read."""
        try:
            row = self._table.get_entity(_PARTITION, _SUMMARY)
            by_kind = {str(kind): int(count) for kind, count in json.loads(row["ByKind"]).items()}
            return FindingsSummary(from_iso(row["SearchedAt"]), by_kind, row["IsComplete"] is True)
        except ResourceNotFoundError:
            return None
        except CORRUPT:
            return None  # the next search writes it anew

    def put_summary(self, summary: FindingsSummary) -> None:
        """The numbers of a search that has just ended."""
        self._table.upsert_entity(
            {
                "PartitionKey": _PARTITION,
                "RowKey": _SUMMARY,
                "ByKind": json.dumps(summary.by_kind),
                "SearchedAt": to_iso(summary.searched_at),
                "IsComplete": summary.is_complete,
            }
        )


def _read(row: Mapping[str, Any]) -> ReportedFinding:
    try:
        document = json.loads(row["Document"])
        if not isinstance(document, dict) or document["id"] != row["Id"]:
            raise ValueError("no document of this finding")
    except CORRUPT:
        return ReportedFinding(str(row["RowKey"]), "", {}, is_announced=True, etag=etag_of(row))
    is_announced = row.get("IsAnnounced") is True
    return ReportedFinding(str(row["RowKey"]), row["Id"], document, is_announced, etag_of(row))
