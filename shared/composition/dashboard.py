"""The page, and the monthly report."""

from datetime import timedelta

from shared.composition import api, healing, settings
from shared.composition.once import once
from shared.dashboard.known_reads import KnownReads
from shared.dashboard.page import Dashboard
from shared.dashboard.report import ReportPage
from shared.healing.monthly_report import MonthlyReports
from shared.storage.storage_clock import STORAGE_CLOCK


@once
def report() -> ReportPage:
    """`/api/report`."""
    reports = MonthlyReports(healing.reader, timedelta(days=settings().retention_days), STORAGE_CLOCK)
    return ReportPage(reports, settings().mode, STORAGE_CLOCK)


@once
def page() -> Dashboard:
    """`/api/dashboard`."""
    return Dashboard(
        healing.intake,
        healing.cancel,
        healing.acknowledge,
        healing.pausing,
        healing.reader,
        healing.store,
        settings(),
        STORAGE_CLOCK,
        api.findings(),
        status=api.status,
        reads=KnownReads(STORAGE_CLOCK),
        runs=healing.run_store,
    )
