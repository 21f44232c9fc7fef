"""Instances that need a person and are not being healed: what a sweep looks at once they are broken no more."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.remediation import Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.summary import latest_of_each, needs_attention
from shared.healing.transition_log import log_attention_stays
from shared.storage.remediation_list import RemediationReader

_MAX_LOGGED = 1_000


@dataclass(frozen=True, slots=True)
class NeedingPerson:
    """Reads them from the latest remediations."""

    reader: Callable[[], RemediationReader]
    retention_days: int
    subscriptions: tuple[str, ...]
    """Ids, in lower case, of those that are swept; empty for all."""
    now: Callable[[], datetime]
    in_scope: Callable[[str], bool] = lambda _: True
    """Whether the app is to heal the instance with this ARM id: nobody is called for another."""

    def __call__(self) -> list[BackupInstanceId]:
        """These instances.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        summaries = self.reader().summaries(self.now() - timedelta(days=self.retention_days))
        needing = [each for each in latest_of_each(summaries) if each.attention_from and _is_over(each.status)]
        instances = [BackupInstanceId.parse(each.instance) for each in needing]
        return [each for each in instances if self._is_swept(each)]

    def log(self) -> None:
        """Log whose attention is needed now, once for each instance; alerts live on these lines.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        reader, now = self.reader(), self.now()
        summaries = reader.summaries(now - timedelta(days=self.retention_days))
        needing = needs_attention(summaries, now, self.in_scope)
        latest = [stored.remediation for stored in reader.load([each.id for each in needing[:_MAX_LOGGED]])]
        began = {each.attention.remediation_id for each in latest if each.attention}
        first = {stored.remediation.id: stored.remediation for stored in reader.load(sorted(began))}
        for each in latest:
            if each.attention:
                # A later remediation need not have met the incident: the alert is to stay that of its first.
                known = first.get(each.attention.remediation_id, each)
                log_attention_stays(each, each.attention, known.incident_id or each.incident_id)

    def _is_swept(self, instance: BackupInstanceId) -> bool:
        return not self.subscriptions or instance.subscription_id.lower() in self.subscriptions


def _is_over(status: Status) -> bool:
    """Whether nothing is under way, and a look tells more: an instance that lacks a recovery point only is well."""
    return status.is_terminal and not status.ends_recovery
