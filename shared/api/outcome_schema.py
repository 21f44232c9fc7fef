"""The JSON Schema of the outcome event: `python3 -m shared.api.outcome_schema > docs/events/outcome.schema.json`."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.api.schemas import Moment, RemediationResource, Untitled
from shared.domain.remediation import Status

_ENDS = [status for status in Status if status.is_terminal]


class OutcomeEvent(BaseModel):
    """How a remediation ended, as a CloudEvent 1.0: one for each, perhaps delivered more than once."""

    model_config = ConfigDict(strict=True, extra="allow")

    specversion: Literal["1.0"]
    type: str = Field(
        description="Ends with the remediation's status.",
        json_schema_extra={"enum": [f"BackupAutoheal.Remediation.{status}" for status in _ENDS]},
    )
    source: Literal["/backup-autoheal"]
    id: str = Field(description="The remediation's id: an event with an id that was seen before is a repeat.")
    subject: str = Field(description="The backup instance's ARM id.", json_schema_extra={"format": "arm-id"})
    time: Moment = Field(description="When the remediation ended.")
    datacontenttype: Literal["application/json"]
    data: RemediationResource


def schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **OutcomeEvent.model_json_schema(mode="serialization", schema_generator=Untitled),
    }


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
