"""The report about one month, to be printed or as CSV: `GET /api/report`, and `GET /api/dashboard?report=2026-01`.

The page has a route of its own and one in the dashboard's function, whose key opens no other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import azure.functions as func
from pydantic import BaseModel, Field

from shared.api.csv_export import MEDIA_TYPE, accepts_csv, csv_text
from shared.api.requests import read_query
from shared.api.responses import api_errors
from shared.dashboard.forms import invalid_request
from shared.dashboard.frame import Frame
from shared.dashboard.html import HEADERS, render
from shared.domain.mode import Mode
from shared.domain.outcome_chain import COLUMNS, Chain, cells_of, checked
from shared.domain.report import MONTH_PATTERN, Month, Report, Totals
from shared.domain.resource_ids import BackupVaultId
from shared.healing.monthly_report import MonthlyReports
from shared.storage.seal_store import SealStore

TEMPLATE = "report.html"


class ReportQuery(BaseModel):
    """The query: which month, and as what."""

    month: str | None = Field(None, pattern=MONTH_PATTERN)
    format: Literal["html", "csv"] | None = None


@dataclass(frozen=True, slots=True)
class ReportPage:
    """The report as a page and as CSV."""

    reports: MonthlyReports
    seals: Callable[[], SealStore]
    mode: Mode
    now: Callable[[], datetime]
    subscription_names: Callable[[], Mapping[str, str]]
    """By ids in lower case."""

    @api_errors
    def show(self, request: func.HttpRequest) -> func.HttpResponse:
        """200 with the month's report: HTML, or CSV with one line for each outcome; without a month the current one."""
        query = read_query(request, ReportQuery)
        month = Month.parse(query.month) if query.month else Month.of(self.now())
        if query.format == "csv" or (query.format is None and accepts_csv(request.headers)):
            return self.csv(month)
        frame = Frame.of(request, self.mode, self.now())
        values = {
            **frame.values(),
            "link": lambda **of: f"dashboard{frame.links.url(**of)}",
            "csv_link": frame.links.url(month=str(month), format="csv"),
        }
        return render(200, TEMPLATE, {**values, **self.values(month)})

    def values(self, month: Month) -> Mapping[str, Any]:
        """The template's values of this month. Raises as `csv` does."""
        report = self.reports.of(month)
        return {
            "report": report,
            "chain": self._chain(report),
            "groups": _by_subscription(report),
            "is_complete": self.reports.is_complete(month),
            "retention": self.reports.retention,
            "subscription_names": self.subscription_names(),
        }

    def csv(self, month: Month) -> func.HttpResponse:
        """200 with a line for each outcome of this month.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        chain = self._chain(self.reports.of(month))
        lines = ((*cells_of(each.outcome), each.previous_hash, each.hash) for each in chain.links)
        body = csv_text((*COLUMNS, "previousHash", "hash"), lines)
        name = {"Content-Disposition": f'attachment; filename="backup-autoheal-{month}.csv"'}
        return func.HttpResponse(body, headers={**HEADERS, **name}, mimetype=MEDIA_TYPE, charset="utf-8")

    def _chain(self, report: Report) -> Chain:
        first, end = report.month.start.date(), report.month.end.date()
        seals, before = self.seals().between(first, end), self.seals().last_before(first)
        return checked(report.outcomes, before, seals, self.reports.kept_since.date() + timedelta(days=1))


def read_month(text: str) -> Month:
    """The month in the dashboard's query.

    Raises:
        ApiError: 400, it is none.
    """
    try:
        return Month.parse(text)
    except ValueError as invalid:
        raise invalid_request(f"report: {ascii(text)[:100]} is not a month such as 2026-01") from invalid


def _by_subscription(report: Report) -> Sequence[tuple[str, Sequence[tuple[BackupVaultId, Totals]]]]:
    vaults = [(BackupVaultId.parse(vault), totals) for vault, totals in report.vaults.items()]
    return [
        (subscription, [(vault, totals) for vault, totals in vaults if vault.subscription_id.lower() == subscription])
        for subscription in report.subscriptions
    ]
