"""docs/events/outcome.schema.json is the schema of the outcome events that are sent. WRITE_DOCS=1 writes it anew."""

import json
from typing import Any

import pytest
from azure.core.messaging import CloudEvent
from jsonschema import Draft202012Validator

from shared.clients.outcome_topic import ATTENTION_NEEDED, attention_event, events_of, outcome_event
from shared.domain.remediation import Remediation, Status
from tests.docs.written import DOCS, assert_is_written
from tests.support.remediations import ended, healed, rejected
from tests.support.schemas import remediation_schemas

Json = dict[str, Any]
ENDS = [f"BackupAutoheal.Remediation.{status}" for status in Status if status.is_terminal]
TYPES = [*ENDS, ATTENTION_NEEDED]
FIELDS: Json = {
    "specversion": {"type": "string", "const": "1.0"},
    "type": {
        "type": "string",
        "enum": TYPES,
        "description": "Ends with the remediation's status, or says that the instance needs a person.",
    },
    "source": {"type": "string", "const": "/backup-autoheal"},
    "id": {
        "type": "string",
        "description": "Derived from the remediation's id: an event with an id that was seen before is a repeat.",
    },
    "subject": {"type": "string", "format": "arm-id", "description": "The backup instance's ARM id."},
    "time": {
        "type": "string",
        "format": "date-time",
        "description": "When the remediation ended, or the need of a person began.",
    },
    "datacontenttype": {"type": "string", "const": "application/json"},
    "data": {"$ref": "#/$defs/RemediationResource"},
}
SCHEMA: Json = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "OutcomeEvent",
    "description": "How a remediation ended, or that an instance needs a person, as a CloudEvent 1.0: one for each, "
    "perhaps delivered more than once.",
    "type": "object",
    "properties": FIELDS,
    "required": list(FIELDS),
    "additionalProperties": True,
    "$defs": remediation_schemas("#/$defs"),
}
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)


def on_the_wire(event: CloudEvent[Any]) -> Json:
    """As the SDK's publisher writes it."""
    envelope = {name: getattr(event, name) for name in ("specversion", "type", "source", "id", "subject", "data")}
    assert event.time is not None
    written: Json = json.loads(json.dumps(envelope))
    return {**written, "time": event.time.isoformat(), "datacontenttype": event.datacontenttype}


def problems(event: object) -> list[str]:
    return [problem.message for problem in VALIDATOR.iter_errors(event)]


def test_the_committed_schema_is_that_of_the_app() -> None:
    assert_is_written("events/outcome.schema.json", json.dumps(SCHEMA, indent=2) + "\n")


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("remediation", ended(), ids=lambda remediation: remediation.status)
def test_every_way_to_end_makes_an_event_of_the_schema(remediation: Remediation) -> None:
    assert problems(on_the_wire(outcome_event(remediation))) == []


def test_every_end_has_its_event_type() -> None:
    assert {outcome_event(remediation).type for remediation in ended()} == set(ENDS)


def test_an_instance_that_needs_a_person_makes_an_event_of_the_schema() -> None:
    assert problems(on_the_wire(attention_event(rejected()))) == []


def test_an_end_that_needs_a_person_makes_two_events_of_different_ids() -> None:
    assert [(event.type, event.id) for event in events_of(rejected())] == [
        (ATTENTION_NEEDED, f"{rejected().id}-attention"),
        ("BackupAutoheal.Remediation.Rejected", rejected().id),
    ]


def test_the_example_is_of_the_schema() -> None:
    page = (DOCS / "events" / "README.md").read_text(encoding="utf-8")
    assert problems(json.loads(page.partition("```json\n")[2].partition("```")[0])) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "BackupAutoheal.Remediation.Queued"},
        {"specversion": "0.3"},
        {"data": {}},
        {"time": None},
        {"time": "yesterday"},
    ],
    ids=["active", "version", "empty", "timeless", "no time"],
)
def test_another_event_is_not_of_the_schema(wrong: Json) -> None:
    assert problems({**on_the_wire(outcome_event(healed())), **wrong})
