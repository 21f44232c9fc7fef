"""The page."""

from shared.composition import api, healing, reports, settings, stores
from shared.composition.once import once
from shared.dashboard.known_reads import KnownReads
from shared.dashboard.page import Dashboard
from shared.storage.storage_clock import STORAGE_CLOCK


@once
def page() -> Dashboard:
    """`/api/dashboard`."""
    return Dashboard(
        healing.intake,
        healing.cancel,
        healing.acknowledge,
        healing.pausing,
        stores.reader,
        stores.store,
        settings(),
        STORAGE_CLOCK,
        api.findings(),
        status=api.status,
        reads=KnownReads(STORAGE_CLOCK),
        runs=stores.run_store,
        report=reports.page,
    )
