"""Wake: a repair brings forward what waits for it, at the cost of one read where nothing does."""

import json
from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from shared.domain import arm_results, wake
from shared.domain.arm_scope import read_scope
from shared.domain.remediation import Remediation, Status
from shared.domain.repair import Repair
from tests.support.memory_azure import MemoryApp
from tests.support.memory_table import nothing
from tests.support.remediations import ERROR, INSTANCE

VAULT = str(INSTANCE.vault_id)
SUBSCRIPTION = f"/subscriptions/{INSTANCE.subscription_id}"
DATASOURCE = f"{SUBSCRIPTION}/resourceGroups/data/providers/Microsoft.Compute/disks/d"
DELAY = timedelta(minutes=2)
LADDER = (timedelta(minutes=30), timedelta(hours=6))


class App(MemoryApp):
    """An app whose instances lack a role, until it is granted."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(retry_delays=LADDER, **settings)
        self.requests = 0
        self.store.table._boundary = self._count
        self.arm.polled = arm_results.OperationFailed("Failed", ERROR)

    def fail(self, *names: str) -> list[Remediation]:
        """These have failed, and their first attempts, too."""
        started = [self.start(name) for name in names]
        self.clock.advance(seconds=1)
        self.host.poller.run()
        assert {self.now(each).status for each in started} == {Status.WAITING_TO_RETRY}
        return started

    def repair(self, scope: str = VAULT, acts_below: bool = True) -> int:
        """A role was assigned there; returns how many it has woken."""
        read = read_scope(scope)
        assert read is not None
        return self.host.wake.run(Repair(read, acts_below, "roleAssignments/write", self.clock()))

    def _count(self) -> None:
        self.requests += 1


def test_what_waits_is_tried_two_minutes_after_the_repair_and_healed() -> None:
    app = App()
    (failed,) = app.fail("bi")
    app.clock.advance(minutes=3)
    app.arm.polled = arm_results.OperationSucceeded("job")
    assert app.repair() == 1
    assert app.now(failed).due_at == app.clock() + DELAY
    app.clock.advance(minutes=2)
    app.host.poller.run()
    assert app.now(failed).status is Status.QUEUED
    job, _ = app.jobs.sent[-1]
    app.host.submit.run(job.to_message())
    app.clock.advance(seconds=1)
    app.host.poller.run()
    assert (app.now(failed).status, app.now(failed).attempt.number) == (Status.HEALED, 2)


@pytest.mark.parametrize("scope", [f"{SUBSCRIPTION}/resourceGroups/other", "/subscriptions/" + "0" * 8 + VAULT[23:51]])
def test_a_repair_somewhere_else_costs_one_read(scope: str) -> None:
    app = App()
    app.fail("bi")
    app.requests = 0
    assert app.repair(scope) == 0
    assert app.requests == 1


def test_where_nothing_waits_a_repair_costs_one_read() -> None:
    app = App()
    assert app.repair() == 0
    assert app.requests == 1


def test_what_is_past_waits_no_more() -> None:
    app = App()
    app.fail("bi")
    app.clock.advance(hours=2)
    app.requests = 0
    app.repair()
    assert app.requests == 1


def test_the_datasource_is_known_once_the_instance_was_read() -> None:
    app = App()
    app.arm.polled = arm_results.OperationSucceeded("job")
    app.arm.instance = arm_results.InstanceRead(
        "ProtectionError", ERROR, DATASOURCE, f"{SUBSCRIPTION}/resourceGroups/s"
    )
    (failed,) = app.fail("bi")
    assert app.now(failed).datasource_id == DATASOURCE
    assert app.repair(DATASOURCE, acts_below=False) == 1


def test_a_repair_that_is_told_twice_wakes_once() -> None:
    app = App()
    app.fail("bi")
    assert [app.repair(), app.repair()] == [1, 0]


def test_many_are_woken_in_a_few_transactions() -> None:
    app = App()
    app.fail(*(f"bi-{number}" for number in range(50)))
    app.requests = 0
    assert app.repair(SUBSCRIPTION) == 50
    assert app.requests < 60


def test_who_is_changed_meanwhile_is_woken_all_the_same() -> None:
    app = App()
    (failed,) = app.fail("bi")
    steps = iter(range(99))

    def meddle() -> None:
        # The reads are over; the wake is about to be stored.
        if next(steps) == 8:
            app.store.table._boundary = nothing
            app.accept("bi")

    app.store.table._boundary = meddle
    assert app.repair() == 1
    assert (app.now(failed).signals, app.now(failed).wakes) == (2, 1)


@pytest.mark.parametrize("row", [None, {"Groups": "junk"}, {}, {"Groups": "[5]"}, {"Groups": '{"testrg":"x"}'}])
def test_a_row_that_is_lost_or_damaged_leaves_everybody_to_the_ladder(row: dict[str, str] | None) -> None:
    app = App()
    (failed,) = app.fail("bi")
    key = ("waiting", INSTANCE.subscription_id)
    app.store.table._put(key, {"PartitionKey": key[0], "RowKey": key[1], **row} if row is not None else None, "x")
    assert app.repair() == 0
    assert app.now(failed).due_at is not None
    app.fail("other")
    assert app.repair() == 2


def test_storage_that_takes_no_note_keeps_nobody_from_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App()

    def refuse(waits: object) -> None:
        raise HttpResponseError("503")

    monkeypatch.setattr(app.store.waiting_groups, "note", refuse)
    app.fail("bi")
    assert app.repair() == 0


def test_a_row_stays_small_however_many_groups_wait() -> None:
    app = App()
    groups = [(frozenset({(INSTANCE.subscription_id, f"{number:0>90}")}), app.clock() + DELAY) for number in range(999)]
    app.store.waiting_groups.note(groups)
    row = app.store.table.row("waiting", INSTANCE.subscription_id)
    assert row is not None
    assert list(json.loads(row["Groups"])) == ["*"]
    read = read_scope(VAULT)
    assert read is not None
    assert app.store.waiting_groups.concerns(Repair(read, True, "x", app.clock()))


def test_those_that_begin_to_wait_together_cost_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App()
    started = [app.start(f"bi-{number}") for number in range(20)]
    app.clock.advance(seconds=1)
    writes: list[str] = []
    monkeypatch.setattr(app.store.table, "update_entity", lambda row, *_, **__: writes.append(row["PartitionKey"]))
    app.host.poller.run()
    assert {app.now(each).status for each in started} == {Status.WAITING_TO_RETRY}
    assert writes.count("waiting") == 0
    assert wake.groups_of(started[0]) == frozenset({(INSTANCE.subscription_id, "testrg")})
