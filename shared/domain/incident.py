"""Incidents: several instances that fail for the same cause within minutes. Pure.

What one of them needs, all of them need; so a few canaries go on as they would, and the others hold back their next
attempt until a member is healed, or `CANARY_TIMEOUT` is over. Each of them knows by itself how long it holds, so that
nothing waits for a row that is lost. An incident is over once none of its members is being healed, or needs a person.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct, to_builtins
from msgspec.structs import replace

from shared.clock import to_iso
from shared.domain.back_off import MAX_PUBLISH_BACK_OFF, back_off
from shared.domain.document_fields import Time
from shared.domain.error_codes import ErrorCodes
from shared.domain.incident_cause import Cause, ScopeKind
from shared.domain.remediation import Remediation, Resolution, Status, id_prefix, instance_key_of, opened_at_of
from shared.domain.remedy import next_step_of_code
from shared.domain.resource_ids import BackupInstanceId, fold

MIN_MEMBERS = 5
"""Failures that make an incident."""
WINDOW = timedelta(minutes=10)
"""Within which they fall."""
MAX_CANARIES = 3
MAX_AGE = timedelta(hours=24)
"""After which failures for the same cause are an incident of their own."""
MAX_SPREAD = timedelta(seconds=30)
"""Within which the members are tried once one is healed."""
MAX_NEWEST = 100
"""Members that an incident knows by their ids: three times as many as are counted at once."""
SETTLING_TIME = timedelta(minutes=1)
"""After the last one joined, before it may be over: who has just been counted is stored a moment later."""


class IncidentEvent(StrEnum):
    """The events of an incident, in their order."""

    OPENED = "Opened"
    CLOSED = "Closed"


class IncidentStatus(StrEnum):
    """Whether an incident lasts."""

    OPEN = "Open"
    CLOSED = "Closed"


class Incident(Struct, frozen=True, kw_only=True, rename="camel"):
    """Several instances with one cause, as storage keeps it."""

    id: str
    """As a remediation's id: when it was opened, and the key of its cause."""
    code: str
    scope_kind: ScopeKind
    scope: str
    """An ARM id, or the URL of a key vault."""
    canaries: tuple[str, ...]
    """Keys of instances."""
    founders: tuple[str, ...]
    """Ids of the remediations whose failures opened it, until they are members on their own record."""
    members: Annotated[int, Meta(ge=1)]
    """How often a remediation failed into it."""
    opened_with: Annotated[int, Meta(ge=1)] | None = None
    """How many failures opened it; None where an earlier version of the app did."""
    earliest_at: Time
    """When the earliest remediation among its members was opened."""
    joined_at: Time
    """When the last member joined."""
    newest: tuple[str, ...] = ()
    """Ids of the remediations that joined last: whose count got lost on its way back is not counted again."""
    released_at: Time | None = None
    """When the first member was healed: from then on none holds an attempt back."""
    closed_at: Time | None = None
    announced: IncidentEvent | None = None
    """The latest event that was announced."""
    announce_at: Time | None = None
    """When the next event is to be announced, after a failure."""
    failures: int = 0
    """To announce it, in a row."""

    @property
    def opened_at(self) -> datetime:
        """To the millisecond."""
        return opened_at_of(self.id)

    @property
    def status(self) -> IncidentStatus:
        """Whether it lasts."""
        return IncidentStatus.CLOSED if self.closed_at else IncidentStatus.OPEN

    @property
    def news(self) -> IncidentEvent | None:
        """The event that is to be announced next."""
        if self.announced is None:
            return IncidentEvent.OPENED
        return IncidentEvent.CLOSED if self.closed_at and self.announced is IncidentEvent.OPENED else None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do about it."""
        return self.closed_at is not None and self.news is None and not self.founders


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of one remediation, as a cause counts it."""

    at: datetime
    keys: tuple[str, ...]
    """Of all causes under which it counts."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The failures for one cause."""

    recent: Mapping[str, Failure] = field(default_factory=dict)
    """By remediation id; no more than `MIN_MEMBERS`."""
    incident_id: str | None = None
    """The latest one of this cause."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Some failures were counted."""

    tallies: Mapping[str, Tally]
    """Those that are changed, by the key of their cause."""
    incident: Incident | None = None
    """The one to which the failures belong."""
    is_new: bool = False


