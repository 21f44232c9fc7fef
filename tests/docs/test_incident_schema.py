"""docs/events/incident.schema.json is the schema of the events of incidents. WRITE_DOCS=1 writes it anew."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from shared.api.meta import openapi
from shared.clients.outcome_topic import incident_event
from shared.domain.incident import Incident, IncidentEvent
from shared.domain.incident_cause import ScopeKind
from tests.docs.test_outcome_schema import on_the_wire
from tests.docs.written import DOCS, assert_is_written
from tests.support.remediations import INSTANCE, NOW, queued

Json = dict[str, Any]
OPENED = Incident(
    id=queued().id,
    code="UserErrorMissingRequiredPermissions",
    scope_kind=ScopeKind.VAULT,
    scope=str(INSTANCE.vault_id),
    canaries=(INSTANCE.key,),
    founders=(queued().id,),
    members=5,
    earliest_at=NOW,
    joined_at=NOW,
)
CLOSED = replace(OPENED, founders=(), released_at=NOW, closed_at=NOW)


def data() -> Json:
    """The incident as the API shows it, without references to what is not here."""
    schemas = openapi()["components"]["schemas"]
    shown: Json = json.loads(json.dumps(schemas["Incident"]))
    shown["properties"]["nextStep"]["anyOf"][0] = schemas["NextStepResource"]
    return shown


def schema() -> Json:
    fields: Json = {
        "specversion": {"type": "string", "const": "1.0"},
        "type": {"type": "string", "enum": [f"BackupAutoheal.Incident.{event}" for event in IncidentEvent]},
        "source": {"type": "string", "const": "/backup-autoheal"},
        "id": {
            "type": "string",
            "description": "The incident's id and `-opened` or `-closed`: an event whose id was seen is a repeat.",
        },
        "subject": {"type": "string", "description": "The incident's scope."},
        "time": {"type": "string", "format": "date-time", "description": "When it was opened, or closed."},
        "datacontenttype": {"type": "string", "const": "application/json"},
        "data": data(),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "IncidentEvent",
        "description": "Several instances fail for one cause, or do so no more, as a CloudEvent 1.0.",
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": True,
    }


def test_the_committed_schema_is_that_of_the_app() -> None:
    assert_is_written("events/incident.schema.json", json.dumps(schema(), indent=2) + "\n")


@pytest.mark.parametrize(("known", "event"), [(OPENED, IncidentEvent.OPENED), (CLOSED, IncidentEvent.CLOSED)])
def test_each_event_of_an_incident_is_of_the_schema(known: Incident, event: IncidentEvent) -> None:
    Draft202012Validator.check_schema(schema())
    validator = Draft202012Validator(schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
    sent = incident_event(known, event)
    assert [problem.message for problem in validator.iter_errors(on_the_wire(sent))] == []
    assert (sent.id, sent.subject) == (f"{known.id}-{event.lower()}", known.scope)


def test_the_events_page_names_the_schema() -> None:
    assert "incident.schema.json" in (DOCS / "events" / "README.md").read_text(encoding="utf-8")
