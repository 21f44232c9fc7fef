"""Incidents: who fails joins one, and the heal of a member releases those that hold their attempts back."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from azure.core.exceptions import AzureError

from shared import logs
from shared.domain import incident, state_machine
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
        healed = [
            after
            for before, after in steps
            if after.incident_id and after.status.is_healed and before.status.is_healing
        ]
        for each in {after.incident_id: after for after in healed}.values():
            try:
                self._release(each)
            except (AzureError, WriteConflict) as failure:
                logs.warning(
                    "incident.not_released", incidentId=each.incident_id, reason=logs.describe_exception(failure)
                )

    def _release(self, healed: Remediation) -> None:
        incident_id = healed.incident_id or ""
        closed = self.store.incidents.close(incident_id.rpartition("-")[2], incident_id)
        members = [each for each in waiting(self.store) if each.remediation.incident_id == incident_id]
        released = bring_forward(self.store, members, self._released)
        if closed is not None:
            logs.info("incident.closed", incidentId=incident_id, members=closed.members, released=released)
        elif released:
            logs.info("incident.released", incidentId=incident_id, released=released)

    def _released(self, member: Remediation) -> Remediation | None:
        # Spread by what is as good as random, and the same on each host.
        now, retry_at = self.now(), state_machine.retry_at_of(member)
        at = now + MAX_SPREAD * (int(member.instance.key[:4], 16) / 0x10000)
        if retry_at is None or at >= retry_at or member.status is not Status.WAITING_TO_RETRY:
            return None
        return state_machine.bring_forward(member, at, now, "another member of its incident is healed")


def _fails(before: Remediation, after: Remediation) -> bool:
    return after.status is Status.WAITING_TO_RETRY and before.status is not Status.WAITING_TO_RETRY
