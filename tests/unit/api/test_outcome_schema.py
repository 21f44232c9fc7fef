"""The schema of the outcome event: the committed file, its example, and what is really sent."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from azure.core.messaging import CloudEvent
from jsonschema import Draft202012Validator

from shared.api.outcome_schema import schema
from shared.clients.outcome_topic import outcome_event
from shared.domain import arm_results, state_machine
from shared.domain.remediation import Remediation
from tests.support.episodes import ERROR, LATER, NOW, healed, queued, read, running, verifying

EVENTS = Path(__file__).parents[3] / "docs" / "events"
ENDED = [
    healed(),
    state_machine.cancel(running(), "by hand", LATER),
    state_machine.on_instance_read(verifying(), read("ProtectionError"), LATER, 0.0, None),
    state_machine.on_sync_response(queued(), arm_results.SyncRefused(404, ERROR), LATER, 0.0, None),
    state_machine.on_operation_status(running(), arm_results.OperationFailed("Failed", ERROR, "job"), LATER, 0.0, None),
    cast(Remediation, state_machine.time_out_if_expired(running(), timedelta(seconds=1), LATER)),
]
VALIDATOR = Draft202012Validator(schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


def on_the_wire(event: CloudEvent[Any]) -> dict[str, Any]:
    """As the SDK's publisher writes it."""
    envelope = {name: getattr(event, name) for name in ("specversion", "type", "source", "id", "subject", "data")}
    assert event.time is not None
    return {**envelope, "time": event.time.isoformat(), "datacontenttype": event.datacontenttype}


def example() -> dict[str, Any]:
    text = (EVENTS / "README.md").read_text(encoding="utf-8").partition("```json\n")[2].partition("```")[0]
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_committed_schema_is_that_of_the_app() -> None:
    committed = json.loads((EVENTS / "outcome.schema.json").read_text(encoding="utf-8"))
    assert committed == schema(), (
        "write it anew: python3 -m shared.api.outcome_schema > docs/events/outcome.schema.json"
    )


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("remediation", ENDED, ids=lambda each: str(each.status))
def test_every_way_to_end_makes_an_event_of_the_schema(remediation: Remediation) -> None:
    event = on_the_wire(outcome_event(remediation))
    assert [problem.message for problem in VALIDATOR.iter_errors(event)] == []


def test_every_end_has_its_event_type() -> None:
    assert {f"BackupAutoheal.Remediation.{each.status}" for each in ENDED} == set(
        schema()["properties"]["type"]["enum"]
    )


def test_the_example_is_of_the_schema() -> None:
    assert [problem.message for problem in VALIDATOR.iter_errors(example())] == []


@pytest.mark.parametrize(
    "wrong",
    [{"type": "BackupAutoheal.Remediation.Queued"}, {"specversion": "0.3"}, {"data": {}}, {"time": None}],
    ids=["active", "version", "empty", "timeless"],
)
def test_another_event_is_not_of_the_schema(wrong: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid({**on_the_wire(outcome_event(replace(healed(), published_at=NOW))), **wrong})
