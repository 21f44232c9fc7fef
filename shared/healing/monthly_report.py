"""Reads what the report about a month is made of."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.remediation import Remediation, id_prefix
from shared.domain.report import Month, Report, report_of
from shared.domain.summary import Summary
from shared.storage.remediation_list import Filters, RemediationReader

_PAGE_SIZE = 1000
"""Of Table storage's pages the largest."""
_MAX_RECOVERY = timedelta(days=31)
"""Ends of heals before the month whose recoveries may have ended in it."""


@dataclass(frozen=True, slots=True)
class MonthlyReports:
    """Makes reports of what is kept. Each reads the documents of its month: some seconds for ten thousand."""

    reader: Callable[[], RemediationReader]
    retention: timedelta
    """How long remediations are kept: what ended longer ago is missing."""
    now: Callable[[], datetime]

    def of(self, month: Month) -> Report:
        """The report about this month, up to now.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        return report_of(month, self._remediations(month), self.now())

    def is_complete(self, month: Month) -> bool:
        """Whether all is kept that ended in it."""
        return month.start >= self.now() - self.retention

    def _remediations(self, month: Month) -> Iterator[Remediation]:
        reader = self.reader()
        summaries = reader.summaries(min(self.now() - self.retention, month.start))
        before = [each.id for each in summaries if each.opened_at < month.start and _reaches(each, month)]
        yield from (stored.remediation for stored in reader.load(before))
        after: str | None = id_prefix(month.end)
        while after:
            page = reader.page(Filters(since=month.start), _PAGE_SIZE, after)
            yield from (stored.remediation for stored in page.items)
            after = page.after


def _reaches(opened_before: Summary, month: Month) -> bool:
    """Whether something of it may fall into the month, though it was opened before."""
    ended_at = opened_before.ended_at
    if ended_at is None or opened_before.attention_from or ended_at >= month.start:
        return True
    return opened_before.status.is_healed and ended_at >= month.start - _MAX_RECOVERY
