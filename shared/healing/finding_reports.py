"""Reports findings: each failure of an instance once, in the log, on the topic, and in what page and health show.

The row of a finding is written by compare-and-swap, and only who wrote it logs it. It stays to be announced until the
topic has taken it: a host that dies in between leaves that to the next search, with the same event id.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared import logs
from shared.clients.outcome_topic import PublishFailed
from shared.clock import to_iso
from shared.domain.finding import Finding
from shared.healing.finding_search import FindingsResult
from shared.healing.ports import FindingTopic
from shared.storage.finding_store import MAX_FINDINGS, FindingsSummary, FindingStore, ReportedFinding

_BATCH_SIZE = 20
"""Events in a call."""


class Report(Protocol):
    """Stores and announces the findings of one search."""

    def take(self, findings: Sequence[Finding]) -> Collection[str]:
        """The ids of those that are news."""

    def finish(self, result: FindingsResult) -> None:
        """The search has ended."""


@dataclass(frozen=True, slots=True)
class FindingReports:
    """Begins a report for each search."""

    store: FindingStore
    topic: FindingTopic | None
    """None where findings are not announced."""
    now: Callable[[], datetime]

    def begin(self, deadline: datetime) -> Report:
        """A report that is written."""
        return _Report(self, deadline)

    def preview(self) -> Report:
        """A report that only says what it would be about."""
        return _Preview(self.store)


class _Preview:
    def __init__(self, store: FindingStore) -> None:
        self._known = {each.key: each for each in store.reported()}

    def take(self, findings: Sequence[Finding]) -> Collection[str]:
        return {each.id for each in findings if self._is_news(each)}

    def finish(self, result: FindingsResult) -> None:
        """Nothing is written."""

    def _is_news(self, finding: Finding) -> bool:
        before = self._known.get(finding.instance.key)
        return before is None or before.id != finding.id


class _Report(_Preview):
    def __init__(self, reports: FindingReports, deadline: datetime) -> None:
        super().__init__(reports.store)
        self._store, self._topic, self._now, self._deadline = reports.store, reports.topic, reports.now, deadline
        self._over = set(self._known)
        """Keys of the instances that this search has not found so far."""
        self._left_out = 0

    def take(self, findings: Sequence[Finding]) -> Collection[str]:
        for finding in findings:
            self._over.discard(finding.instance.key)
        return {each.id for each in findings if self._is_news(each) and self._report(each)}

    def finish(self, result: FindingsResult) -> None:
        if result.error is None:
            for key in self._over:
                self._store.remove(self._known.pop(key))
        if self._left_out:
            logs.warning("findings.left_out", count=self._left_out, kept=len(self._known))
        self._announce([each for each in self._known.values() if not each.is_announced])
        self._store.put_summary(FindingsSummary(self._now(), dict(result.by_kind), result.error is None))

    def _report(self, finding: Finding) -> bool:
        before = self._known.get(finding.instance.key)
        if (before is None and len(self._known) >= MAX_FINDINGS) or self._now() > self._deadline:
            self._left_out += 1
            return False
        reported = self._store.report(finding, before)
        if reported is None:
            return False
        self._known[reported.key] = reported
        point = finding.latest_point
        logs.warning(
            "finding.stale",
            id=finding.id,
            backupInstanceId=str(finding.instance),
            kind=finding.kind,
            reason=finding.reason,
            failedAt=to_iso(finding.failed_at),
            latestRecoveryPoint=to_iso(point) if point else None,
            errorCode=finding.error_code,
        )
        return True

    def _announce(self, reported: Sequence[ReportedFinding]) -> None:
        """Announce findings; those that the topic does not take are announced by the next search."""
        if self._topic is None:
            return
        for start in range(0, len(reported), _BATCH_SIZE):
            batch = reported[start : start + _BATCH_SIZE]
            if self._now() > self._deadline or not self._publish(self._topic, batch):
                return

    def _publish(self, topic: FindingTopic, batch: Sequence[ReportedFinding]) -> bool:
        """Whether the topic takes any events now."""
        try:
            topic.publish_findings([each.document for each in batch])
        except PublishFailed as failure:
            if len(batch) == 1 or not failure.in_parts:
                logs.warning("finding.not_published", count=len(batch), reason=str(failure))
                return failure.in_parts
        except Exception as failure:  # what cannot be told of one, can be of the others
            if len(batch) == 1:
                reason = logs.describe_exception(failure)
                logs.error("finding.not_published", count=1, id=batch[0].id, reason=reason)
                return True
        else:
            for each in batch:
                self._store.mark_announced(each)
            return True
        middle = len(batch) // 2
        return self._publish(topic, batch[:middle]) and self._publish(topic, batch[middle:])
