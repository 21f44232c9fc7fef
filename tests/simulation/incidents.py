"""Invariants of incidents, seen from outside."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import msgspec

from shared.domain.incident import MAX_AGE, Incident, key_of
from shared.domain.remediation import Remediation
from tests.simulation.azure import Topic
from tests.support.memory_table import MemoryTable

INCIDENTS = "incidents"
"""Their partition."""
_MAX_OPEN = timedelta(minutes=30)
"""After nothing of its members is left to do: a quarter of an hour between two looks at an old one
(`healing.incident_watch`), the poll run that looks, and a clock that is behind."""


class IncidentRecord:
    """The incidents of a schedule: their rows, and what was told of them."""

    def __init__(self, table: MemoryTable, topic: Topic, violate: Callable[[str, object], None]) -> None:
        self._table = table
        self._topic = topic
        self._violate = violate
        self._known: dict[str, Incident] = {}
        self.calm_from: datetime | None = None
        """From when on nothing goes wrong; None if that is not known."""

    @property
    def has_attended(self) -> bool:
        """Whether there is a mark of one about which something is left to do."""
        return (self._table.first_key(INCIDENTS, "open:") or "").startswith("open:")

    def changed(self, row_key: str) -> None:
        """A row of their partition was written."""
        row = self._table.row(INCIDENTS, row_key)
        if row is None or not row_key.startswith("i:"):
            return
        incident = msgspec.json.decode(row["Document"], type=Incident)
        before = self._known.get(incident.id)
        self._known[incident.id] = incident
        if before is None:
            self._check_alone(incident)
        elif before.closed_at and before.closed_at != incident.closed_at:
            self._violate("an incident ends once", incident)

    def _check_alone(self, opened: Incident) -> None:
        """One is open for a cause at a time, for a day."""
        for other in self._known.values():
            is_open = other.closed_at is None and opened.opened_at - other.opened_at < MAX_AGE
            if other.id != opened.id and key_of(other.id) == key_of(opened.id) and is_open:
                self._violate("one incident for a cause", f"{opened.id} beside {other.id}")

    def check_all_over(self, known: Iterable[Remediation]) -> None:
        """Each that was opened is announced, and closed once none of its members needs anything."""
        known = list(known)
        needing, over_at = _needing(known), _over_at(known)
        for incident in self._known.values():
            if not incident.closed_at and not needing[incident.id]:
                self._violate("an incident without members that need anything is closed", incident)
            elif incident.closed_at:
                self._check_closed_soon(incident, over_at.get(incident.id))
            self._check_told(incident)

    def _check_closed_soon(self, closed: Incident, over_at: datetime | None) -> None:
        if over_at is None or self.calm_from is None or closed.closed_at is None:
            return
        if closed.closed_at - max(over_at, self.calm_from) > _MAX_OPEN:
            self._violate("an incident is closed soon", f"over at {over_at}: {closed}")

    def _check_told(self, incident: Incident) -> None:
        for event, is_wanted in (("opened", True), ("closed", incident.closed_at is not None)):
            told = self._topic.incidents.get(f"{incident.id}-{event}", [])
            if bool(told) != is_wanted:
                self._violate("an incident is announced as it is", f"{event} {len(told)} times: {incident}")
            elif any(each != told[0] for each in told):
                self._violate("an event that is repeated says the same", told)


def _over_at(known: Iterable[Remediation]) -> dict[str, datetime]:
    """By incident: when the last remediation of its members' instances ended."""
    ends: dict[str, datetime] = {}
    members: dict[str, set[str]] = defaultdict(set)
    for each in known:
        ended_at = each.ended_at or each.opened_at
        ends[each.instance.key] = max(ends.get(each.instance.key, ended_at), ended_at)
        if each.incident_id:
            members[each.incident_id].add(each.instance.key)
    return {incident_id: max(ends[key] for key in keys) for incident_id, keys in members.items()}


def _needing(known: Iterable[Remediation]) -> dict[str, list[str]]:
    """By incident: its members that are being healed, or whose instances need a person."""
    # Ids count down with time: the last one is the newest.
    members = sorted(known, key=lambda each: each.id, reverse=True)
    latest = {each.instance.key: each for each in members}
    needing: dict[str, list[str]] = defaultdict(list)
    for each in members:
        if each.incident_id is None:
            continue
        last = latest[each.instance.key]
        is_unhealed = each.status.is_unhealed and not each.status.is_healing
        needs_person = is_unhealed and last.attention is not None and not last.status.is_healed
        if each.status.is_healing or needs_person:
            needing[each.incident_id].append(each.id)
    return needing
