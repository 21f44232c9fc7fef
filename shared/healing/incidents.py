"""Incidents: who fails joins one, and the heal of a member releases those that hold their attempts back."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from azure.core.exceptions import AzureError

from shared import logs
from shared.domain import incident, lifecycle
from shared.domain.error_codes import ErrorCodes
from shared.domain.incident import MAX_SPREAD
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
    error_codes: ErrorCodes
    now: Callable[[], datetime]

    def join(self, changes: Sequence[Change]) -> list[Change]:
        """The changes about to be stored, those that begin to wait after a failure as members of their incident."""
        by_key: dict[str, list[int]] = {}
        for index, change in enumerate(changes):
            if _fails(change.stored.remediation, change.after):
                key = incident.key_of(change.after, self.error_codes)
                if key is not None:
                    by_key.setdefault(key, []).append(index)
        joined = list(changes)
        for key, indexes in by_key.items():
            try:
                failures = [changes[index].after.instance.key for index in indexes]
                opened, is_new = self.store.incidents.count(key, failures)
            except (AzureError, WriteConflict) as failure:
                logs.warning("incident.not_counted", count=len(indexes), reason=logs.describe_exception(failure))
                continue
            if opened is None:
                continue
            if is_new:
                example = changes[indexes[0]].after
                logs.warning(
                    "incident.opened",
                    incidentId=opened.id,
                    code=example.error["code"] if example.error else None,
                    vaultId=str(example.instance.vault_id),
                    members=opened.members,
                )
            for index in indexes:
                change = changes[index]
                joined[index] = Change(change.stored, incident.join(change.after, opened))
        return joined

    def release(self, steps: Iterable[Step]) -> None:
        """Bring forward those that waited for the same as a member that is healed now."""
        healed = [after for before, after in steps if after.status.is_healed and before.status.is_healing]
        released: set[str] = set()
        for each in healed:
            try:
                incident_id = self._incident_of(each)
                if incident_id and incident_id not in released:
                    released.add(incident_id)
                    self._release(incident_id)
            except (AzureError, WriteConflict) as failure:
                logs.warning("incident.not_released", remediationId=each.id, reason=logs.describe_exception(failure))

    def _incident_of(self, healed: Remediation) -> str | None:
        """The incident that it belongs to; one of the first to fail did so before there was one, but is its canary."""
        if healed.incident_id:
            return healed.incident_id
        key = incident.key_before(healed, self.error_codes)
        opened = self.store.incidents.opened(key) if key else None
        return opened.id if opened and healed.instance.key in opened.canaries else None

    def _release(self, incident_id: str) -> None:
        closed = self.store.incidents.close(incident_id.rpartition("-")[2], incident_id)
        members = [each for each in waiting(self.store) if each.remediation.incident_id == incident_id]
        released = bring_forward(self.store, members, self._released)
        if closed is not None:
            logs.info("incident.closed", incidentId=incident_id, members=closed.members, released=released)
        elif released:
            logs.info("incident.released", incidentId=incident_id, released=released)

    def _released(self, member: Remediation) -> Remediation | None:
        # Spread by what is as good as random, and the same on each host.
        now, retry_at = self.now(), lifecycle.retry_at_of(member)
        at = now + MAX_SPREAD * (int(member.instance.key[:4], 16) / 0x10000)
        if retry_at is None or at >= retry_at or member.status is not Status.WAITING_TO_RETRY:
            return None
        return lifecycle.bring_forward(member, at, now, "another member of its incident is healed")


def _fails(before: Remediation, after: Remediation) -> bool:
    return after.status is Status.WAITING_TO_RETRY and before.status is not Status.WAITING_TO_RETRY
