"""The digest is made once, whichever hosts run and die, and covers all time."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import AzureError

from shared.domain.notice import Notice
from shared.domain.remediation import Remediation
from shared.domain.summary import Summary
from shared.healing.digest import MIN_INTERVAL, DigestWriter
from shared.settings import Settings
from shared.storage.notice_outbox import NoticeOutbox
from tests.support.clock import Clock
from tests.support.memory_table import MemoryTable


class Killed(BaseException):
    """The process dies."""


class Reader:
    """Of an app that did nothing; something may happen while it reads."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None

    def summaries(self, since: object) -> list[Summary]:
        self.meanwhile()
        return []

    def load(self, ids: Sequence[str]) -> Sequence[Remediation]:
        return []


class World:
    """Hosts that share storage and a clock."""

    def __init__(self) -> None:
        self.clock, self.reader, self.table = Clock(), Reader(), MemoryTable()

    @property
    def outbox(self) -> NoticeOutbox:
        table: Any = self.table
        return NoticeOutbox(table, self.clock)

    def host(self) -> DigestWriter:
        reader: Any = self.reader
        return DigestWriter(
            outbox=self.outbox,
            reader=lambda: reader,
            policy=Settings().policy(),
            recovery_timeout=timedelta(days=1),
            retention_days=90,
            now=self.clock,
        )

    def made(self) -> list[Notice]:
        return self.outbox.due(100)


@pytest.fixture
def world() -> World:
    return World()


def test_each_digest_covers_the_time_since_the_one_before(world: World) -> None:
    for _ in range(3):
        world.host().run()
        world.clock.advance(hours=30)
    periods = [each.digest for each in world.made() if each.digest]
    assert [later.since for later in periods[1:]] == [each.until for each in periods[:-1]]
    assert periods[0].until - periods[0].since == timedelta(days=1)


def test_a_timer_that_runs_again_makes_no_second_digest(world: World) -> None:
    world.host().run()
    world.clock.advance(minutes=MIN_INTERVAL.total_seconds() / 60 - 1)
    world.host().run()
    assert len(world.made()) == 1


def test_of_two_hosts_at_once_one_makes_it(world: World) -> None:
    world.host().run()
    world.clock.advance(days=1)

    def other_host() -> None:
        world.reader.meanwhile = lambda: None
        world.clock.advance(seconds=1)
        world.host().run()

    world.reader.meanwhile = other_host
    world.host().run()
    assert len(world.made()) == 2


def test_of_two_hosts_at_once_one_makes_the_first(world: World) -> None:
    def other_host() -> None:
        world.reader.meanwhile = lambda: None
        world.clock.advance(seconds=1)
        world.host().run()

    world.reader.meanwhile = other_host
    world.host().run()
    assert len(world.made()) == 1


@pytest.mark.parametrize("boundary", range(8))
def test_a_host_that_dies_anywhere_leaves_one_digest_once_the_timer_runs_again(world: World, boundary: int) -> None:
    world.host().run()
    world.clock.advance(days=1)
    passed = iter(range(100))

    def die_there() -> None:
        if next(passed) == boundary:
            raise Killed

    world.table._boundary = die_there
    try:
        world.host().run()
    except Killed:
        world.table._boundary = lambda: None
        world.clock.advance(minutes=5)
        world.host().run()
    world.table._boundary = lambda: None
    assert len(world.made()) == 2


def test_what_storage_refused_is_covered_by_the_next_digest(world: World) -> None:
    world.host().run()
    world.clock.advance(days=1)
    world.table.unwritable = {"notices"}
    with pytest.raises(AzureError):
        world.host().run()
    world.table.unwritable = set()
    world.clock.advance(days=1)
    world.host().run()
    assert [each.digest.until - each.digest.since for each in world.made() if each.digest] == [
        timedelta(days=1),
        timedelta(days=2),
    ]


@pytest.mark.parametrize("at", ["", "soon", "9999-12-31T23:59:59Z"])
def test_a_time_that_nobody_can_have_written_keeps_no_digest_from_being_made(world: World, at: str) -> None:
    world.table.upsert_entity({"PartitionKey": "notices", "RowKey": "digest", "At": at})
    world.host().run()
    assert len(world.made()) == 1