def count(
    tallies: Mapping[str, Tally],
    incidents: Mapping[str, Incident],
    causes: Sequence[Cause],
    failures: Sequence[str],
    now: datetime,
) -> Counted:
    """Count failures of the same causes: under an open incident of theirs, the narrowest, or until they open one.

    Args:
        tallies: of all causes, by key.
        incidents: that the tallies name, by id.
        causes: the narrowest first.
        failures: ids of remediations.
    """
    for cause in causes:
        known = incidents.get(tallies[cause.key].incident_id or "")
        if known and known.closed_at is None and now - known.opened_at < MAX_AGE:
            return Counted({}, _joined(known, failures, now))
    keys = tuple(cause.key for cause in causes)
    counted = {key: _with_failures(tallies[key], failures, keys, now) for key in keys}
    for cause in causes:
        recent = counted[cause.key].recent
        if len(recent) >= MIN_MEMBERS:
            opened = _opened(cause, tuple(recent), now)
            counted[cause.key] = Tally(recent, opened.id)
            return Counted(without(counted, opened), opened, is_new=True)
    return Counted({key: Tally(_newest(tally.recent), tally.incident_id) for key, tally in counted.items()})


def without(tallies: Mapping[str, Tally], opened: Incident) -> dict[str, Tally]:
    """The tallies, among them its own: who belongs to an incident counts for no other."""
    founders = frozenset(opened.founders)
    return {
        key: Tally({each: failure for each, failure in tally.recent.items() if each not in founders}, tally.incident_id)
        for key, tally in tallies.items()
    }


def _with_failures(tally: Tally, failures: Sequence[str], keys: tuple[str, ...], now: datetime) -> Tally:
    recent = {each: failure for each, failure in tally.recent.items() if now - failure.at < WINDOW}
    instances = {instance_key_of(each) for each in recent}
    for each in failures:
        if instance_key_of(each) not in instances:
            recent[each] = Failure(now, keys)
            instances.add(instance_key_of(each))
    return Tally(recent, tally.incident_id)


def _newest(recent: Mapping[str, Failure]) -> dict[str, Failure]:
    return dict([*recent.items()][-MIN_MEMBERS:])


def _opened(cause: Cause, founders: tuple[str, ...], now: datetime) -> Incident:
    return Incident(
        id=f"{id_prefix(now)}-{cause.key}",
        code=cause.code,
        scope_kind=cause.scope_kind,
        scope=cause.scope,
        canaries=tuple(map(instance_key_of, founders[:MAX_CANARIES])),
        founders=founders,
        members=len(founders),
        opened_with=len(founders),
        earliest_at=min(map(opened_at_of, founders)),
        joined_at=now,
    )


def _joined(known: Incident, failures: Sequence[str], now: datetime) -> Incident:
    """The incident with these members, too; those that it has already are about to be stored once more."""
    added = [each for each in failures if each not in known.newest and each not in known.founders]
    return replace(
        known,
        members=known.members + len(added),
        earliest_at=min(known.earliest_at, *map(opened_at_of, failures)),
        joined_at=now,
        newest=(*added, *known.newest)[:MAX_NEWEST],
    )


def is_counted(failed: Remediation, causes: Iterable[Cause]) -> bool:
    """Whether it is a member for one of these causes since an earlier failure."""
    has_failed_before = failed.attempt.number > 1
    return has_failed_before and failed.incident_id is not None and key_of(failed.incident_id) in keys_of(causes)


def leave(failed: Remediation, causes: Iterable[Cause]) -> Remediation:
    """Who fails for another cause is no member any more."""
    if failed.incident_id is None or key_of(failed.incident_id) in keys_of(causes):
        return failed
    return replace(failed, incident_id=None, is_canary=False)


def key_of(incident_id: str) -> str:
    """The key of the incident's cause."""
    return incident_id.rpartition("-")[2]


def keys_of(causes: Iterable[Cause]) -> frozenset[str]:
    """The keys of causes."""
    return frozenset(cause.key for cause in causes)


