"""Lists as CSV (RFC 4180), for spreadsheets and scripts."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from io import StringIO

from shared.clock import to_iso
from shared.domain.csv_cells import csv_cell
from shared.domain.summary import Summary
from shared.domain.summary_list import Listing

MEDIA_TYPE = "text/csv"
FILE_HEADERS = {"Content-Disposition": 'attachment; filename="remediations.csv"'}
COLUMNS = (
    "id",
    "status",
    "resolution",
    "needsAttention",
    "backupInstanceId",
    "backupInstanceName",
    "vaultName",
    "resourceGroupName",
    "subscriptionId",
    "resourceType",
    "source",
    "errorCode",
    "protectionState",
    "attempts",
    "openedAt",
    "endedAt",
    "incidentId",
    "subscriptionName",
)
"""Later versions add columns at the end."""


def accepts_csv(headers: Mapping[str, str]) -> bool:
    """Whether the request's `Accept` names CSV; of JSON and CSV, the one that it names first counts."""
    ranges = [each.split(";") for each in (headers.get("Accept") or "").lower().split(",")]
    named = [media.strip() for media, *parameters in ranges if "q=0" not in [each.strip() for each in parameters]]
    known = [media for media in named if media in (MEDIA_TYPE, "application/json", "text/html")]
    return known[:1] == [MEDIA_TYPE]


def csv_of(listing: Listing, subscription_names: Mapping[str, str], top: int | None = None) -> bytes:
    """These remediations, or the first `top` of them, one a line.

    Args:
        subscription_names: by ids in lower case.
    """
    needing = listing.needing_attention
    lines = (_values(row, row.id in needing, subscription_names) for row in listing.rows[:top])
    return csv_text(COLUMNS, lines)


def csv_text(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> bytes:
    """A table as CSV, in UTF-8; no cell of it is a formula."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for line in lines:
        writer.writerow([csv_cell(value) for value in line])
    return text.getvalue().encode()


def _values(row: Summary, needs_attention: bool, subscription_names: Mapping[str, str]) -> Sequence[str]:
    _, _, subscription, _, group, _, _, _, vault, _, name = row.instance.split("/")
    return (
        row.id,
        row.status,
        row.resolution or "",
        "true" if needs_attention else "false",
        row.instance,
        name,
        vault,
        group,
        subscription,
        row.datasource_type or "",
        row.source,
        row.code or "",
        row.protection_state or "",
        str(row.attempts),
        _time(row.opened_at),
        _time(row.ended_at),
        row.incident_id or "",
        subscription_names.get(subscription.lower(), ""),
    )


def _time(moment: datetime | None) -> str:
    return to_iso(moment) if moment else ""
