"""First attempts under an open incident: they wait for its canaries, and no longer than a second one would have."""

from datetime import timedelta
from typing import Any

import pytest

from shared.domain import arm_results, incident
from shared.domain.incident import MAX_CANARIES
from shared.domain.remediation import Status
from tests.support.storm import Storm


def test_the_first_attempt_of_one_more_instance_is_held_back_for_the_canaries() -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    late = storm.fail("late")
    storm.go_on(minutes=2)
    assert (late.status, storm.now(late).is_held) == (Status.WAITING_TO_RETRY, True)
    assert storm.guarded.syncs[late.instance] == 0


def test_a_first_attempt_that_is_held_back_is_tried_with_the_others_after_the_repair() -> None:
    storm = Storm(20)
    storm.go_on(minutes=2)
    for number in range(30):
        storm.fail(f"late-{number}")
    before = sum(storm.guarded.syncs.values())
    storm.grant()
    storm.go_on(minutes=5)
    assert storm.statuses() == {Status.HEALED: 50}
    assert sum(storm.guarded.syncs.values()) - before <= MAX_CANARIES + 50


def test_a_first_attempt_waits_no_longer_than_a_second_one_would_have() -> None:
    storm = Storm(retry_delays=(timedelta(minutes=6), timedelta(hours=2)))
    storm.go_on(minutes=2)
    late = storm.fail("late")
    storm.go_on(minutes=7)
    assert storm.guarded.syncs[late.instance] == 1
    assert storm.now(late).attempt.number == 1


def test_a_first_attempt_under_a_fault_that_passes_waits_for_a_minute_only() -> None:
    storm = Storm(error={"code": "CloudInternalError", "message": "later"})
    storm.go_on(minutes=2)
    late = storm.fail("late")
    storm.go_on(minutes=2)
    assert storm.guarded.syncs[late.instance] == 1


def test_a_first_attempt_that_was_held_back_counts_as_the_first() -> None:
    storm = Storm(retry_delays=(timedelta(minutes=6), timedelta(hours=2)))
    storm.go_on(minutes=2)
    late = storm.fail("late")
    storm.go_on(minutes=8)
    retry = storm.now(late)
    assert (retry.status, retry.attempt.number, retry.wakes) == (Status.WAITING_TO_RETRY, 1, 0)
    assert "next attempt in 6" in retry.history[-1].reason


@pytest.mark.parametrize(
    ("signal", "why"),
    [
        ({"source": "Request"}, "a person asks"),
        ({"is_forced": True}, "a person wants it at once"),
        ({"protection_state": "ProtectionConfigured"}, "it is well, and needs no sync"),
    ],
)
def test_others_are_not_held_back(signal: dict[str, Any], why: str) -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    assert storm.fail("late", **signal).status is Status.QUEUED, why


def test_an_instance_of_another_vault_is_not_held_back() -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    assert storm.fail("other-vault/late").status is Status.QUEUED


def test_after_the_release_no_first_attempt_is_held_back() -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    held = storm.fail("late")  # so that this host remembers the incident as it was
    storm.store.incidents.change(str(held.incident_id), lambda known: incident.release(known, storm.clock()))
    assert storm.fail("later").status is Status.QUEUED


def test_without_storage_of_incidents_nothing_is_held_back() -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    storm.store.table.unreadable.add("incidents")
    assert storm.fail("late").status is Status.QUEUED


@pytest.mark.parametrize("name", ["late", "bi-10"])
def test_who_asks_for_a_held_member_has_it_synced_at_once(name: str) -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    if name == "late":
        storm.fail(name)
    held = storm.fail(name)
    before = storm.guarded.syncs[held.instance]
    assert held.is_held
    storm.fail(name, source="Request")
    storm.go_on(minutes=0.5)
    assert storm.guarded.syncs[held.instance] == before + 1


def test_another_signal_for_a_held_member_is_only_counted() -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    storm.fail("late")
    again = storm.fail("late")
    assert (again.is_held, again.signals) == (True, 2)


def test_syncs_that_are_refused_with_the_code_are_an_incident_too() -> None:
    storm = Storm(8)
    storm.guarded.synced = arm_results.Refused(403, {"code": "LinkedAuthorizationFailed", "message": "no role"})
    storm.go_on(minutes=2)
    assert [each.code for each in storm.store.incidents.page(10)] == ["LinkedAuthorizationFailed"]
    assert None not in {each.incident_id for each in storm.all()}


def test_a_first_attempt_that_fails_for_another_cause_leaves_the_incident() -> None:
    storm = Storm()
    storm.go_on(minutes=2)
    late = storm.fail("late")
    storm.guarded.error = {"code": "UserErrorInvalidSecret", "message": "another cause"}
    storm.fail("late", source="Request")
    storm.go_on(minutes=1)
    assert storm.now(late).incident_id is None
