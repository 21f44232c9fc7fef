"""The announcement of an end, or that an instance needs a person: when it is due, and what follows it. Pure."""

from datetime import datetime

from msgspec.structs import replace

from shared.domain.attention import announced, is_unannounced
from shared.domain.back_off import MAX_PUBLISH_BACK_OFF, back_off
from shared.domain.remediation import Remediation, Status
from shared.domain.steps import begin_recovery, wait_for_retry


def has_news(remediation: Remediation) -> bool:
    """Whether its due time is that of an announcement: of its end, or that its instance needs a person."""
    waits = remediation.status is Status.WAITING_TO_RETRY and is_unannounced(remediation)
    return remediation.status.is_terminal or waits


def on_published(remediation: Remediation, now: datetime) -> Remediation:
    """The events were delivered: the next attempt is waited for, nothing is left to do, or the recovery begins."""
    remediation = announced(remediation, now)
    if not remediation.status.is_terminal:
        return wait_for_retry(replace(remediation, deferrals=0))
    recovery = remediation.recovery
    if recovery is not None and remediation.status.ends_recovery:
        return replace(remediation, recovery=replace(recovery, published_at=now), due_at=None)
    return begin_recovery(replace(remediation, published_at=now, due_at=None), now)


def on_publish_failed(remediation: Remediation, now: datetime, jitter: float) -> Remediation:
    """The events could not be delivered; try again after a back-off, or with what follows the next attempt."""
    due_at = now + back_off(remediation.deferrals, jitter, MAX_PUBLISH_BACK_OFF)
    if remediation.status is Status.WAITING_TO_RETRY and remediation.not_before:
        due_at = min(due_at, remediation.not_before)
    return replace(remediation, due_at=due_at, deferrals=remediation.deferrals + 1)


def as_told(ended: Remediation) -> Remediation:
    """The remediation as the event of its end has it: without the tries to announce it, so that each tells the same."""
    return replace(ended, due_at=None, deferrals=0)


def skip_announcement(remediation: Remediation) -> Remediation:
    """Without a topic nothing is left to do once it has ended, or the recovery begins; no news is waited for."""
    if not remediation.status.is_terminal:
        return wait_for_retry(remediation) if has_news(remediation) else remediation
    return begin_recovery(replace(remediation, due_at=None), remediation.ended_at or remediation.opened_at)
