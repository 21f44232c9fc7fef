"""Search in the summaries of the newest remediations: by more than storage can filter, and in any order."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.summary_list import Conditions, Listing, Order, list_summaries
from shared.storage.remediation_list import Page, RemediationReader


@dataclass(frozen=True, slots=True)
class RemediationSearch:
    """Finds remediations that are kept."""

    reader: Callable[[], RemediationReader]
    retention: timedelta
    """How long remediations are kept."""
    in_scope: Callable[[str], bool]
    """Whether the app is to heal the instance with this ARM id; no other one needs attention."""
    now: Callable[[], datetime]

    def find(self, conditions: Conditions, order: Order) -> Listing:
        """All that match, in short.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        now = self.now()
        return list_summaries(self.reader().summaries(now - self.retention), conditions, order, now, self.in_scope)

    def page(self, conditions: Conditions, order: Order, top: int, after: str = "") -> Page:
        """The first `top` of those that match, behind a place of this order. Raises as `find` does."""
        listing = self.find(conditions, order)
        start = listing.behind(after)
        rows = listing.rows[start : start + top]
        has_next = start + len(rows) < len(listing.rows)
        items = self.reader().load([row.id for row in rows])
        return Page(items, listing.place_of(rows[-1]) if rows and has_next else None)
