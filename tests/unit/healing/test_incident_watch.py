"""The look whether an incident is over takes a poll run no longer than seconds, however many members it has."""

from datetime import datetime, timedelta
from typing import Any, cast
from unittest.mock import Mock

from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableClient
from msgspec.structs import replace

from shared.domain.incident import MIN_MEMBERS, Incident, IncidentEvent
from shared.domain.incident_cause import Cause, ScopeKind
from shared.domain.remediation import new_id
from shared.healing.incident_watch import IncidentWatch
from shared.storage.remediation_list import Filters, Page, RemediationReader
from tests.support.clock import Clock
from tests.support.memory_store import MemoryStore
from tests.support.remediations import INSTANCE, NOW, healed, instance_named, queued, rejected

KNOWN = Incident(
    id=new_id(INSTANCE, NOW),
    code="UserErrorMissingRole",
    scope_kind=ScopeKind.VAULT,
    scope=str(INSTANCE.vault_id),
    canaries=(),
    founders=(),
    members=10_000,
    earliest_at=NOW - timedelta(minutes=5),
    joined_at=NOW - timedelta(minutes=5),
    announced=IncidentEvent.OPENED,
)
PAGES = 10


class World:
    """An incident with ten pages of members that ended unhealed, and whose instances need nobody any more."""

    def __init__(self) -> None:
        self.clock, self.incident, self.asked = Clock(), KNOWN, 0
        self.is_closed = False
        store = Mock()
        store.incidents.attended = lambda: [Mock(incident=self.incident)]
        store.incidents.load = lambda _: Mock(incident=self.incident)
        store.incidents.save = self._save
        store.latest_pointer = lambda _: None
        self.watch = IncidentWatch(store, Mock(page=self._page), Mock(), None, self.clock, lambda: 0.0)

    def _save(self, _: object, after: Incident) -> Any:
        self.is_closed = after.closed_at is not None
        return Mock(incident=replace(after, announced=IncidentEvent.CLOSED))

    def _page(self, filters: Filters, top: int, after: str | None) -> Page:
        if any(status.is_healing for status in filters.statuses):
            return Page((), None)
        self.clock.advance(seconds=1)
        self.asked += 1
        number = int(after or 0) + 1
        return Page((Mock(remediation=rejected()),), str(number) if number < PAGES else None)

    def run(self) -> None:
        self.clock.advance(minutes=16)
        self.watch.run()


def test_a_look_at_thousands_goes_on_in_the_next_run_where_it_ended() -> None:
    world = World()
    world.run()
    assert (world.asked < PAGES, world.is_closed) == (True, False)
    for _ in range(2):
        world.run()
    assert (world.asked, world.is_closed) == (PAGES, True)


def test_a_look_begins_anew_where_one_more_has_joined() -> None:
    world = World()
    world.run()
    joined_at: datetime = world.clock.now
    world.incident = replace(KNOWN, joined_at=joined_at)
    for _ in range(3):
        world.run()
    assert (world.asked > PAGES, world.is_closed) == (True, True)


def test_founders_are_known_until_the_heal_of_one_has_released_the_members() -> None:
    store, clock = MemoryStore(now=lambda: NOW), Clock()
    store.save(store.open(queued(), None), healed())
    others = [new_id(instance_named(f"bi-{number}"), NOW) for number in range(MIN_MEMBERS)]
    cause = Cause("UserErrorMissingRole", ScopeKind.VAULT, str(INSTANCE.vault_id))
    store.incidents.count([cause], [queued().id, *others])
    incidents = Mock(member=lambda founder, _: founder)
    incidents.release_members.side_effect = [HttpResponseError("no storage"), None]
    reader = RemediationReader(cast(TableClient, store.table), store, clock)
    watch = IncidentWatch(store, reader, incidents, None, clock, lambda: 0.0)
    for _ in range(3):
        watch.run()
    assert incidents.release_members.call_count == 2
