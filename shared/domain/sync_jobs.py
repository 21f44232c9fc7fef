"""The sync job of an attempt: from when it can be carried out, and how a remediation waits for it. Pure."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.remediation import Remediation, Status
from shared.domain.steps import change_attempt, move
from shared.rate_limits.rate_limiter import Wait

JOB_TIMEOUT = timedelta(seconds=60)
"""How long a sync job may stay unanswered before somebody looks after it."""
_CLOCK_TOLERANCE = timedelta(seconds=1)
"""Queue Storage counts its delays in whole seconds, by a clock of its own."""
_MAX_JOB_WAIT = timedelta(hours=1)
"""Between two looks at a sync job that waits in a long queue."""


def job_visible_at(remediation: Remediation) -> datetime:
    """From when the sync job of a queued remediation can be carried out."""
    due_at = remediation.due_at or remediation.opened_at
    # An earlier version of the app wrote no such field.
    return remediation.not_before or due_at - JOB_TIMEOUT


def job_delay(remediation: Remediation, now: datetime) -> timedelta:
    """How long the sync job of a queued remediation is to stay invisible in the queue."""
    return max(job_visible_at(remediation) - now, timedelta())


def is_too_early(remediation: Remediation, now: datetime) -> bool:
    """Whether a sync job came before its time: it is a repeat, or this host's clock is behind another's."""
    return job_delay(remediation, now) > _CLOCK_TOLERANCE


def waits_for_sweep_slot(remediation: Remediation, now: datetime) -> bool:
    """Whether nothing but its sweep slot keeps its first sync job back: no turn for a slot, no call made."""
    is_fresh = remediation.status is Status.QUEUED and remediation.slot_at is None and not remediation.deferrals
    return is_fresh and is_too_early(remediation, now)


def expects_job(remediation: Remediation, attempt: int) -> bool:
    """Whether a sync job for this attempt is still to be carried out; if not, the job is stale or a repeat."""
    return remediation.status is Status.QUEUED and remediation.attempt.number == attempt


def expedite(remediation: Remediation, now: datetime) -> Remediation:
    """Begin at once instead of at the sweep slot; its sync job is to be queued again."""
    return await_job(change_attempt(remediation, queued_at=now), now)


def resume(opening: Remediation, now: datetime) -> Remediation:
    """Begin now what a host opened and died before it was stored, unless its sweep slot lies ahead."""
    return opening if opening.attempt.queued_at > now else expedite(opening, now)


def job_lost(remediation: Remediation, now: datetime) -> Remediation:
    """Nobody answered for the sync job, and the queue has none so old: perhaps the call was made, so ask the instance.

    That ARM has not yet given a verdict on the call stays on record, so that asking does not begin anew.
    """
    lost = move(remediation, Status.VERIFYING, now, "no word of the sync job: asking the instance", due_at=now)
    return replace(lost, deferrals=remediation.deferrals)


def wait_in_queue(remediation: Remediation, now: datetime) -> Remediation:
    """The sync job still waits in a long queue: look after it again when it has waited as long once more."""
    waited = now - job_visible_at(remediation)
    return replace(remediation, due_at=now + min(max(waited, JOB_TIMEOUT), _MAX_JOB_WAIT))


def requeue(remediation: Remediation, now: datetime, state_before: str | None = None) -> Remediation:
    """The sync job was put into the queue once more, because it got lost; the instance may have been read meanwhile."""
    if state_before is not None:
        remediation = replace(remediation, protection_state_before=state_before)
    # A turn that it had is long past: others have had theirs since.
    return await_job(replace(remediation, slot_at=None), now)


def wait_in_queue_for_slot(remediation: Remediation, wait: Wait) -> Remediation:
    """A limit has no slot for its job now, which goes back to the queue until it may ask again."""
    return await_job(replace(remediation, slot_at=wait.turn), wait.until)


def hold(remediation: Remediation, until: datetime) -> Remediation:
    """Its instance is paused: the job goes back to the queue until then, and a turn that it had is given up."""
    return await_job(replace(remediation, slot_at=None), until)


def await_job(remediation: Remediation, not_before: datetime) -> Remediation:
    """A sync job is on its way, visible from then on; the due entry looks after it should it get lost."""
    return replace(remediation, not_before=not_before, due_at=not_before + JOB_TIMEOUT)
