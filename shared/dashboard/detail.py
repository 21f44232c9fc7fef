"""A remediation as the page tells it: its steps, attempt by attempt. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.dashboard.azure_error import AzureError, read_azure_error
from shared.domain.remediation import Attempt, Remediation, Transition

_PORTALS = {
    "management.usgovcloudapi.net": "https://portal.azure.us",
    "management.chinacloudapi.cn": "https://portal.azure.cn",
}
"""By the Resource Manager endpoint of the cloud (Microsoft Learn, "Compare Azure Government and global Azure",
"Azure China developer guide")."""


@dataclass(frozen=True, slots=True)
class AttemptDetail:
    """One attempt, with the steps that were taken while it was the newest."""

    attempt: Attempt
    steps: tuple[Transition, ...]
    problem: AzureError | None


@dataclass(frozen=True, slots=True)
class Detail:
    """A remediation, ready to be told."""

    remediation: Remediation
    chapters: tuple[AttemptDetail, ...]
    problem: AzureError | None
    """Why it did not heal, or the newest hindrance."""
    took: timedelta
    """From the signal to the end, or until now."""
    portal: str
    """Where the Azure portal shows the instance."""


def detail_of(remediation: Remediation, arm_endpoint: str, now: datetime) -> Detail:
    """Tell it as it stands now."""
    begins = [attempt.queued_at for attempt in remediation.attempts]
    ends: list[datetime | None] = [*begins[1:], None]
    chapters = [
        AttemptDetail(
            attempt,
            tuple(
                step
                for step in remediation.history
                if (step.at >= attempt.queued_at or attempt.number == 1) and (end is None or step.at < end)
            ),
            read_azure_error(attempt.error) if attempt.error else None,
        )
        for attempt, end in zip(remediation.attempts, ends, strict=True)
    ]
    return Detail(
        remediation,
        tuple(chapters),
        read_azure_error(remediation.error) if remediation.error else None,
        (remediation.ended_at or now) - remediation.opened_at,
        portal_link(remediation, arm_endpoint),
    )


def portal_link(remediation: Remediation, arm_endpoint: str) -> str:
    """The instance's page in the portal of the cloud that the app works in; it carries nothing but the id."""
    portal = _PORTALS.get(arm_endpoint.removeprefix("https://").lower(), "https://portal.azure.com")
    return f"{portal}/#@/resource{remediation.instance.url_path}"
