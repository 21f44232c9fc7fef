"""The monthly report, and the seals of each day's outcomes."""

from datetime import timedelta

from shared.composition import settings, stores
from shared.composition.once import once
from shared.dashboard.report import ReportPage
from shared.healing.monthly_report import MonthlyReports
from shared.healing.sealing import Sealing
from shared.storage.seal_store import SealStore
from shared.storage.storage_clock import STORAGE_CLOCK


@once
def page() -> ReportPage:
    """`/api/report`."""
    return ReportPage(_reports(), _seals, settings().mode, STORAGE_CLOCK, stores.subscription_names)


@once
def sealing() -> Sealing:
    """Seals the outcomes of each day."""
    return Sealing(_reports().outcomes, _seals(), STORAGE_CLOCK)


@once
def _reports() -> MonthlyReports:
    return MonthlyReports(stores.reader, timedelta(days=settings().retention_days), STORAGE_CLOCK)


@once
def _seals() -> SealStore:
    return SealStore(stores.table(), STORAGE_CLOCK)
