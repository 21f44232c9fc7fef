"""`POST /api/sync`: heal this instance, or these; with `?dryRun=true`, only say what would happen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import azure.functions as func
from azure.core.exceptions import AzureError
from pydantic import Field, field_validator

from shared import logs
from shared.api.errors import ApiError, dropped, storage_unavailable
from shared.api.instance_reference import InstanceReference
from shared.api.requests import (
    CLIENT_REQUEST_ID,
    DryRunQuery,
    client_request_id,
    read_object,
    read_query,
    validated,
)
from shared.api.responses import api_errors, json_response, log_error
from shared.api.signed_in_request import path_prefix, signed_in_name
from shared.domain.instance_view import InstanceView
from shared.domain.policy import Coalesce, Drop, Open
from shared.domain.remediation_json import Document, shown_document
from shared.domain.signal import REQUEST, Signal, SyncType, forced_reason, read_sync_type
from shared.domain.state_machine import DEFAULT_POLL_INTERVAL
from shared.healing.dry_run import DryRun
from shared.healing.intake import Coalesced, Dropped, Intake, Opened
from shared.storage.conflicts import WriteConflict

MAX_ITEMS = 100
_DRY_RUN_TIMEOUT = timedelta(seconds=20)
"""After it the instances that are left in a list are not asked for; a read may take half a minute more."""
_MAX_MESSAGE_CHARS = 2_000
"""Of Azure's error."""
_ITEMS = "items"
Result = tuple[int, Document]
"""The HTTP status of a request that comes alone, and its document."""


class SyncRequest(InstanceReference):
    """The body of `POST /api/sync`: the instance by its id or by the four parts of it."""

    sync_type: SyncType | None = None
    reason: str = Field("requested over HTTP", min_length=1, max_length=500)
    force: bool = False

    @field_validator("sync_type", mode="before")
    @classmethod
    def _in_any_casing(cls, value: object) -> SyncType | None:
        return read_sync_type(value)


@dataclass(frozen=True, slots=True)
class SyncApi:
    """The function behind the route."""

    intake: Callable[[], Intake]
    dry_run: Callable[[], DryRun]
    now: Callable[[], datetime]

    def sync(self, request: func.HttpRequest, jobs: func.Out[list[str]]) -> func.HttpResponse:
        """202 with the remediation, the new one or the active one; 200 with a result for each of a list.

        A valid `x-ms-client-request-id` comes back in the response.
        """
        response = self._sync(request, jobs)
        if request_id := client_request_id(request):
            response.headers[CLIENT_REQUEST_ID] = request_id
        return response

    @api_errors
    def _sync(self, request: func.HttpRequest, jobs: func.Out[list[str]]) -> func.HttpResponse:
        is_dry_run = read_query(request, DryRunQuery).dry_run
        document = read_object(request)
        opened: list[str] = []
        deadline = self.now() + _DRY_RUN_TIMEOUT
        serve = partial(self._preview, deadline=deadline) if is_dry_run else partial(self._accept, opened=opened)
        try:
            if _ITEMS in document:
                results = self._each(request, _items(document), serve)
                return json_response(200, {_ITEMS: results})
            status, result = serve(self._signal(request, document))
        finally:
            # Where storage fails on the way, what is opened by then is queued all the same.
            if opened:
                jobs.set(opened)
        if is_dry_run:
            return json_response(status, result)
        path = f"{path_prefix(request)}/remediations/{result['remediation']['id']}"
        headers = {"Location": path, "Retry-After": str(int(DEFAULT_POLL_INTERVAL.total_seconds()))}
        return json_response(status, result["remediation"], headers)

    def _each(
        self, request: func.HttpRequest, items: Sequence[object], serve: Callable[[Signal], Result]
    ) -> list[Document]:
        """The result of each item, as if it had come alone; once storage fails, the rest are not tried."""
        results: list[Document] = []
        for item in items:
            try:
                status, result = serve(self._signal(request, item))
                results.append({"status": status, **result})
            except ApiError as error:
                log_error(error, request)
                results.append({"status": error.status, **error.body()})
            except (AzureError, WriteConflict) as cause:
                if not results:
                    raise
                failed = storage_unavailable(cause)
                logs.error("request.failed", reason=failed.message)
                return results + [{"status": failed.status, **failed.body()}] * (len(items) - len(results))
        return results

    def _signal(self, request: func.HttpRequest, item: object) -> Signal:
        wanted = validated(item, SyncRequest, "backupInstanceId")
        request_id = client_request_id(request)
        reason = forced_reason(wanted.reason) if wanted.force else wanted.reason
        signal = Signal(wanted.instance(), REQUEST, reason, self.now(), wanted.sync_type, request_id)
        return replace(signal, is_forced=wanted.force, by=signed_in_name(request))

    def _accept(self, signal: Signal, opened: list[str]) -> Result:
        match self.intake().accept(signal):
            case Dropped(code, reason):
                raise dropped(code, reason)
            case Opened(remediation, job) | Coalesced(remediation, job):
                if job:
                    opened.append(job.to_message())
                return 202, {"remediation": shown_document(remediation, self.intake().policy.error_codes, self.now())}

    def _preview(self, signal: Signal, deadline: datetime) -> Result:
        """The action that `_accept` would take, why, and the active remediation to which the request would be added.

        `Reject` where a remediation would be opened for an instance that Azure refuses to show.
        """
        result = self.dry_run().run(signal, deadline)
        preview, view = result.preview, result.view
        remediation, sync_type = None, preview.sync_type
        match preview.decision:
            case Drop(code, reason):
                action = "Drop"
            case Coalesce(active):
                remediation = shown_document(active, self.intake().policy.error_codes, self.now())
                action, code, reason = "Coalesce", "AlreadyActive", f"remediation {active.id} is {active.status}"
            case Open():
                action, code, reason = "Open", "Admitted", "in scope, and nobody heals the instance now"
                if view and view.answer.is_refusal:
                    action, sync_type = "Reject", None
        return 200, {
            "dryRun": True,
            "action": action,
            "backupInstanceId": str(signal.instance),
            "syncType": sync_type,
            "policy": {"code": code, "reason": reason},
            "remediation": remediation,
            "azure": _shown_view(view) if view else None,
        }


def _shown_view(view: InstanceView) -> Document:
    error, entry = view.error, view.entry
    return {
        "answer": view.answer,
        "reason": view.reason,
        "protectionState": view.protection_state,
        "error": {"code": error["code"], "message": error["message"][:_MAX_MESSAGE_CHARS]} if error else None,
        "errorClass": entry.error_class if entry else None,
        "whatToDo": entry.what_to_do if entry else None,
        "effect": view.effect,
    }


def _items(document: Mapping[str, Any]) -> Sequence[object]:
    items = document[_ITEMS]
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
        got = f"{len(items)} of them" if isinstance(items, list) else type(items).__name__
        raise ApiError(400, "InvalidRequest", f"expected a list of 1 to {MAX_ITEMS} items, got {got}", _ITEMS)
    return items
