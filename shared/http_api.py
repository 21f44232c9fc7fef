"""The HTTP API: request in, response out, errors in ARM's shape `{"error": {code, message, target, details}}`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import azure.functions as func
from azure.core.exceptions import AzureError
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from shared import journal
from shared.documents import CorruptDocument, to_document
from shared.healer import Healer
from shared.health import Health
from shared.policy import Drop
from shared.remediation import Remediation, is_remediation_id
from shared.resource_id import BackupInstanceId
from shared.signals import Signal, SyncType, read_sync_type
from shared.store import LostRace, Store
from shared.transitions import POLL_DELAY

_LARGEST_BODY = 64 * 1024
"""Bytes; a sync request is a few hundred."""


class SyncRequest(BaseModel):
    """The body of `POST /api/sync`: the instance by its id or by the four parts of it."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="ignore")

    backup_instance_id: str | None = None
    subscription_id: str | None = None
    resource_group_name: str | None = None
    vault_name: str | None = None
    backup_instance_name: str | None = None
    sync_type: SyncType | None = None
    reason: str = Field("requested over HTTP", min_length=1, max_length=500)

    @field_validator("sync_type", mode="before")
    @classmethod
    def _in_any_casing(cls, value: object) -> SyncType | None:
        return read_sync_type(value)

    @model_validator(mode="after")
    def _names_an_instance(self) -> "SyncRequest":
        self.instance()
        return self

    def instance(self) -> BackupInstanceId:
        """The instance that the body names.

        Raises:
            ValueError: it names none, or none that could exist.
        """
        if self.backup_instance_id is not None:
            return BackupInstanceId.parse(self.backup_instance_id)
        parts = (self.subscription_id, self.resource_group_name, self.vault_name, self.backup_instance_name)
        if any(part is None for part in parts):
            raise ValueError(
                "give backupInstanceId, or subscriptionId, resourceGroupName, vaultName and backupInstanceName"
            )
        return BackupInstanceId(*(part or "" for part in parts))


@dataclass(eq=False)
class Refusal(Exception):
    """A request that cannot be served: an HTTP status and ARM's error."""

    status: int
    code: str
    message: str
    target: str | None = None
    details: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class HttpApi:
    """The functions behind the routes."""

    healer: Callable[[], Healer]
    store: Callable[[], Store]
    health: Health
    now: Callable[[], datetime]

    def sync(self, request: func.HttpRequest, jobs: func.Out[str]) -> func.HttpResponse:
        """`POST /api/sync`: 202 with the remediation, the new one or the active one."""
        return _answer(lambda: self._sync(request, jobs))

    def remediation(self, request: func.HttpRequest) -> func.HttpResponse:
        """`GET /api/remediations/{id}`: 200 with the remediation, or 404."""
        return _answer(lambda: _json(200, to_document(self._found(request.route_params.get("id")))))

    def healthy(self) -> func.HttpResponse:
        """`GET /api/health`: 200 when all is well, else 503; the body says what is not."""
        healthy, document = self.health.check()
        return _json(200 if healthy else 503, document)

    def _sync(self, request: func.HttpRequest, jobs: func.Out[str]) -> func.HttpResponse:
        wanted = _sync_request(request.get_body())
        signal = Signal(wanted.instance(), "Request", wanted.reason, self.now(), wanted.sync_type)
        intake = self.healer().intake(signal)
        assert intake is not None, "a request is always a signal"
        if intake.dropped:
            raise _not_now(intake.dropped)
        if intake.job:
            jobs.set(intake.job.to_message())
        assert intake.remediation is not None, "what is not dropped has a remediation"
        return _accepted(intake.remediation)

    def _found(self, remediation_id: object) -> Remediation:
        missing = Refusal(404, "RemediationNotFound", f"no remediation {ascii(remediation_id)[:100]}", "id")
        if not isinstance(remediation_id, str) or not is_remediation_id(remediation_id):
            raise missing
        try:
            stored = self.store().load(remediation_id)
        except CorruptDocument as corrupt:
            raise Refusal(500, "CorruptRemediation", f"the record cannot be read: {corrupt}") from corrupt
        if stored is None:
            raise missing
        return stored.remediation


def _answer(serve: Callable[[], func.HttpResponse]) -> func.HttpResponse:
    """Serve the request; what hinders it becomes an error in ARM's shape and a line in the log."""
    try:
        return serve()
    except Refusal as refusal:
        journal.info("request.refused", code=refusal.code, target=refusal.target, reason=refusal.message)
        return _refused(refusal)
    except (AzureError, LostRace) as cause:
        reason = f"storage cannot be used now: {type(cause).__name__}: {cause}"[:500]
        journal.error("request.failed", reason=reason)
        response = _refused(Refusal(503, "StorageUnavailable", reason))
        response.headers["Retry-After"] = "10"
        return response


def _sync_request(body: bytes) -> SyncRequest:
    if len(body) > _LARGEST_BODY:
        raise Refusal(413, "RequestTooLarge", f"the body has {len(body)} bytes, at most {_LARGEST_BODY} are read")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as cause:
        raise Refusal(400, "InvalidJson", f"the body is not JSON: {cause}") from cause
    if not isinstance(document, dict):
        raise Refusal(400, "InvalidRequest", f"expected a JSON object, got {type(document).__name__}")
    try:
        return SyncRequest.model_validate(document)
    except ValidationError as invalid:
        details = tuple(_detail(error) for error in invalid.errors(include_url=False, include_input=False))
        first = details[0]
        raise Refusal(400, "InvalidRequest", first["message"], first["target"], details) from invalid


def _detail(error: Mapping[str, Any]) -> Mapping[str, Any]:
    target = ".".join(str(part) for part in error["loc"]) or "backupInstanceId"
    return {"code": "InvalidField", "message": error["msg"].removeprefix("Value error, "), "target": target}


def _not_now(drop: Drop) -> Refusal:
    """The policy's word as an HTTP status: 403 for what is out of scope, 409 for what is not to be done now."""
    status = 403 if drop.code == "OutOfScope" else 409
    return Refusal(status, drop.code, drop.reason, "backupInstanceId")


def _accepted(remediation: Remediation) -> func.HttpResponse:
    path = f"/api/remediations/{remediation.id}"
    headers = {"Location": path, "Retry-After": str(int(POLL_DELAY.total_seconds()))}
    return _json(202, to_document(remediation), headers)


def _refused(refusal: Refusal) -> func.HttpResponse:
    error = {
        "code": refusal.code,
        "message": refusal.message,
        "target": refusal.target,
        "details": list(refusal.details),
    }
    return _json(refusal.status, {"error": error})


def _json(status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    return func.HttpResponse(
        json.dumps(document), status_code=status, headers=dict(headers or {}), mimetype="application/json"
    )
