"""Which instances need a person, hour by hour: one host on storage and Azure in memory, with a clock to be set."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import cast
from unittest.mock import Mock

import pytest
from azure.data.tables import TableClient

from shared.domain.backup_slot import FreeSlot, NoSlot
from shared.domain.mode import Mode
from shared.domain.pause import Pause
from shared.domain.protection_state import VALID
from shared.domain.remediation import Remediation, Status
from shared.healing.intake import Dropped, Opened
from shared.healing.pausing import Pausing, SlotsOutsidePauses, never_paused
from shared.storage.pause_store import PauseStore
from shared.storage.table_rows import LatestPointer, Stored, shard_of
from tests.support.attention_week import (
    HOUR,
    MISSING_ROLE,
    PASSES,
    UNKNOWN_CODE,
    Week,
)
from tests.support.memory_azure import MemoryApp
from tests.support.memory_table import damage
from tests.support.remediations import instance_named


def attention_of(week: Week) -> list[str]:
    return [event.removesuffix("-attention") for event in week.app.topic.attention]


def test_whatever_happens_in_a_week_attention_is_right_at_every_hour_and_each_trouble_is_told_once() -> None:
    week, storm, paused = Week(), [f"storm-{number}" for number in range(8)], ["maintained-1", "maintained-2"]
    week.pause("*/backupInstances/maintained-*", hours=48)
    week.azure.healed_by_sync.update(paused)
    for name in paused:
        week.fail(name)
    week.fail("role", error=MISSING_ROLE)
    week.fail("stopped", "ProtectionStopped")
    week.fail("mistyped", state=None)
    for hour in range(1, 7 * 24):
        if hour == 24:
            for name in storm:
                week.fail(name, error=PASSES)
        if hour == 27:
            for name in storm:
                week.mend(name)
        week.run_to(hour)
        assert (hour, week.needing_a_person()) == (hour, {"role"})
    for name in (*storm, *paused):
        assert [each.status for each in week.rounds(name)] == [Status.HEALED]
    assert all(each.opened_at - week.began >= 48 * HOUR for name in paused for each in week.rounds(name))
    [cause] = {each.incident_id for name in storm for each in week.rounds(name)}
    assert attention_of(week) == [week.rounds("role")[-1].id]
    assert week.notices.told == [*week.app.topic.attention, *week.app.topic.incidents]
    assert week.app.topic.incidents == [f"{cause}-opened", f"{cause}-closed"]


def alerts(caplog: pytest.LogCaptureFixture) -> set[str]:
    """The causes that `docs/kql/needs-attention.kql` finds in what was logged: the newest line about each instance."""
    newest: dict[str, dict[str, str | None]] = {}
    for record in caplog.records:
        line = json.loads(record.getMessage())
        if line["event"].startswith("attention."):
            newest[line["backupInstanceId"].lower()] = line
    needing = [line for line in newest.values() if line["event"] in ("attention.needed", "attention.stays")]
    return {f"{line['incidentId'] or line['remediationId']}" for line in needing}


def test_an_alert_stays_the_same_until_all_is_mended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "backup_autoheal")
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.fail("stopped", "ProtectionStopped")
    week.run_to(1)
    (cause,) = alerts(caplog)
    assert cause == week.rounds("role")[-1].id
    for hour in range(2, 60):
        caplog.clear()  # a day's lines are looked at, and those of an hour suffice
        week.run_to(hour)
        assert (hour, alerts(caplog)) == (hour, {cause})
    week.azure.states["role"] = VALID
    week.azure.errors.clear()
    week.run_to(62)
    assert alerts(caplog) == set()


def test_what_was_acknowledged_is_in_no_alert_when_it_joins_an_incident(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "backup_autoheal")
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(1)
    week.app.host.acknowledge.run(instance_named("role"), "ada", "known", week.app.clock() + 24 * HOUR)
    for number in range(6):
        week.fail(f"storm-{number}", error=MISSING_ROLE)
    week.run_to(4)
    assert week.rounds("role")[0].incident_id
    lines = [json.loads(line) for line in caplog.messages]
    of_role = [line["event"] for line in lines if line.get("backupInstanceId") == str(instance_named("role"))]
    assert [event for event in of_role if event.startswith("attention.")][-1] == "attention.acknowledged"


def test_an_instance_that_somebody_has_repaired_needs_nobody_from_the_next_sweep_on() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(60)
    week.azure.states["role"] = VALID
    week.azure.errors.clear()
    syncs = len(week.azure.syncs)
    week.run_to(62)
    assert (week.needing_a_person(), week.rounds("role")[0].status) == (set(), Status.HEALED)
    assert len(week.azure.syncs) == syncs


def test_an_instance_that_was_deleted_needs_nobody_from_the_next_sweep_on() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(60)
    del week.azure.states["role"]
    week.run_to(62)
    assert (week.needing_a_person(), week.rounds("role")[0].status) == (set(), Status.REJECTED)


def test_an_instance_that_heals_by_itself_never_needs_a_person() -> None:
    week = Week()
    for number in range(20):
        week.fail(f"storm-{number}", error=PASSES)
    week.run_to(1 / 60)
    assert week.needing_a_person() == set()
    week.azure.states, week.azure.errors = dict.fromkeys(week.azure.states, VALID), {}
    week.run_to(1)
    assert (week.needing_a_person(), week.app.topic.attention) == (set(), [])
    assert {each.status for each in week.app.store.remediations()} == {Status.HEALED}


def test_an_error_that_a_person_must_mend_is_told_with_the_first_attempt() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(2 / 60)
    waiting = week.rounds("role")[0]
    assert (waiting.status, waiting.due_at) == (Status.WAITING_TO_RETRY, waiting.not_before)
    assert attention_of(week) == [waiting.id]


def test_what_the_topic_did_not_take_is_told_later_and_the_next_attempt_waits_its_time() -> None:
    week = Week()
    week.app.topic.is_down = True
    week.fail("role", error=MISSING_ROLE)
    week.run_to(3 / 60)
    week.app.topic.is_down = False
    week.run_to(5 / 60)
    assert attention_of(week) == [week.rounds("role")[0].id]
    assert week.azure.syncs == ["role"]
    week.run_to(7 / 60)
    assert week.azure.syncs == ["role", "role"]


def test_without_a_topic_attempts_are_made_when_they_are_due() -> None:
    week = Week(has_topic=False)
    week.fail("role", error=MISSING_ROLE)
    week.run_to(5 / 60)
    assert week.azure.syncs == ["role"]
    week.run_to(7 / 60)
    assert (week.azure.syncs, week.needing_a_person()) == (["role", "role"], {"role"})


def test_sweeps_try_ever_more_rarely_what_a_person_must_mend() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(7 * 24)
    opened = [each.opened_at for each in reversed(week.rounds("role"))]
    gaps = [later - earlier for earlier, later in pairwise(opened)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > timedelta(days=1)


def test_an_acknowledged_instance_needs_attention_again_once_that_is_over() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(1)
    until = week.app.clock() + timedelta(days=3)
    week.app.host.acknowledge.run(instance_named("role"), "ada@example.com", "order 4711", until)
    for hour in range(2, 5 * 24):
        week.run_to(hour)
        assert (hour, week.needing_a_person()) == (hour, set() if hour < 73 else {"role"})
    assert len(attention_of(week)) == 1
    assert len(week.rounds("role")) > 2


def test_an_acknowledgement_outlives_an_opening_that_is_on_its_way() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(30)
    week.app.clock.advance(hours=30)
    store, open_one = week.app.store, type(week.app.store).open
    until = week.app.clock() + timedelta(days=3)
    acknowledged: list[Remediation | None] = []

    def open_late(remediation: Remediation, pointer: LatestPointer | None, opener: str | None = None) -> Stored:
        """Somebody acknowledges between the reading of the latest remediation and the opening of the next."""
        if pointer and not acknowledged:
            acknowledged.append(week.app.host.acknowledge.run(remediation.instance, "ada", "known", until))
        return open_one(store, remediation, pointer, opener)

    store.open = open_late  # type: ignore[method-assign] # the moment that matters
    attention = week.app.open("role").attention
    assert acknowledged
    assert attention is not None
    assert attention.acknowledgement is not None


def test_a_forced_request_begins_within_the_cool_down_and_beyond_the_daily_cap() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(9)
    attention = week.rounds("role")[0].attention
    for _ in range(8):
        wanted = replace(week.app.signal("role"), source="Request")
        opened = week.app.host.intake.accept(replace(wanted, is_forced=True))
        assert isinstance(opened, Opened)
        assert opened.remediation.attention == attention
        week.app.host.cancel.run(opened.remediation.id, "enough")
        week.app.clock.advance(seconds=1)
    assert isinstance(week.app.accept("role"), Dropped)


def test_in_a_paused_scope_nothing_is_begun_and_next_attempts_wait() -> None:
    week = Week()
    week.fail("begun", error=MISSING_ROLE)
    week.run_to(1 / 60)
    assert week.azure.syncs == ["begun"]
    week.pause("*/backupInstances/BEG*", hours=30)
    week.pause("*/backupinstances/new*", hours=30)
    week.fail("new-1", error=MISSING_ROLE)
    for hour in range(1, 30):
        week.run_to(hour)
        assert (hour, week.azure.syncs, week.needing_a_person()) == (hour, ["begun"], {"begun"})
    week.run_to(40)
    assert {*week.azure.syncs} == {"begun", "new-1"}
    assert sorted(attention_of(week)) == sorted(week.rounds(name)[-1].id for name in ("begun", "new-1"))


def test_a_pause_that_is_ended_early_lets_the_next_attempt_go_within_minutes() -> None:
    week = Week()
    week.fail("begun", error=MISSING_ROLE)
    week.run_to(1 / 60)
    week.pause("*", hours=30)
    week.run_to(2)
    week.pauses.remove("*")
    week.run_to(2.2)
    assert week.azure.syncs == ["begun", "begun"]


def test_an_app_whose_mode_is_paused_begins_nothing_even_if_it_is_forced() -> None:
    app = MemoryApp(mode=Mode.PAUSED)
    pausing = Pausing(Mode.PAUSED, PauseStore(cast(TableClient, app.store.table), app.clock), app.clock)
    app.host.pause_of = pausing
    app.host.__post_init__()
    dropped = app.host.intake.accept(replace(app.signal("any"), is_forced=True))
    assert isinstance(dropped, Dropped)
    assert dropped.code == "Paused"


def test_a_paused_instance_gets_no_backup() -> None:
    paused = Pause("*", "ada", "known", None)
    slots = Mock(look=Mock(return_value=FreeSlot()))
    assert SlotsOutsidePauses(slots, lambda _: paused).look(instance_named("a"), "id") == NoSlot()
    assert SlotsOutsidePauses(slots, never_paused).look(instance_named("a"), "id") == FreeSlot()


def test_a_request_after_a_cancel_begins_at_once() -> None:
    week = Week()
    opened = week.app.open("changed-my-mind")
    week.app.host.cancel.run(opened.id, "no")
    assert isinstance(week.app.accept("changed-my-mind"), Dropped)
    week.app.clock.advance(1)
    wanted = replace(week.app.signal("changed-my-mind"), source="Request")
    assert isinstance(week.app.host.intake.accept(wanted), Opened)


def test_attention_that_cannot_be_read_is_found_in_the_latest_pointer() -> None:
    week = Week()
    week.fail("unknown", error=UNKNOWN_CODE)
    week.run_to(30)
    first, latest = week.rounds("unknown")[-1], week.rounds("unknown")[0]
    assert latest.attention is not None
    damage(week.app.store.table, shard_of(latest.id), f"r:{latest.id}", Document0="{")
    week.app.clock.advance(hours=30)
    reopened = week.app.open("unknown")
    assert reopened.attention is not None
    assert reopened.attention.remediation_id == first.id
