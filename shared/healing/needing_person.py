"""Instances that need a person and are not being healed: what a sweep looks at once they are broken no more."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.remediation import Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.summary import latest_of_each
from shared.storage.remediation_list import RemediationReader


@dataclass(frozen=True, slots=True)
class NeedingPerson:
    """Reads them from the latest remediations."""

    reader: Callable[[], RemediationReader]
    retention_days: int
    subscriptions: tuple[str, ...]
    """Ids, in lower case, of those that are swept; empty for all."""
    now: Callable[[], datetime]

    def __call__(self) -> list[BackupInstanceId]:
        """These instances.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        summaries = self.reader().summaries(self.now() - timedelta(days=self.retention_days))
        needing = [each for each in latest_of_each(summaries) if each.attention_from and _is_over(each.status)]
        instances = [BackupInstanceId.parse(each.instance) for each in needing]
        return [each for each in instances if self._is_swept(each)]

    def _is_swept(self, instance: BackupInstanceId) -> bool:
        return not self.subscriptions or instance.subscription_id.lower() in self.subscriptions


def _is_over(status: Status) -> bool:
    """Whether nothing is under way, and a look tells more: an instance that lacks a recovery point only is well."""
    return status.is_terminal and not status.ends_recovery