def join(
    failed: Remediation, incident: Incident, timeout: timedelta, next_delay: timedelta | None, now: datetime
) -> Remediation:
    """The failed remediation as a member; if it is no canary, it holds its next attempt back.

    It does so once, until the canaries' time is over, and no longer than the retry delays would have it wait after
    that attempt.

    Args:
        timeout: of the canaries.
        next_delay: what the retry delays have after the next attempt; None if that is the last one, which is not held.
    """
    if failed.incident_id == incident.id:
        return failed
    is_canary = failed.instance.key in incident.canaries
    member = replace(failed, incident_id=incident.id, is_canary=is_canary, held_until=None)
    retry_at = failed.not_before
    is_free = is_canary or incident.released_at is not None or failed.status is not Status.WAITING_TO_RETRY
    if is_free or retry_at is None or next_delay is None:
        return member
    until = min(incident.opened_at + timeout, retry_at + next_delay)
    if until <= max(retry_at, now):
        return member
    # An announcement may be due before that.
    due_at = until if failed.due_at == retry_at else failed.due_at
    return replace(member, held_until=until, not_before=until, due_at=due_at)


def without_founders(incident: Incident) -> Incident:
    """The founders are members on their own record."""
    return replace(incident, founders=())


def holds_first_attempts(known: Incident, instance: BackupInstanceId, timeout: timedelta, now: datetime) -> bool:
    """Whether a new signal for this instance is likely one more for the same cause, and canaries are being tried.

    All that is known of it is its id: so it counts for its vault, and for the subscription that this is in. Which
    resource it needs besides, only a failure says.
    """
    if known.closed_at or known.released_at or now >= known.opened_at + timeout:
        return False
    scopes = {
        ScopeKind.VAULT: str(instance.vault_id),
        ScopeKind.SUBSCRIPTION: f"/subscriptions/{instance.subscription_id}",
    }
    return fold(scopes.get(known.scope_kind, "")) == fold(known.scope)


def proves_repair(healed: Remediation) -> bool:
    """Whether it is healed, and was not well already."""
    return healed.status.is_healed and healed.resolution is not Resolution.NOTHING_TO_REPAIR


def release(incident: Incident, now: datetime) -> Incident | None:
    """A member is healed; None if it is not the first, or the incident is over: how that was is told already."""
    return None if incident.released_at or incident.closed_at else replace(incident, released_at=now)


def may_be_over(incident: Incident, now: datetime) -> bool:
    """Whether it is worth looking whether all members are done."""
    return incident.closed_at is None and not incident.founders and now - incident.joined_at >= SETTLING_TIME


def close(incident: Incident, now: datetime) -> Incident:
    """None of its members is being healed or needs a person."""
    return replace(incident, closed_at=now)


def on_announced(incident: Incident, event: IncidentEvent) -> Incident | None:
    """The event was taken; None if that is known."""
    if incident.news is not event:
        return None
    return replace(incident, announced=event, announce_at=None, failures=0)


def on_announce_failed(incident: Incident, now: datetime, jitter: float) -> Incident:
    """The event could not be delivered; it is tried again after a back-off."""
    announce_at = now + back_off(incident.failures, jitter, MAX_PUBLISH_BACK_OFF)
    return replace(incident, announce_at=announce_at, failures=incident.failures + 1)


def canaries_first(members: Iterable[Remediation]) -> set[str]:
    """The ids of those that are to be tried first after a repair: of each incident its canaries, if there are any."""
    members = list(members)
    with_canaries = {each.incident_id for each in members if each.is_canary}
    return {each.id for each in members if each.is_canary or each.incident_id not in with_canaries}


def event_id(incident: Incident, event: IncidentEvent) -> str:
    """The id of the event, and of the notice that tells the same."""
    return f"{incident.id}-{event.lower()}"


def as_told(incident: Incident, event: IncidentEvent) -> Incident:
    """The incident as its event has it: as it was then, however late the event is, and as often as it is repeated."""
    if event is IncidentEvent.CLOSED:
        return incident
    return replace(incident, members=incident.opened_with or incident.members, released_at=None, closed_at=None)


def shown_incident(incident: Incident, error_codes: ErrorCodes) -> dict[str, Any]:
    """The document as API and event show it."""
    step = next_step_of_code(incident.code, error_codes)
    return {
        "id": incident.id,
        "status": incident.status.value,
        "code": incident.code,
        "scopeKind": incident.scope_kind.value,
        "scope": incident.scope,
        "members": incident.members,
        "openedAt": to_iso(incident.opened_at),
        "releasedAt": to_iso(incident.released_at) if incident.released_at else None,
        "closedAt": to_iso(incident.closed_at) if incident.closed_at else None,
        "nextStep": to_builtins(step) if step and not incident.closed_at else None,
    }
