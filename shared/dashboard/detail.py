"""The page of one remediation: what to do, where to look, its attempts with their steps and errors. Pure."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from shared.dashboard.azure_error import AzureErrorDetail, read_azure_error
from shared.domain.arm_results import ArmError
from shared.domain.error_codes import BUILT_IN, ErrorClass, ErrorCodes
from shared.domain.remediation import Attempt, Remediation, Transition
from shared.domain.remedy import NextStep, next_step_of
from shared.domain.summary import Summary

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
class PortalLinks:
    """Where the Azure portal shows what this is about; the URLs carry nothing but ids of Azure's."""

    instance: str
    vault: str
    job: str | None
    """The newest attempt's that has one."""
    job_name: str


@dataclass(frozen=True, slots=True)
class Detail:
    """One remediation, prepared for its template."""

    remediation: Remediation
    attempts: list[AttemptDetail]
    error: AzureErrorDetail | None
    """Why it did not heal, or the latest error of an active one."""
    meaning: str | None
    """The meaning of its code, where that is known."""
    error_class: ErrorClass | None
    """How its error is mended, where that is known."""
    next_step: NextStep | None
    """The operator's next step, where it is not well."""
    duration: timedelta
    """From the signal to the end, or until now."""
    portal: PortalLinks
    others: tuple[Summary, ...]
    """Other remediations of the same instance, newest first."""
    is_latest: bool
    """Whether none of them is newer."""


def detail_of(
    remediation: Remediation,
    arm_endpoint: str,
    now: datetime,
    error_codes: ErrorCodes = BUILT_IN,
    others: Iterable[Summary] = (),
) -> Detail:
    """Prepare a remediation for display at this time.

    Args:
        others: newest first; other remediations of the same instance, of which it may be one itself.
    """
    attempts = [AttemptDetail(attempt, [], _azure_error(attempt.error)) for attempt in remediation.attempts]
    next_starts = [attempt.queued_at for attempt in remediation.attempts[1:]]
    for step in remediation.history:
        attempts[bisect_right(next_starts, step.at)].steps.append(step)
    entry = error_codes.entry_of(remediation.error)
    beside = tuple(each for each in others if each.id != remediation.id)
    return Detail(
        remediation,
        attempts,
        _azure_error(remediation.error),
        entry.meaning if entry else None,
        entry.error_class if entry else None,
        next_step_of(remediation, error_codes),
        (remediation.ended_at or now) - remediation.opened_at,
        _portal_links(remediation, arm_endpoint),
        beside,
        all(each.id > remediation.id for each in beside),
    )


def _azure_error(error: ArmError | None) -> AzureErrorDetail | None:
    return read_azure_error(error) if error else None


def short_job_id(job_id: str) -> str:
    """A job's own name, where Azure gives its whole ARM id."""
    return job_id.rpartition("/")[2]


def _portal_links(remediation: Remediation, arm_endpoint: str) -> PortalLinks:
    """In the portal of the cloud that the app works in."""
    portal = _PORTALS.get(arm_endpoint.removeprefix("https://").lower(), "https://portal.azure.com")
    instance = f"{portal}/#@/resource{remediation.instance.url_path}"
    vault = instance.rpartition("/backupInstances/")[0]
    job_id = next((each.job_id for each in reversed(remediation.attempts) if each.job_id), None)
    job_name = short_job_id(job_id or "")
    job = f"{vault}/backupJobs/{quote(job_name, safe='', errors='replace')}" if job_name else None
    return PortalLinks(instance, vault, job, job_name)
