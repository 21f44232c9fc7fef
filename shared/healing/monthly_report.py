"""Reads what the report about a month is made of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from shared.domain.remediation import Remediation, id_prefix
from shared.domain.report import Month, Outcome, Period, Report, outcomes_of, report_of, within
from shared.storage.remediation_list import Filters, RemediationReader

_PAGE_SIZE = 1000
"""Of Table storage's pages the largest."""
_MAX_SKEW = timedelta(days=1)
"""An outcome may be announced, by another host's clock, before it ended."""


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
        needing = {each.id: each for each in self._needing_attention(month)}
        others = (each for each in self._remediations(month) if each.id not in needing)
        return report_of(month, chain(needing.values(), others), self.now())

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
        """Those of which something may have ended in the period; a seal and a report see the same.

        Summaries would miss the oldest: only the newest are kept in memory.
        """
        reader = self.reader()
        ids = reader.ids_over_since(period.start, period.start - _MAX_SKEW)
        for start in range(0, len(ids), _PAGE_SIZE):
            yield from (stored.remediation for stored in reader.load(ids[start : start + _PAGE_SIZE]))
        after: str | None = id_prefix(period.end)
        while after:
            page = reader.page(Filters(since=period.start), _PAGE_SIZE, after)
            yield from (stored.remediation for stored in page.items)
            after = page.after

    def _needing_attention(self, month: Month) -> Iterator[Remediation]:
        """Those that were over before the month, and whose instances need a person still."""
        reader = self.reader()
        summaries = reader.summaries(min(self.kept_since, month.start))
        ids = [each.id for each in summaries if each.attention_from and each.opened_at < month.start]
        yield from (stored.remediation for stored in reader.load(ids))
