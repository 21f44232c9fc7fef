"""Reads what the report about a month is made of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.remediation import Remediation, id_prefix
from shared.domain.report import Month, Outcome, Period, Report, outcomes_of, report_of, within
from shared.domain.summary import Summary
from shared.storage.remediation_list import Filters, RemediationReader

_PAGE_SIZE = 1000
"""Of Table storage's pages the largest."""
_MAX_RECOVERY = timedelta(days=31)
"""Ends of heals before a period whose recoveries may have ended in it."""


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

    def outcomes(self, period: Period) -> Sequence[Outcome]:
        """The outcomes of a period, by the time of their end. Raises as `of` does."""
        ended = (outcome for each in self._remediations(period) for outcome in outcomes_of(each))
        return within(period, ended)

    @property
    def kept_since(self) -> datetime:
        """Of what ended before then, some may have been removed."""
        return self.now() - self.retention

    def is_complete(self, month: Month) -> bool:
        """Whether all is kept that ended in it."""
        return month.start >= self.kept_since

    def _remediations(self, period: Period) -> Iterator[Remediation]:
        reader = self.reader()
        summaries = reader.summaries(min(self.kept_since, period.start))
        before = [each.id for each in summaries if each.opened_at < period.start and _reaches(each, period)]
        yield from (stored.remediation for stored in reader.load(before))
        after: str | None = id_prefix(period.end)
        while after:
            page = reader.page(Filters(since=period.start), _PAGE_SIZE, after)
            yield from (stored.remediation for stored in page.items)
            after = page.after


def _reaches(opened_before: Summary, period: Period) -> bool:
    """Whether something of it may fall into the period, though it was opened before."""
    ended_at = opened_before.ended_at
    if ended_at is None or opened_before.attention_from or ended_at >= period.start:
        return True
    return opened_before.status.is_healed and ended_at >= period.start - _MAX_RECOVERY
