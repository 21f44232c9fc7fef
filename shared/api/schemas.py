"""The documents that the API answers with and the outcome events carry, as models: what the schemas are made from.

`documents` writes them; a test holds the two together.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema

from shared.domain.remediation import Status
from shared.domain.signal import SyncType

ARM_ID: dict[str, Any] = {"type": "string", "format": "arm-id", "maxLength": 4096}
"""`arm-id` is the format that Azure's own specifications use; no engine of regular expressions in JSON Schema has a
flag for casing, so a pattern could not be read."""
UUID: dict[str, Any] = {"type": "string", "format": "uuid"}
# The first character is stricter than the validator, which refuses only names of nothing but dots.
ARM_NAME: dict[str, Any] = {
    "type": "string",
    "pattern": r"^[^./\\?#%\u0000-\u001f\u007f][^/\\?#%\u0000-\u001f\u007f]{0,259}$",
}
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""ISO 8601 in UTC with milliseconds."""


class Resource(BaseModel):
    """What is common to all documents: camelCase; every field is there, what is unknown is null.

    Fields may be added in later versions: the schemas do not forbid what they do not know.
    """

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="ignore")


class ErrorDetail(BaseModel):
    """Resource Manager's error as it came: `code`, `message`, and whatever else it told."""

    model_config = ConfigDict(strict=True, extra="allow")

    code: str
    message: str


class AttemptResource(Resource):
    """One sync call and the operation that it started."""

    number: int = Field(ge=1)
    sync_type: SyncType
    queued_at: Moment
    submitted_at: Moment | None = Field(
        description="When the sync call was accepted or refused. Null before that, and where a crash took the record"
        " of the call, or the sync job got lost, and the instance was found well."
    )
    ended_at: Moment | None
    operation_status: str | None = Field(description="As Resource Manager says it.")
    operation_status_url: str | None
    operation_result_url: str | None
    job_id: str | None = Field(description="The backup job behind the operation.")
    error: ErrorDetail | None


class TransitionResource(Resource):
    """One step: from which status to which, when and why."""

    at: Moment
    before: Status | None = Field(alias="from")
    after: Status = Field(alias="to")
    reason: str


class RemediationResource(Resource):
    """One episode of healing for one backup instance, from the accepted signal to one terminal status."""

    id: str = Field(pattern="^[0-9a-f]{12}-[0-9a-f]{16}$", description="Sorts newest first as text.")
    backup_instance_id: str = Field(
        description="Its ARM id, in the casing it came in.", json_schema_extra={"format": "arm-id"}
    )
    status: Status
    source: str = Field(description="Which way in the signal came.")
    reason: str
    client_request_id: str | None = Field(description="`x-ms-client-request-id` of the request that opened it.")
    signals: int = Field(ge=1, description="How many signals came for it.")
    opened_at: Moment
    due_at: Moment | None = Field(description="When it is looked at next; null once all is done.")
    ended_at: Moment | None
    published_at: Moment | None = Field(description="When the outcome event was taken by the topic.")
    slot_at: Moment | None = Field(description="When the sync call that is waited for may be made.")
    deferrals: int = Field(ge=0, description="How often in a row Resource Manager gave no verdict.")
    protection_state: str | None = Field(description="`currentProtectionState` as last read.")
    error: ErrorDetail | None = Field(description="Why it did not heal, or the newest hindrance on the way.")
    attempts: list[AttemptResource] = Field(min_length=1)
    history: list[TransitionResource] = Field(min_length=1)


class RemediationList(Resource):
    """A page of remediations, newest first. A page may be short, even empty, and yet have a `nextLink`."""

    value: list[RemediationResource]
    next_link: str | None = Field(description="The URL of the next page, without the key; null after the last.")


class ErrorBody(Resource):
    """Why a request was refused."""

    code: str
    message: str
    target: str | None = Field(description="The field or parameter that it is about.")
    details: list[dict[str, Any]]


class ErrorResource(Resource):
    """An error in Resource Manager's shape."""

    error: ErrorBody


class PolicyResource(Resource):
    """What the policy decides about a signal, and why."""

    code: str
    reason: str


class PreviewResource(Resource):
    """What a request would do."""

    dry_run: bool
    action: Literal["Open", "Coalesce", "Drop"]
    backup_instance_id: str
    sync_type: SyncType | None = Field(description="Of the sync call that would be made; null where there is none.")
    policy: PolicyResource
    remediation: RemediationResource | None = Field(description="The active one that the request would belong to.")


class SyncItemAccepted(Resource):
    """An item that is healed."""

    status: int
    remediation: RemediationResource


class SyncItemRefused(ErrorResource):
    """An item that is not, with the status and the error that it would have got alone."""

    status: int


class SyncItemPreview(PreviewResource):
    """What would become of an item."""

    status: int


class SyncResults(Resource):
    """What became of each item, in their order."""

    items: list[SyncItemAccepted | SyncItemRefused | SyncItemPreview]


class SyncResponse(RootModel[SyncResults | PreviewResource]):
    """The results of a list, or what would happen."""


class AlertResult(Resource):
    """What became of one instance of an alert."""

    backup_instance_id: str
    action: Literal["Open", "Coalesce", "Drop"]
    remediation_id: str | None
    policy: PolicyResource | None


class AlertProcessed(Resource):
    """The alert is a signal."""

    result: str = Field(pattern="^Processed$")
    instances: list[AlertResult]


class AlertIgnored(Resource):
    """The alert starts nothing."""

    result: str = Field(pattern="^Ignored$")
    code: str
    reason: str


class AlertResponse(RootModel[AlertProcessed | AlertIgnored]):
    """What became of an alert."""


class SweepOpened(Resource):
    """A broken instance that is healed because of the sweep."""

    backup_instance_id: str
    remediation_id: str | None = Field(description="Null in a dry run.")
    begins_at: Moment


class SweepSkipped(Resource):
    """A broken instance that the sweep leaves alone."""

    backup_instance_id: str
    code: str
    reason: str


class SweepOpenedList(Resource):
    """What was opened; `count` counts all, `value` names the first thousand."""

    count: int
    truncated: bool
    value: list[SweepOpened]


class SweepSkippedList(Resource):
    """What was left; `count` counts all, `value` names the first thousand."""

    count: int
    truncated: bool
    value: list[SweepSkipped]
    by_code: dict[str, int]


class SweepResource(Resource):
    """What became of all that Resource Graph knows as broken, or would become of it."""

    dry_run: bool
    found: int
    unreadable: int = Field(description="Rows of Resource Graph that name no broken instance.")
    opened: SweepOpenedList
    left: SweepSkippedList


class Check(BaseModel):
    """How one part is."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="allow")

    status: str = Field(description="`ok`, `late` or `unavailable`.")


class HealthResource(Resource):
    """Whether the app can do its work, part by part."""

    status: str = Field(description="`ok` or `unavailable`.")
    version: str
    checks: dict[str, Check]


class Untitled(GenerateJsonSchema):
    """Without the titles that only repeat the names of fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False
