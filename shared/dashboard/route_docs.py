"""The page among the routes of the API's description. It answers people, so even its refusals are HTML."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema

from shared.api import schemas
from shared.api.route_docs import BodyDoc, ResponseDoc, RouteDoc
from shared.dashboard.forms import LONGEST_REASON, TYPE
from shared.dashboard.list_filter import GROUPS, LONGEST_TEXT
from shared.domain.remediation import Status
from shared.domain.signal import SyncType

_REMEDIATION_ID = {"type": "string", "pattern": "^[0-9a-f]{12}-[0-9a-f]{16}$"}
_NOTHING = {"type": "string", "maxLength": 0}
"""What a form sends for a field that was left empty."""


class DashboardQuery(BaseModel):
    """The query of `GET /api/dashboard`, all of it optional; names in any casing, what it does not know is ignored."""

    id: Annotated[str | None, WithJsonSchema(_REMEDIATION_ID)] = Field(None, description="The remediation to be shown.")
    status: Annotated[str, WithJsonSchema({"type": "string", "enum": ["", *GROUPS, *Status]})] = Field(
        "", description="Only those that stand there."
    )
    text: str = Field("", max_length=LONGEST_TEXT, description="Only those with it in a name of the instance's id.")
    since: Annotated[str, WithJsonSchema({"anyOf": [_NOTHING, {"type": "string", "format": "date"}]})] = Field(
        "", description="Only those that were opened on that day or later."
    )
    after: Annotated[str, WithJsonSchema({"anyOf": [_NOTHING, _REMEDIATION_ID]})] = Field(
        "", description="The remediation behind which the page begins."
    )


def _page(description: str) -> ResponseDoc:
    return ResponseDoc(description, {"type": "string"}, media_type="text/html")


def _form(name: str, required: Mapping[str, Any], optional: Mapping[str, Any]) -> Mapping[str, Any]:
    reason = {"type": "string", "maxLength": LONGEST_REASON}
    return {
        "type": "object",
        "properties": {"do": {"type": "string", "const": name}, **required, **optional, "reason": reason},
        "required": ["do", *required],
    }


_FORMS = {
    "oneOf": [
        _form(
            "sync",
            {"backupInstanceId": schemas.ARM_ID},
            {"syncType": {"type": "string", "enum": ["", *SyncType]}},
        ),
        _form("cancel", {"id": _REMEDIATION_ID}, {}),
    ]
}
_ALWAYS = {
    500: _page("The record of the remediation cannot be read."),
    503: _page("Storage cannot be used now; `Retry-After` says when to try again."),
}

OPERATIONS = (
    RouteDoc(
        name="get_dashboard",
        method="GET",
        path="dashboard",
        summary="The page: figures, charts, a list of remediations, or one of them.",
        query=DashboardQuery,
        answers={
            200: _page("The page."),
            400: _page("A parameter is malformed."),
            404: _page("There is no remediation with this id."),
            **_ALWAYS,
        },
    ),
    RouteDoc(
        name="get_dashboard",
        method="POST",
        path="dashboard",
        summary='The page\'s forms, "Sync now" and "Cancel".',
        body=BodyDoc(_FORMS, media_type=TYPE),
        answers={
            303: ResponseDoc("It is done: see there.", headers={"Location": "The page of the remediation."}),
            400: _page("A field is malformed."),
            403: _page("The policy leaves this instance out."),
            404: _page("There is no remediation with this id."),
            409: _page("The policy lets this instance be for now."),
            413: _page("The form is too large."),
            415: _page("What was sent is no form, says its `Content-Type`."),
            **_ALWAYS,
        },
    ),
)
