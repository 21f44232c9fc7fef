"""`POST /api/sync`: heal this instance, or these; with `?dryRun=true`, only say what would happen."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import azure.functions as func
from azure.core.exceptions import AzureError
from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel, field_validator, model_validator
from pydantic.alias_generators import to_camel

from shared import logs
from shared.api import schemas
from shared.api.requests import read_object, read_query, validated
from shared.api.responses import ApiError, api_errors, error_body, json_response, log_error, storage_unavailable
from shared.api.route_docs import BODY_REFUSALS, STORAGE_UNAVAILABLE, BodyDoc, DryRunQuery, ResponseDoc, RouteDoc
from shared.api.schemas import RemediationResource, SyncResponse
from shared.domain.policy import Coalesce, Drop
from shared.domain.remediation import Remediation
from shared.domain.remediation_json import Document, to_document
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal, SyncType, read_sync_type
from shared.domain.state_machine import DEFAULT_POLL_INTERVAL
from shared.healing.healer import Healer, Preview
from shared.storage.remediation_store import WriteConflict

MAX_ITEMS = 100
CLIENT_REQUEST_ID = "x-ms-client-request-id"
_CLIENT_REQUEST_ID = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")
_ITEMS = "items"


# What `_names_an_instance` checks; parts beside an id are not looked at.
_WAYS_TO_NAME_IT: list[JsonValue] = [
    {
        "required": ["backupInstanceId"],
        "properties": {"backupInstanceId": schemas.ARM_ID},
    },
    {
        "required": ["subscriptionId", "resourceGroupName", "vaultName", "backupInstanceName"],
        "properties": {
            "backupInstanceId": {"type": "null"},
            "subscriptionId": schemas.UUID,
            "resourceGroupName": schemas.ARM_NAME,
            "vaultName": schemas.ARM_NAME,
            "backupInstanceName": schemas.ARM_NAME,
        },
    },
]


class SyncRequest(BaseModel):
    """The body of `POST /api/sync`: the instance by its id or by the four parts of it."""

    model_config = ConfigDict(
        alias_generator=to_camel, strict=True, extra="ignore", json_schema_extra={"anyOf": _WAYS_TO_NAME_IT}
    )

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
class _Asker:
    """What a request says apart from its body."""

    dry_run: bool
    client_request_id: str | None


@dataclass(frozen=True, slots=True)
class SyncApi:
    """The function behind the route."""

    healer: Callable[[], Healer]
    now: Callable[[], datetime]

    def sync(self, request: func.HttpRequest, jobs: func.Out[list[str]]) -> func.HttpResponse:
        """202 with the remediation, the new one or the active one; 200 with a result for each of a list.

        A valid `x-ms-client-request-id` comes back in the answer; another is ignored, as Resource Manager does.
        """
        client_request_id = _client_request_id(request)
        response = api_errors(lambda: self._sync(request, jobs, client_request_id), clientRequestId=client_request_id)
        if client_request_id:
            response.headers[CLIENT_REQUEST_ID] = client_request_id
        return response

    def _sync(
        self, request: func.HttpRequest, jobs: func.Out[list[str]], client_request_id: str | None
    ) -> func.HttpResponse:
        asker = _Asker(read_query(request, DryRunQuery).dry_run, client_request_id)
        document = read_object(request)
        messages: list[str] = []
        try:
            if _ITEMS in document:
                results = self._results(_items(document), asker, messages)
                return json_response(200, {_ITEMS: results})
            return self._one(document, asker, messages)
        finally:
            if messages:
                jobs.set(messages)

    def _one(self, document: Mapping[str, Any], asker: _Asker, messages: list[str]) -> func.HttpResponse:
        wanted = validated(document, SyncRequest, "backupInstanceId")
        if asker.dry_run:
            return json_response(200, self._previewed(wanted, asker))
        remediation = self._admitted(wanted, asker, messages)
        path = f"/api/remediations/{remediation.id}"
        headers = {"Location": path, "Retry-After": str(int(DEFAULT_POLL_INTERVAL.total_seconds()))}
        return json_response(202, to_document(remediation), headers)

    def _results(self, items: Sequence[object], asker: _Asker, messages: list[str]) -> list[Document]:
        """What became of each item, as if it had come alone; once storage fails, the rest are not tried."""
        results: list[Document] = []
        for item in items:
            try:
                results.append(self._result(item, asker, messages))
            except (AzureError, WriteConflict) as cause:
                if not results:
                    raise
                failed = storage_unavailable(cause)
                logs.error("request.failed", reason=failed.message)
                left = len(items) - len(results)
                return results + [{"status": failed.status, **error_body(failed)}] * left
        return results

    def _result(self, item: object, asker: _Asker, messages: list[str]) -> Document:
        try:
            wanted = validated(item, SyncRequest, "backupInstanceId")
            if asker.dry_run:
                return {"status": 200, **self._previewed(wanted, asker)}
            return {"status": 202, "remediation": to_document(self._admitted(wanted, asker, messages))}
        except ApiError as refusal:
            log_error(refusal, clientRequestId=asker.client_request_id)
            return {"status": refusal.status, **error_body(refusal)}

    def _admitted(self, wanted: SyncRequest, asker: _Asker, messages: list[str]) -> Remediation:
        intake = self.healer().intake(self._signal(wanted, asker))
        assert intake is not None, "a request is always a signal"
        if intake.dropped:
            raise _not_now(intake.dropped)
        if intake.job:
            messages.append(intake.job.to_message())
        assert intake.remediation is not None, "what is not dropped has a remediation"
        return intake.remediation

    def _previewed(self, wanted: SyncRequest, asker: _Asker) -> Document:
        signal = self._signal(wanted, asker)
        return _preview_document(signal.instance, self.healer().preview(signal))

    def _signal(self, wanted: SyncRequest, asker: _Asker) -> Signal:
        return Signal(
            wanted.instance(), "Request", wanted.reason, self.now(), wanted.sync_type, asker.client_request_id
        )


def _preview_document(instance: BackupInstanceId, preview: Preview) -> Document:
    """What would happen, which policy decides, and the remediation that the request would belong to."""
    remediation = None
    match preview.verdict:
        case Drop(code, reason):
            action = "Drop"
        case Coalesce(active):
            remediation = to_document(active)
            action, code, reason = "Coalesce", "AlreadyActive", f"remediation {active.id} is {active.status}"
        case _:
            action, code, reason = "Open", "Admitted", "in scope, and nobody heals the instance now"
    return {
        "dryRun": True,
        "action": action,
        "backupInstanceId": str(instance),
        "syncType": preview.sync_type,
        "policy": {"code": code, "reason": reason},
        "remediation": remediation,
    }


def _items(document: Mapping[str, Any]) -> Sequence[object]:
    items = document[_ITEMS]
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
        got = f"{len(items)} of them" if isinstance(items, list) else type(items).__name__
        raise ApiError(400, "InvalidRequest", f"expected a list of 1 to {MAX_ITEMS} items, got {got}", _ITEMS)
    return items


def _client_request_id(request: func.HttpRequest) -> str | None:
    """What can be a header of the ARM call and stand in a log: 1 to 128 printable ASCII characters."""
    given = (request.headers.get(CLIENT_REQUEST_ID) or "").strip()
    return given if _CLIENT_REQUEST_ID.fullmatch(given) else None


def _not_now(drop: Drop) -> ApiError:
    """The policy's word as an HTTP status: 403 for what is out of scope, 409 for what is not to be done now."""
    status = 403 if drop.code == "OutOfScope" else 409
    return ApiError(status, drop.code, drop.reason, "backupInstanceId")


