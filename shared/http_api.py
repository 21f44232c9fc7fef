"""The HTTP API: request in, response out."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from shared.documents import CorruptDocument, to_document
from shared.healer import Healer
from shared.health import Health
from shared.http_answers import Refusal, answered, json_answer
from shared.http_bodies import read_body
from shared.policy import Drop
from shared.remediation import Remediation, is_remediation_id
from shared.resource_id import BackupInstanceId
from shared.signals import Signal, SyncType, read_sync_type
from shared.store import Store
from shared.transitions import POLL_DELAY


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


@dataclass(frozen=True, slots=True)
class HttpApi:
    """The functions behind the routes."""

    healer: Callable[[], Healer]
    store: Callable[[], Store]
    health: Health
    now: Callable[[], datetime]

    def sync(self, request: func.HttpRequest, jobs: func.Out[str]) -> func.HttpResponse:
        """`POST /api/sync`: 202 with the remediation, the new one or the active one."""
        return answered(lambda: self._sync(request, jobs))

    def remediation(self, request: func.HttpRequest) -> func.HttpResponse:
        """`GET /api/remediations/{id}`: 200 with the remediation, or 404."""
        return answered(lambda: json_answer(200, to_document(self._found(request.route_params.get("id")))))

    def healthy(self) -> func.HttpResponse:
        """`GET /api/health`: 200 when all is well, else 503; the body says what is not."""
        healthy, document = self.health.check()
        return json_answer(200 if healthy else 503, document)

    def _sync(self, request: func.HttpRequest, jobs: func.Out[str]) -> func.HttpResponse:
        wanted = read_body(request.get_body(), SyncRequest, "backupInstanceId")
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


def _not_now(drop: Drop) -> Refusal:
    """The policy's word as an HTTP status: 403 for what is out of scope, 409 for what is not to be done now."""
    status = 403 if drop.code == "OutOfScope" else 409
    return Refusal(status, drop.code, drop.reason, "backupInstanceId")


def _accepted(remediation: Remediation) -> func.HttpResponse:
    path = f"/api/remediations/{remediation.id}"
    headers = {"Location": path, "Retry-After": str(int(POLL_DELAY.total_seconds()))}
    return json_answer(202, to_document(remediation), headers)
