"""The page."""

from shared.clock import utc_now
from shared.composition import api, healing, settings
from shared.composition.once import once
from shared.dashboard.page import Dashboard


@once
def page() -> Dashboard:
    """`/api/dashboard`."""
    return Dashboard(healing.intake, healing.cancel, api.reader, healing.store, settings(), utc_now)
