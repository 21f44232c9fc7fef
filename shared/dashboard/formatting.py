"""Formats statuses, times and counts for people. Pure."""

import re
from datetime import date, datetime

from shared.domain.error_codes import ErrorClass
from shared.domain.protection_state import INTENDED
from shared.domain.remediation import Remediation, Resolution, Status
from shared.domain.signal import SyncType

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
"""With their seconds."""
_STATUS_MEANINGS = {
    Status.QUEUED: "The sync request is waiting to be sent to Azure.",
    Status.RUNNING: "Azure is running the sync operation; its status is polled until it ends.",
    Status.VERIFYING: "The protection state of the instance is being checked in Azure.",
    Status.WAITING_TO_RETRY: "The last attempt did not heal the instance; the next one starts automatically.",
    Status.HEALED: "The instance is protected again.",
    Status.UNHEALTHY: "The sync completed, but the instance is still not protected.",
    Status.FAILED: "The sync failed and will not be retried.",
    Status.REJECTED: "Azure rejected the request, or has an error that no sync can mend; it will not be retried.",
    Status.TIMED_OUT: "The operation did not end in time (OPERATION_TIMEOUT), or Azure gave no answer for days.",
    Status.CANCELLED: "An operator cancelled this remediation.",
    Status.WOULD_HEAL: "The app observes (MODE): it would have called sync, and made no call that changes anything.",
    Status.RECOVERING: "The instance is protected; a recovery point newer than the failure is awaited.",
    Status.RECOVERED: "The instance is protected, and has a recovery point newer than the failure.",
    Status.NOT_RECOVERED: "The instance is protected, but no recovery point newer than the failure came in time.",
}
_RESOLUTION_MEANINGS = {
    Resolution.REPAIRED: "The instance was in error, and is protected again.",
    Resolution.NOTHING_TO_REPAIR: "The instance was well already: there was nothing to repair.",
}
_ERROR_CLASS_MEANINGS = {
    ErrorClass.TRANSIENT: "This error passes by itself: a sync made a little later mends it.",
    ErrorClass.PERSON: "Somebody has to repair something first; a sync heals the instance after that.",
    ErrorClass.NEVER: "No sync mends this error: the set-up itself has to change.",
    ErrorClass.JOB: "A backup job failed. A sync repeats no job; the next backup does.",
}
_DROP_REASONS = {
    "OutOfScope": "The settings INCLUDE and EXCLUDE leave this instance out.",
    "CoolingDown": "The last remediation of this instance ended recently; its cooldown (COOLDOWN) has not passed yet.",
    "CancelledToday": "An operator cancelled a remediation of this instance less than 24 hours ago.",
    "Paused": "This instance is paused: nothing is begun until the pause ends.",
    "NeedsAttention": "A person must mend what keeps this instance from being healed; sweeps try it ever more rarely.",
    "RejectedToday": "Less than 24 hours ago this instance had an error that no sync can mend.",
    "DailyCapReached": "This instance has reached its limit of remediations within 24 hours (DAILY_CAP).",
    "LateDuplicate": "A newer remediation of this instance already covers this request.",
}


def status_label(status: Status | Resolution) -> str:
    """`Waiting to retry` for `WaitingToRetry`."""
    return re.sub("(?<=[a-z])[A-Z]", lambda initial: f" {initial[0].lower()}", status)


def status_meaning(remediation: Remediation) -> str:
    """One sentence that explains how it stands, or how it ended."""
    if remediation.status is Status.HEALED and remediation.resolution:
        return _RESOLUTION_MEANINGS[remediation.resolution]
    if remediation.status is Status.UNHEALTHY and remediation.protection_state in INTENDED:
        return "Somebody has stopped or suspended the protection of this instance; no sync is to change that."
    return _STATUS_MEANINGS[remediation.status]


def error_class_meaning(error_class: ErrorClass) -> str:
    """One sentence that explains how errors of this class are mended."""
    return _ERROR_CLASS_MEANINGS[error_class]


def drop_reason_text(code: str) -> str:
    """One sentence that explains why the policy drops a signal; `code` is that of `shared.domain.policy.Drop`."""
    return _DROP_REASONS.get(code, "The policy does not allow a sync of this instance now.")


def sync_type_text(sync_type: SyncType) -> str:
    """When a sync of this type acts (Microsoft Learn, "Backup Instances - Sync Backup Instance", `SyncType`)."""
    return "only in case of failure" if sync_type is SyncType.DEFAULT else "in all cases"


def format_relative(moment: datetime, now: datetime) -> str:
    """`just now`, `12 seconds ago`, `in 5 minutes`, `30 hours ago`, `2 days ago`."""
    seconds = int(abs((now - moment).total_seconds()))
    if seconds < 2:
        return "just now"
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= (2 * size if unit == "day" else size))
    count = seconds // size
    counted = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{counted} ago" if moment < now else f"in {counted}"


def format_time(moment: datetime) -> str:
    """`2026-01-02 03:04:05`; the page says that its times are UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def format_day(day: date) -> str:
    """`Mon 5 Jan`."""
    return f"{day:%a} {day.day} {day:%b}"


def format_count(count: int) -> str:
    """`1,234`."""
    return f"{count:,}"


def format_short_count(count: int) -> str:
    """`980`, `1.2k`, `12k`: fits above a bar."""
    if count < 1000:
        return str(count)
    return f"{count // 100 / 10:g}k" if count < 10_000 else f"{count // 1000}k"


def format_percent(share: float | None) -> str:
    """`97.4 %` for 0.974; `100 %` only for exactly 1, `0 %` only for exactly 0; a dash for None."""
    if share is None:
        return "\N{EN DASH}"
    percent = f"{share:.0%}" if share in (0, 1) else f"{min(int(share * 1000) / 10, 99.9):.1f}%"
    return percent.replace("%", "\N{NO-BREAK SPACE}%")
