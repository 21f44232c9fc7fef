"""Incidents: several instances that fail with the same code in the same vault within minutes. Pure.

What one of them needs, all of them need; so a few canaries go on as they would, and the others hold back their next
attempt until a canary is healed, or `CANARY_TIMEOUT` is over. Each of them knows by itself how long it holds, so that
nothing waits for a row that is lost.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.error_codes import ErrorClass, ErrorCodes, azure_code, same_code
from shared.domain.remediation import Remediation, id_prefix, opened_at_of
from shared.domain.resource_ids import fold

MIN_MEMBERS = 5
"""Failures that make an incident."""
WINDOW = timedelta(minutes=10)
"""Within which they fall."""
MAX_CANARIES = 3
MAX_AGE = timedelta(hours=24)
"""After which failures with the same code are an incident of their own."""
MAX_SPREAD = timedelta(seconds=30)
"""Within which the members are tried once one is healed."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Several instances with one cause."""

    id: str
    """As a remediation's id: when it was opened, and the key of code and vault."""
    canaries: tuple[str, ...]
    """Keys of instances."""
    members: int
    """How often an instance joined it."""

    @property
    def opened_at(self) -> datetime:
        """To the millisecond."""
        return opened_at_of(self.id)


@dataclass(frozen=True, slots=True)
class Tally:
    """The failures with one code in one vault."""

    recent: Mapping[str, datetime] = field(default_factory=dict)
    """Keys of instances that failed, and when; no more than `MIN_MEMBERS`."""
    incident: Incident | None = None
    """The open one."""


def key_of(failed: Remediation, error_codes: ErrorCodes) -> str | None:
    """The key of code and vault under which a failure counts: 16 hex digits; None if its code tells of no incident.

    Where Azure's fault passes, or a person mends a cause, it is likely one for all.
    """
    code = azure_code(failed.error)
    if code is None or error_codes.class_of(failed.error) not in (ErrorClass.TRANSIENT, ErrorClass.PERSON):
        return None
    cause = f"{same_code(code)}|{fold(str(failed.instance.vault_id))}"
    return hashlib.sha256(cause.encode()).hexdigest()[:16]


def key_before(healed: Remediation, error_codes: ErrorCodes) -> str | None:
    """The key under which its last failed attempt counted; None if none failed, or with no such code."""
    errors = [attempt.error for attempt in healed.attempts if attempt.error]
    return key_of(replace(healed, error=errors[-1]), error_codes) if errors else None


def count(tally: Tally, key: str, failures: Sequence[str], now: datetime) -> Tally:
    """The tally with failures of these instances, which may open an incident."""
    known = tally.incident if tally.incident and now - tally.incident.opened_at < MAX_AGE else None
    recent = {each: at for each, at in tally.recent.items() if now - at < WINDOW}
    news = [each for each in dict.fromkeys(failures) if each not in recent]
    recent |= dict.fromkeys(news, now)
    if known is None and len(recent) >= MIN_MEMBERS:
        canaries = (*recent,)[:MAX_CANARIES]
        known = Incident(f"{id_prefix(now)}-{key}", canaries, len(recent))
    elif known is not None:
        known = Incident(known.id, known.canaries, known.members + len(news))
    return Tally(dict([*recent.items()][-MIN_MEMBERS:]), known)


def join(failed: Remediation, incident: Incident) -> Remediation:
    """The failed remediation as a member."""
    is_new = failed.incident_id != incident.id
    is_canary = failed.instance.key in incident.canaries
    return replace(failed, incident_id=incident.id, is_canary=is_canary, is_held=False if is_new else failed.is_held)


def hold(waiting: Remediation, timeout: timedelta, next_delay: timedelta | None, now: datetime) -> Remediation | None:
    """A member whose attempt is due, as it holds it back: once for each incident, until the canaries' time is over.

    Args:
        next_delay: how long the retry delays would have it wait after that attempt: it holds no longer.

    Returns:
        None if it is to be tried now.
    """
    if waiting.incident_id is None or waiting.is_canary or waiting.is_held or next_delay is None:
        return None
    until = min(opened_at_of(waiting.incident_id) + timeout, now + next_delay)
    if until <= now:
        return None
    return replace(waiting, is_held=True, not_before=until, due_at=until)


def canaries_first(members: Iterable[Remediation]) -> set[str]:
    """The ids of those that are to be tried first after a repair: of each incident its canaries, if there are any."""
    members = list(members)
    with_canaries = {each.incident_id for each in members if each.is_canary}
    return {each.id for each in members if each.is_canary or each.incident_id not in with_canaries}
