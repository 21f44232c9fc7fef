"""The page of one remediation: its attempts with their steps and errors. Pure."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.dashboard.azure_error import AzureErrorDetail, read_azure_error
from shared.domain.arm_results import ArmError
from shared.domain.error_codes import BUILT_IN, ErrorCodes
from shared.domain.remediation import Attempt, Remediation, Transition
from shared.domain.remedy import NextStep, next_step_of

_PORTALS = {
    "management.usgovcloudapi.net": "https://portal.azure.us",
    "management.chinacloudapi.cn": "https://portal.azure.cn",
}
"""By the Resource Manager endpoint of the cloud (Microsoft Learn, "Compare Azure Government and global Azure",
"Azure China developer guide")."""


@dataclass(frozen=True, slots=True)
class AttemptDetail:
    """One attempt, with the status changes from its start to that of the next one."""

    attempt: Attempt
    steps: list[Transition]
    error: AzureErrorDetail | None


@dataclass(frozen=True, slots=True)
class Detail:
    """One remediation, prepared for its template."""

    remediation: Remediation
    attempts: list[AttemptDetail]
    error: AzureErrorDetail | None
    """Why it did not heal, or the latest error of an active one."""
    next_step: NextStep | None
    """The operator's next step, where it is not well."""
    duration: timedelta
    """From the signal to the end, or until now."""
    portal_url: str
    """The backup instance in the Azure portal."""


def detail_of(remediation: Remediation, arm_endpoint: str, now: datetime, error_codes: ErrorCodes = BUILT_IN) -> Detail:
    """Prepare a remediation for display at this time."""
    attempts = [AttemptDetail(attempt, [], _azure_error(attempt.error)) for attempt in remediation.attempts]
    next_starts = [attempt.queued_at for attempt in remediation.attempts[1:]]
    for step in remediation.history:
        attempts[bisect_right(next_starts, step.at)].steps.append(step)
    return Detail(
        remediation,
        attempts,
        _azure_error(remediation.error),
        next_step_of(remediation, error_codes),
        (remediation.ended_at or now) - remediation.opened_at,
        _portal_url(remediation, arm_endpoint),
    )


def _azure_error(error: ArmError | None) -> AzureErrorDetail | None:
    return read_azure_error(error) if error else None


def _portal_url(remediation: Remediation, arm_endpoint: str) -> str:
    """In the portal of the cloud that the app works in; the URL carries nothing but the instance's id."""
    portal = _PORTALS.get(arm_endpoint.removeprefix("https://").lower(), "https://portal.azure.com")
    return f"{portal}/#@/resource{remediation.instance.url_path}"
