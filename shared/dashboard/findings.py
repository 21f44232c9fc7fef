"""The card of findings on the overview: instances that are well, but whose backups are not."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.clock import foreign_time
from shared.storage.finding_store import FindingsSummary, FindingStore, ReportedFinding

_MAX_READ = 1_000
_MAX_ROWS = 50


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding."""

    instance: str
    reason: str
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class FindingsCard:
    """The last search, and the findings that failed last."""

    summary: FindingsSummary | None
    """None before the first search has ended."""
    rows: tuple[FindingRow, ...]


def findings_card(store: FindingStore) -> FindingsCard:
    """The card. Raises `azure.core.exceptions.AzureError` without storage."""
    rows = sorted(_rows(store.reported(_MAX_READ)), key=lambda row: row.failed_at, reverse=True)
    return FindingsCard(store.summary(), tuple(rows[:_MAX_ROWS]))


def _rows(reported: Iterable[ReportedFinding]) -> Iterable[FindingRow]:
    for each in reported:
        failed_at = foreign_time(each.document.get("failedAt"))
        if failed_at:
            yield FindingRow(str(each.document.get("backupInstanceId")), str(each.document.get("reason")), failed_at)
