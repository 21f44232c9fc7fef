"""`GET /api/report`: one month, as a page to be printed or as CSV."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import azure.functions as func
from pydantic import BaseModel, Field

from shared.api.csv_export import MEDIA_TYPE, accepts_csv, csv_text
from shared.api.requests import read_query
from shared.api.responses import api_errors
from shared.clock import to_iso
from shared.dashboard.html import HEADERS, render
from shared.dashboard.links import Links
from shared.domain.mode import Mode
from shared.domain.report import MONTH_PATTERN, Month, Outcome, Report, Totals
from shared.domain.resource_ids import BackupVaultId
from shared.healing.monthly_report import MonthlyReports

COLUMNS = (
    "endedAt",
    "remediationId",
    "status",
    "backupInstanceId",
    "source",
    "openedAt",
    "resolution",
    "byItself",
    "protectionStateBefore",
    "attempts",
    "jobId",
    "errorCode",
    "recoveryPointBefore",
    "recoveryPoint",
    "gapSeconds",
)


class ReportQuery(BaseModel):
    """The query: which month, and as what."""

    month: str | None = Field(None, pattern=MONTH_PATTERN)
    format: Literal["html", "csv"] | None = None


@dataclass(frozen=True, slots=True)
class ReportPage:
    """The function behind the route."""

    reports: MonthlyReports
    mode: Mode
    now: Callable[[], datetime]

    @api_errors
    def show(self, request: func.HttpRequest) -> func.HttpResponse:
        """200 with the month's report: HTML, or CSV with one line for each outcome; without a month the current one."""
        query = read_query(request, ReportQuery)
        month = Month.parse(query.month) if query.month else Month.of(self.now())
        report = self.reports.of(month)
        if query.format == "csv" or (query.format is None and accepts_csv(request.headers)):
            return _csv(report)
        links = Links(request.params.get("code", ""))
        values = {
            "link": lambda: f"dashboard{links.url()}",
            "csv_link": links.url(month=str(month), format="csv"),
            "key": links.key,
            "mode": self.mode,
            "now": self.now(),
            "refresh_seconds": 0,
            "report": report,
            "groups": _by_subscription(report),
            "is_complete": self.reports.is_complete(month),
            "retention": self.reports.retention,
        }
        return render(200, "report.html", values)


def _by_subscription(report: Report) -> Sequence[tuple[str, Sequence[tuple[BackupVaultId, Totals]]]]:
    vaults = [(BackupVaultId.parse(vault), totals) for vault, totals in report.vaults.items()]
    return [
        (subscription, [(vault, totals) for vault, totals in vaults if vault.subscription_id.lower() == subscription])
        for subscription in report.subscriptions
    ]


def _csv(report: Report) -> func.HttpResponse:
    body = csv_text(COLUMNS, (_cells(outcome) for outcome in report.outcomes))
    name = {"Content-Disposition": f'attachment; filename="backup-autoheal-{report.month}.csv"'}
    return func.HttpResponse(body, headers={**HEADERS, **name}, mimetype=MEDIA_TYPE, charset="utf-8")


def _cells(outcome: Outcome) -> Sequence[str]:
    return (
        to_iso(outcome.ended_at),
        outcome.remediation_id,
        outcome.status,
        str(outcome.instance),
        outcome.source,
        to_iso(outcome.opened_at),
        outcome.resolution or "",
        "true" if outcome.by_itself else "false",
        outcome.protection_state_before or "",
        str(outcome.attempts),
        outcome.job_id or "",
        outcome.error_code or "",
        to_iso(outcome.point_before) if outcome.point_before else "",
        to_iso(outcome.point) if outcome.point else "",
        "" if outcome.gap is None else f"{outcome.gap.total_seconds():.0f}",
    )
