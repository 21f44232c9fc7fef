"""Attends to incidents that are not over, in each poll run: their founders, their announcements, their end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError

from shared import logs
from shared.clients.outcome_topic import PublishFailed
from shared.domain import incident
from shared.domain.incident import Incident
from shared.domain.remediation import Status
from shared.domain.remediation_json import CorruptDocument
from shared.healing.incidents import Incidents
from shared.healing.ports import Topic
from shared.storage.incident_store import StoredIncident
from shared.storage.remediation_list import Filters, RemediationReader
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import Stored

_TIMEOUT = timedelta(seconds=10)
"""For all incidents of a run; what is not reached is left to the next one."""
_LOOK_TIMEOUT = timedelta(seconds=3)
"""For one incident's members: while their instances are asked about, nothing is polled."""
_UNHEALED_BATCH = 50
_MIN_LOOK_INTERVAL, _MAX_LOOK_INTERVAL = timedelta(minutes=1), timedelta(minutes=15)
"""Between two looks whether an incident is over: the longer it lasts, the longer."""
_HEALING = frozenset(status for status in Status if status.is_healing)
_UNHEALED = frozenset(status for status in Status if status.is_unhealed and not status.is_healed)


@dataclass(frozen=True, slots=True)
class IncidentWatch:
    """Each step may run twice, late, or on two hosts at once; one that is cut off is taken up by the next run."""

    store: RemediationStore
    reader: RemediationReader
    incidents: Incidents
    topic: Topic | None
    now: Callable[[], datetime]
    random: Callable[[], float]
    _look_at: dict[str, datetime] = field(default_factory=dict, init=False)
    """When to look next whether an incident is over, by its id: of this process, as a look too many does no harm."""
    _places: dict[str, tuple[datetime, str]] = field(default_factory=dict, init=False)
    """Where the next look at an incident's members goes on, by its id, if none has joined since that time."""

    def run(self) -> None:
        """Attend to each; one that fails keeps no other from it."""
        deadline = self.now() + _TIMEOUT
        try:
            attended = self.store.incidents.attended()
        except AzureError as failure:
            logs.warning("incidents.unreadable", reason=logs.describe_exception(failure))
            return
        topic_is_down = False
        for stored in attended:
            if self.now() > deadline:
                return
            try:
                topic_is_down = self._attend(stored, topic_is_down) or topic_is_down
            except Exception as failure:  # also what nobody foresaw is about this one alone
                reason = logs.describe_exception(failure)
                logs.warning("incident.not_attended", incidentId=stored.incident.id, reason=reason)

    def _attend(self, stored: StoredIncident, topic_is_down: bool) -> bool:
        """Returns whether the topic was found not to take anything now."""
        # First, while the founders are known: what tells of them alone is not sent any more.
        topic_is_down = topic_is_down or not self._announce(stored)
        self._admit_founders(stored.incident.id)
        closed = self._close(stored.incident.id)
        return topic_is_down or (closed is not None and not self._announce(closed))

    def _announce(self, stored: StoredIncident) -> bool:
        """Announce its next event, if that is due; whether the topic takes anything."""
        known, event = stored.incident, stored.incident.news
        if event is None or (known.announce_at and known.announce_at > self.now()):
            return True
        try:
            if self.topic:
                self.topic.publish_incident(known, event)
        except PublishFailed as failure:
            logs.warning("incident.not_published", incidentId=known.id, type=event, reason=str(failure))
            self._put_off(stored)
            return failure.in_parts
        except Exception as failure:  # its event cannot be made, which says nothing about the topic
            reason = logs.describe_exception(failure)
            logs.error("incident.not_published", incidentId=known.id, type=event, reason=reason)
            self._put_off(stored)
            return True
        logs.info("incident.published", incidentId=known.id, type=event)
        self.store.incidents.change(known.id, lambda current: incident.on_announced(current, event))
        return True

    def _put_off(self, stored: StoredIncident) -> None:
        """Announce its next event later, after a back-off."""
        later = incident.on_announce_failed(stored.incident, self.now(), self.random())
        self.store.incidents.save(stored, later)

    def _admit_founders(self, incident_id: str) -> None:
        """Make those members whose failures opened it: they failed before it was known."""
        stored = self.store.incidents.load(incident_id)
        if stored is None or not stored.incident.founders:
            return
        is_repaired = False
        for founder in stored.incident.founders:
            try:
                found = self.store.load(founder)
            except CorruptDocument:
                continue  # reported by whoever polls it
            if found is not None:
                self._admit(found, stored)
                is_repaired = is_repaired or incident.proves_repair(found.remediation)
        if is_repaired:
            self.incidents.release_members(incident_id)
        # Last: as long as they are known, the next run does again what has failed in this one.
        self.store.incidents.change(incident_id, incident.without_founders)

    def _admit(self, founder: Stored, stored: StoredIncident) -> None:
        if founder.remediation.incident_id is None:
            self.store.save(founder, self.incidents.member(founder.remediation, stored.incident))

    def _close(self, incident_id: str) -> StoredIncident | None:
        """Close it if none of its members is being healed or needs a person; returns it if this has closed it."""
        # Read before its members: who joins meanwhile changes it.
        stored = self.store.incidents.load(incident_id)
        now = self.now()
        if stored is None or not incident.may_be_over(stored.incident, now):
            return None
        if self._look_at.get(incident_id, now) > now:
            return None
        if self._is_needed(stored):
            age = now - stored.incident.opened_at
            self._look_at[incident_id] = now + min(max(_MIN_LOOK_INTERVAL, age / 20), _MAX_LOOK_INTERVAL)
            return None
        self._look_at.pop(incident_id, None)
        closed = self.store.incidents.save(stored, incident.close(stored.incident, now))
        logs.info("incident.closed", incidentId=incident_id, members=closed.incident.members)
        return closed

    def _is_needed(self, stored: StoredIncident) -> bool:
        known = stored.incident
        healing = Filters(statuses=_HEALING, since=known.earliest_at, incident_id=known.id)
        unhealed = Filters(statuses=_UNHEALED, since=known.earliest_at, incident_id=known.id)
        return self._has_any(healing) or self._any_needs_person(known, unhealed)

    def _has_any(self, filters: Filters) -> bool:
        after: str | None = None
        while True:
            page = self.reader.page(filters, 1, after)
            if page.items or page.after is None:
                return bool(page.items)
            after = page.after

    def _any_needs_person(self, known: Incident, unhealed: Filters) -> bool:
        """Whether any instance does, or may: of thousands, so many are asked about as there is time for in one run."""
        deadline = self.now() + _LOOK_TIMEOUT
        joined_at, after = self._places.pop(known.id, (known.joined_at, None))
        after = after if joined_at == known.joined_at else None
        while True:
            page = self.reader.page(unhealed, _UNHEALED_BATCH, after)
            if any(map(self._needs_person, page.items)):
                return True
            if page.after is None:
                return False
            after = page.after
            if self.now() > deadline:
                self._places[known.id] = (known.joined_at, after)
                return True

    def _needs_person(self, unhealed: Stored) -> bool:
        """Whether its instance still does; a later remediation may have healed it."""
        pointer = self.store.latest_pointer(unhealed.remediation.instance)
        try:
            latest = self.store.load(pointer.remediation_id) if pointer else None
        except CorruptDocument:
            return False
        if latest is None or latest.remediation.attention is None:
            return False
        return not latest.remediation.status.is_healed
