"""How the simulated Azure behaves: the settings of a backup instance, and the faults that a test asks for.

They are kept as the JSON objects that they came as; `Behaviour` and `Fault` check them and give them types.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Json = dict[str, Any]
Seconds = Annotated[float, Meta(ge=0)]

MISSING_PERMISSIONS: Json = {
    "code": "UserErrorMissingPermissions",
    "message": "The vault's managed identity does not have the permissions that it needs on the datasource.",
}
"""The error of a simulated sync that fails, unless another one is set: one that somebody repairs later."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request gets this answer in place of the true one, or (`kind`) its connection is reset."""

    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    headers: dict[str, str] = {}
    body: Any = None
    """JSON, text as it is, or None: a CloudError that suits the status."""
    kind: Literal["reset"] | None = None

    def __post_init__(self) -> None:
        if (self.status is None) == (self.kind is None):
            raise ValueError("a fault has either a status or the kind 'reset'")


class Behaviour(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How syncing, polling and reading one backup instance goes. Durations are in seconds."""

    latency_seconds: Seconds = 0
    operation_seconds: Seconds = 1
    retry_after: Seconds | Literal["http-date"] | None = None
    """The header Retry-After: seconds, a date one second ahead, or not sent, as this service often does."""
    final_status: Literal["Succeeded", "Failed", "Canceled", "Cancelled"] = "Succeeded"
    final_error: Json | None = None
    state_after_success: str = "ProtectionConfigured"
    sync_faults: tuple[Fault, ...] = ()
    """Used up one per request and instance, as are the next two."""
    poll_faults: tuple[Fault, ...] = ()
    read_faults: tuple[Fault, ...] = ()
    sync_status: Literal[200, 202] = 202
    operation_url: str | None = None
    """Sent as Azure-AsyncOperation; `{url}` (the true one), `{base}` and `{operationId}` are filled in."""
    omit_job_id: bool = False
    omit_async_header: bool = False
    omit_location_header: bool = False
    backup_faults: tuple[Fault, ...] = ()
    backup_refusal: Json | None = None
    """The operation of a backup on demand ends with this error, and there is no job."""
    backup_seconds: Seconds = 1
    """How long its job goes on after its operation."""
    backup_status: Literal["Completed", "CompletedWithWarnings", "Failed", "Cancelled"] = "Completed"
    """How the job ends."""
    backup_error: Json | None = None


def check_behaviour(document: Json) -> Json:
    """The document itself; raises ValueError for an unknown key or a value that the key cannot have."""
    msgspec.convert(document, Behaviour)
    return document
