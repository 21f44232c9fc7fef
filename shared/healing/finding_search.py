"""Searches for findings, instances that are well but whose backups are not, page by page of Resource Graph's answer."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared import logs
from shared.clients.resource_graph import QueryFailed
from shared.domain.arm_results import ArmError
from shared.domain.backup_results import Schedule
from shared.domain.finding import Finding, ScheduledJob, WellInstance, assess, may_wait_for_first_point
from shared.domain.policy import Policy
from shared.domain.resource_ids import BackupInstanceId, InvalidResourceId, normalize
from shared.healing.ports import FirstPoints, Inventory
from shared.storage.first_points import MAX_WAITING

MAX_LISTED = 1000
"""Findings that a result names; it counts them all."""


@dataclass(slots=True)
class FindingsResult:
    """The result of one search."""

    by_kind: Counter[str] = field(default_factory=Counter)
    listed: list[Finding] = field(default_factory=list)
    """The first of them."""
    new: int = 0
    """How many were not reported before."""
    listed_new: set[str] = field(default_factory=set)
    """Ids of those that are listed and new."""
    error: ArmError | None = None
    """Why the search did not come to its end; None if it did."""

    @property
    def count(self) -> int:
        """How many there are."""
        return self.by_kind.total()

    def add(self, findings: Iterable[Finding], news: Collection[str]) -> None:
        """Count these, of which those with the ids in `news` are new."""
        self.new += len(news)
        for finding in findings:
            self.by_kind[finding.kind] += 1
            if len(self.listed) < MAX_LISTED:
                self.listed.append(finding)
                self.listed_new |= {finding.id} & set(news)


@dataclass(frozen=True, slots=True)
class FindingSearch:
    """Searches all subscriptions. Of a million instances it keeps those of one page, and of the findings some."""

    inventory: Inventory
    policy: Policy
    grace: timedelta
    now: Callable[[], datetime]
    first_points: FirstPoints

    def run(
        self, deadline: datetime, act: Callable[[Sequence[Finding]], Collection[str]], is_preview: bool = False
    ) -> FindingsResult:
        """Search until the deadline.

        Args:
            act: gets the findings of each page that are in scope; returns the ids of those that are new.
            is_preview: nothing is noted.
        """
        result = FindingsResult()
        first = _FirstPointSearch(self.first_points.waiting())
        try:
            schedules, jobs = self.inventory.schedules(deadline), self.inventory.jobs(deadline)
            for page in self.inventory.instances(deadline):
                findings = self._findings(page, schedules, jobs, first)
                if findings:
                    result.add(findings, act(findings))
            if not is_preview:
                self.first_points.forget(first.known.keys() - first.met)
        except QueryFailed as failed:
            result.error = failed.result.error
            logs.error("findings.incomplete", found=result.count, error=result.error)
        if not is_preview:
            self.first_points.note(first.new, self.now())
        logs.info("findings.searched", byKind=result.by_kind, new=result.new, complete=result.error is None)
        return result

    def _findings(
        self,
        page: Iterable[WellInstance],
        schedules: Mapping[str, Schedule],
        jobs: Mapping[str, ScheduledJob],
        first: "_FirstPointSearch",
    ) -> list[Finding]:
        now = self.now()
        findings = []
        for each in page:
            schedule = schedules.get(each.policy_id)
            may_wait = may_wait_for_first_point(each, schedule) and self.policy.out_of_scope(each.id) is None
            since = first.waiting_since(each) if may_wait else None
            found = assess(each, jobs.get(normalize(each.id)), schedule, self.grace, now, since)
            if found and self.policy.out_of_scope(str(found.instance)) is None:
                findings.append(found)
        return findings


@dataclass(slots=True)
class _FirstPointSearch:
    """The instances without any recovery point that one search meets."""

    known: Mapping[str, datetime]
    met: set[str] = field(default_factory=set)
    """Of those."""
    new: list[str] = field(default_factory=list)

    def waiting_since(self, instance: WellInstance) -> datetime | None:
        """Since when it is known to have none; None if it is met first."""
        try:
            key = BackupInstanceId.parse(instance.id).key
        except InvalidResourceId:
            return None
        if key in self.known:
            self.met.add(key)
        elif len(self.known) + len(self.new) < MAX_WAITING:
            self.new.append(key)
        return self.known.get(key)
