"""Sealing: each day's outcomes once, whatever runs twice, late, or not at all."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import cast

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.data.tables import TableClient
from msgspec.structs import replace

from shared.domain.remediation import Remediation
from shared.domain.report import Outcome, Period, outcomes_of, within
from shared.healing.sealing import Sealing
from shared.storage.seal_store import SealStore
from tests.support.clock import Clock
from tests.support.memory_table import MemoryTable
from tests.support.remediations import NOW, healed

TODAY = NOW.date()
DAY = timedelta(days=1)


class World:
    """A host with its storage, at noon of the day of `NOW`."""

    def __init__(self, *kept: Remediation) -> None:
        self.clock, self.kept, self.is_down = Clock(), list(kept), False
        self.clock.advance(hours=9)
        self.table = MemoryTable()
        self.seals = SealStore(cast(TableClient, self.table), self.clock)

    def run(self) -> None:
        Sealing(self.outcomes, self.seals, self.clock).run()

    def outcomes(self, period: Period) -> Sequence[Outcome]:
        if self.is_down:
            raise ServiceRequestError("storage is away")
        return within(period, [outcome for each in self.kept for outcome in outcomes_of(each)])

    def days(self) -> dict[date, int]:
        return {each.day: each.count for each in self.seals.between(TODAY - 9 * DAY, TODAY + 9 * DAY)}


def ended(days_ago: int) -> Remediation:
    return replace(healed(), ended_at=NOW - days_ago * DAY)


def test_given_no_seal_when_it_runs_then_yesterday_is_sealed() -> None:
    world = World(ended(0), ended(1), ended(2))
    world.run()
    assert world.days() == {TODAY - DAY: 1}


def test_given_an_hour_after_midnight_when_it_runs_then_yesterday_may_still_grow() -> None:
    world = World(ended(1))
    world.clock.advance(hours=-11)
    world.run()
    assert world.days() == {TODAY - 2 * DAY: 0}


def test_given_days_on_which_nothing_ran_when_it_runs_then_each_is_sealed() -> None:
    world = World(*(ended(-days) for days in range(4)))
    for days in (0, 4):
        world.clock.advance(days=days)
        world.run()
    assert world.days() == {TODAY - DAY: 0, **{TODAY + number * DAY: 1 for number in range(4)}}


def test_given_a_sealed_day_when_it_runs_again_then_the_seal_stays() -> None:
    world = World(ended(1))
    world.run()
    world.kept.append(ended(1))
    world.run()
    assert world.days() == {TODAY - DAY: 1}


def test_given_two_hosts_that_seal_a_day_then_the_first_seal_stays_and_both_go_on_from_it() -> None:
    world = World(ended(1))
    world.run()
    [first] = world.seals.between(TODAY - DAY, TODAY)
    assert world.seals.add(type(first)(first.day, 7, first.previous_hash, "f" * 64)) == first


def test_given_a_seal_when_the_next_day_is_sealed_then_it_goes_on_from_it() -> None:
    world = World(ended(1), ended(0))
    world.run()
    world.clock.advance(days=1)
    world.run()
    before, after = world.seals.between(TODAY - DAY, TODAY + DAY)
    assert after.previous_hash == before.hash


def test_given_storage_that_is_away_when_it_runs_then_nothing_is_raised_and_the_next_run_seals() -> None:
    world = World(ended(1))
    world.is_down = True
    world.run()
    assert world.days() == {}
    world.is_down = False
    world.run()
    assert world.days() == {TODAY - DAY: 1}


@pytest.mark.parametrize("columns", [{}, {"Count": "many", "PreviousHash": "", "Hash": ""}])
def test_given_a_seal_that_cannot_be_read_when_it_runs_then_it_ends(columns: dict[str, str]) -> None:
    world = World(ended(1))
    world.table.upsert_entity({"PartitionKey": "seals", "RowKey": f"{TODAY - DAY}", **columns})
    world.run()
    assert world.days() == {}
