"""The timeline of a heal, from log lines, requests and events."""

import json
from datetime import UTC, datetime

import pytest

from dev.demo.timeline import Json, Timeline

INSTANCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.DataProtection/backupVaults/vault/backupInstances/i"
SIGNALLED_AT = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def at(second: float) -> str:
    return f"2026-01-01T12:00:{second:06.3f}Z"


def transition(to: str, second: float, instance: str = INSTANCE) -> Json:
    return {
        "event": "remediation.transition",
        "at": at(second),
        "remediationId": "r1",
        "backupInstanceId": instance,
        "to": to,
        "reason": f"reason of {to}",
    }


def line(entry: Json) -> str:
    return f"[{entry['at']}] INFO backup_autoheal: {json.dumps({**entry, 'at': at(59)})}"


def call(kind: str, second: float, status: int | None = 200) -> Json:
    return {"kind": kind, "at": at(second), "status": status}


def event(status: str = "Healed", subject: str = INSTANCE) -> Json:
    return {"type": f"BackupAutoheal.Remediation.{status}", "subject": subject}


@pytest.fixture
def timeline() -> Timeline:
    return Timeline(INSTANCE, SIGNALLED_AT)


@pytest.fixture
def healed(timeline: Timeline) -> Timeline:
    steps = [("Queued", 0.1), ("Running", 0.5), ("Verifying", 3), ("Healed", 3.5)]
    timeline.read_log([line(transition(to, second)) for to, second in steps])
    calls = [
        call("token", 0.2),
        call("sync", 0.4, 202),
        call("operationStatus", 2),
        call("operationStatus", 3),
    ]
    timeline.read_azure([*calls, call("instance", 3.2), call("topic", 4)], [event()])
    return timeline


def test_a_heal_has_six_milestones_with_the_time_of_each(healed: Timeline) -> None:
    assert [(each.title, each.seconds) for each in healed.milestones()] == [
        ("signal", 0.0),
        ("queued", 0.1),
        ("sync accepted", 0.4),
        ("polling", 3.0),
        ("verified", 3.5),
        ("outcome event", 4.0),
    ]


def test_a_heal_that_is_published_went_well(healed: Timeline) -> None:
    assert healed.is_complete
    assert healed.succeeded
    assert (healed.seconds_to_sync(), healed.seconds_to_outcome()) == (0.4, 4.0)


def test_only_calls_to_resource_manager_are_counted(healed: Timeline) -> None:
    assert healed.arm_calls_by_kind() == {"sync": 1, "operationStatus": 2, "instance": 1}


def test_without_the_outcome_event_the_timeline_is_not_complete(healed: Timeline) -> None:
    healed.read_azure([], [])
    assert not healed.is_complete
    assert not healed.succeeded


def test_an_event_that_is_seen_before_its_call_is_waited_for(timeline: Timeline) -> None:
    timeline.read_log([line(transition("Queued", 0.1)), line(transition("Healed", 2))])
    timeline.read_azure([], [event("Healed")])
    assert not timeline.is_complete
    timeline.read_azure([call("topic", 3)], [event("Healed")])
    assert timeline.is_complete


@pytest.mark.parametrize("status", ["Unhealthy", "Failed", "Rejected", "TimedOut", "Cancelled", "WouldHeal"])
def test_any_other_end_is_an_end_that_did_not_go_well(timeline: Timeline, status: str) -> None:
    timeline.read_log([line(transition("Queued", 0.1)), line(transition(status, 2))])
    timeline.read_azure([call("topic", 3)], [event(status)])
    assert timeline.is_complete
    assert not timeline.succeeded
    assert (timeline.milestones()[4].title, timeline.milestones()[4].detail) == (
        "ended",
        f"{status}: reason of {status}",
    )


def test_only_the_signal_is_reached_before_anything_came(timeline: Timeline) -> None:
    assert [each.seconds for each in timeline.milestones()] == [0.0, None, None, None, None, None]
    assert (timeline.status, timeline.remediation_id, timeline.seconds_to_sync()) == (None, None, None)


def test_a_sync_call_that_was_refused_for_now_is_not_accepted(timeline: Timeline) -> None:
    timeline.read_azure([call("sync", 1, 429), call("sync", 2, None)], [])
    assert timeline.seconds_to_sync() is None


def test_other_instances_do_not_matter(timeline: Timeline) -> None:
    timeline.read_log([line(transition("Healed", 1, INSTANCE + "2"))])
    timeline.read_azure([], [event(subject=INSTANCE + "2")])
    assert (timeline.transitions, timeline.events) == ([], [])


def test_the_instance_is_known_in_any_casing(timeline: Timeline) -> None:
    timeline.read_log([line(transition("Queued", 1, INSTANCE.upper()))])
    assert timeline.status == "Queued"


@pytest.mark.parametrize("noise", ["", "plain", '{"event": "cut', '[x] {"event": 1} trailing', '{"event":"other"}'])
def test_lines_without_a_transition_are_skipped(timeline: Timeline, noise: str) -> None:
    timeline.read_log([noise])
    assert timeline.transitions == []
