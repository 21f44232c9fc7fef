"""Incidents: who fails joins one, and the heal of a member releases those that hold their attempts back."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError

from shared import logs
from shared.domain import incident, lifecycle
from shared.domain.incident import MAX_SPREAD, Incident
from shared.domain.incident_cause import Cause, causes_before, causes_of
from shared.domain.policy import Policy
from shared.domain.remediation import Remediation, Status
from shared.healing.early_attempts import bring_forward, waiting
from shared.storage.conflicts import WriteConflict
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import Change

Step = tuple[Remediation, Remediation]
"""A remediation before and after."""


@dataclass(frozen=True, slots=True)
class Incidents:
    """Each step may run twice, late, or on two hosts at once; what cannot be stored leaves all to the retry delays."""

    store: RemediationStore
    policy: Policy
    canary_timeout: timedelta
    now: Callable[[], datetime]

    def join(self, changes: Sequence[Change]) -> list[Change]:
        """The changes about to be stored, those that begin to wait after a failure as members of their incident."""
        joined = list(changes)
        by_causes: dict[tuple[Cause, ...], list[int]] = {}
        for index, change in enumerate(changes):
            if not _fails(change.stored.remediation, change.after):
                continue
            causes = causes_of(change.after, self.policy.error_codes)
            joined[index] = Change(change.stored, incident.leave(change.after, causes))
            if causes and not incident.is_counted(change.after, causes):
                by_causes.setdefault(causes, []).append(index)
        for causes, indexes in by_causes.items():
            opened = self._count(causes, [changes[index].after.id for index in indexes])
            if opened is None:
                continue
            for index in indexes:
                joined[index] = Change(changes[index].stored, self.member(joined[index].after, opened))
        return joined

    def member(self, failed: Remediation, opened: Incident) -> Remediation:
        """The remediation as a member of the incident."""
        next_delay = self.policy.delay_after_next(failed)
        return incident.join(failed, opened, self.canary_timeout, next_delay, self.now())

    def release(self, steps: Iterable[Step]) -> None:
        """Bring forward those that waited for the same as a member that is healed now."""
        healed = [after for before, after in steps if before.status.is_healing and incident.proves_repair(after)]
        released: set[str] = set()
        for each in healed:
            try:
                incident_id = self._incident_of(each)
                if incident_id and incident_id not in released:
                    released.add(incident_id)
                    self.release_members(incident_id)
            except (AzureError, WriteConflict) as failure:
                logs.warning("incident.not_released", remediationId=each.id, reason=logs.describe_exception(failure))

    def release_members(self, incident_id: str) -> None:
        """Bring forward those members that were not tried since the first one was healed.

        Raises:
            WriteConflict: other hosts kept changing the incident first.
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        self.store.incidents.change(incident_id, lambda known: incident.release(known, self.now()))
        known = self.store.incidents.load(incident_id)
        since = known.incident.released_at if known else None
        members = [each for each in waiting(self.store) if each.remediation.incident_id == incident_id]
        released = bring_forward(self.store, members, lambda member: self._released(member, since))
        if released:
            logs.info("incident.released", incidentId=incident_id, released=released)

    def _count(self, causes: Sequence[Cause], failures: Sequence[str]) -> Incident | None:
        """Count these failures; returns the incident to which they belong."""
        try:
            counted = self.store.incidents.count(causes, failures)
        except (AzureError, WriteConflict) as failure:
            logs.warning("incident.not_counted", count=len(failures), reason=logs.describe_exception(failure))
            return None
        opened = counted.incident
        if opened and counted.is_new:
            logs.warning(
                "incident.opened",
                incidentId=opened.id,
                code=opened.code,
                scopeKind=opened.scope_kind,
                scope=opened.scope,
                members=opened.members,
            )
        return opened

    def _incident_of(self, healed: Remediation) -> str | None:
        """The incident that it belongs to; one of the first to fail did so before there was one, but is its canary."""
        if healed.incident_id:
            return healed.incident_id
        causes = causes_before(healed, self.policy.error_codes)
        opened = self.store.incidents.opened(causes) if causes else None
        return opened.id if opened and healed.instance.key in opened.canaries else None

    def _released(self, member: Remediation, since: datetime | None) -> Remediation | None:
        """Spread by what is as good as random, and the same on each host."""
        now, retry_at = self.now(), lifecycle.retry_at_of(member)
        at = now + MAX_SPREAD * (int(member.instance.key[:4], 16) / 0x10000)
        tried_at = member.attempt.submitted_at
        was_tried = since is not None and tried_at is not None and tried_at >= since
        if was_tried or retry_at is None or at >= retry_at or member.status is not Status.WAITING_TO_RETRY:
            return None
        return lifecycle.bring_forward(member, at, now, "another member of its incident is healed")


def _fails(before: Remediation, after: Remediation) -> bool:
    return after.status is Status.WAITING_TO_RETRY and before.status is not Status.WAITING_TO_RETRY