class SyncList(BaseModel):
    """Several instances at once. Each item is judged alone, a wrong one spoils no other."""

    items: list[SyncRequest | Annotated[Any, Field(description="Refused in its own result.")]] = Field(
        min_length=1, max_length=MAX_ITEMS
    )


class SyncBody(RootModel[SyncRequest | SyncList]):
    """One instance, or a list of them."""


OPERATIONS = (
    RouteDoc(
        name="request_sync",
        method="POST",
        path="sync",
        summary="Heal this backup instance, or these.",
        query=DryRunQuery,
        headers={CLIENT_REQUEST_ID: "Comes back in the answer, goes along to Azure, and stands in log and outcome."},
        body=BodyDoc(SyncBody),
        answers={
            200: ResponseDoc("The result of each item of a list; with `dryRun`, what would happen.", SyncResponse),
            202: ResponseDoc(
                "The remediation: a new one, or the one that is active.",
                RemediationResource,
                {"Location": "Where to see how far it is.", "Retry-After": "Seconds until it is worth a look."},
            ),
        },
        refusals={
            400: "The body or the query is malformed; `target` names the field.",
            403: "The settings leave this instance out.",
            409: "Not now: the instance is cooling down, or was healed too often today.",
            **BODY_REFUSALS,
            **STORAGE_UNAVAILABLE,
        },
    ),
)
