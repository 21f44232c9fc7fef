"""docs/events/finding.schema.json is the schema of the events of findings. WRITE_DOCS=1 writes it anew."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared.api.meta import openapi
from shared.clients.outcome_topic import FINDING, finding_event
from shared.domain.finding import Finding, FindingKind, finding_document
from tests.docs.test_outcome_schema import on_the_wire
from tests.docs.written import assert_is_written
from tests.support.remediations import INSTANCE, NOW

Json = dict[str, Any]
STALE = Finding(INSTANCE, FindingKind.STALE, NOW, NOW - timedelta(days=2), timedelta(days=1))
FAILED = replace(
    STALE, kind=FindingKind.JOB_FAILED, latest_point=None, interval=None, job_id="job-1", error_code="Code"
)


def schema() -> Json:
    data: Json = json.loads(json.dumps(openapi()["components"]["schemas"]["Finding"]))
    # Only a sweep says whether it was news.
    del data["properties"]["isNew"]
    data["required"].remove("isNew")
    fields: Json = {
        "specversion": {"type": "string", "const": "1.0"},
        "type": {"type": "string", "const": FINDING},
        "source": {"type": "string", "const": "/backup-autoheal"},
        "id": {"type": "string", "description": "The finding's id: an event with an id that was seen is a repeat."},
        "subject": {"type": "string", "format": "arm-id", "description": "The backup instance's ARM id."},
        "time": {"type": "string", "format": "date-time", "description": "When the backup failed, or became too old."},
        "datacontenttype": {"type": "string", "const": "application/json"},
        "data": data,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "FindingEvent",
        "description": "An instance that is well, but whose backups are not, as a CloudEvent 1.0.",
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": True,
    }


def test_the_committed_schema_is_that_of_the_app() -> None:
    assert_is_written("events/finding.schema.json", json.dumps(schema(), indent=2) + "\n")


@pytest.mark.parametrize("finding", [STALE, FAILED], ids=["stale", "failed"])
def test_each_kind_of_finding_makes_an_event_of_the_schema(finding: Finding) -> None:
    Draft202012Validator.check_schema(schema())
    validator = Draft202012Validator(schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
    event = finding_event(finding_document(finding))
    assert [problem.message for problem in validator.iter_errors(on_the_wire(event))] == []
    assert (event.id, event.time) == (finding.id, NOW)
