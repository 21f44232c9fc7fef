"""`POST /api/alerts`: what an action group of Azure Monitor sends, and what became of it.

Azure Monitor calls again after 408, 429, 503 and 504 (Microsoft Learn, "Action groups", webhook retries): an alert
that starts nothing is therefore answered with 200 and the reason, and only what may go well later with 503.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

import azure.functions as func

from shared import logs
from shared.api.requests import read_json
from shared.api.responses import ApiError, api_errors, error_response, json_response
from shared.api.route_docs import BODY_REFUSALS, BodyDoc, ResponseDoc, RouteDoc
from shared.api.schemas import AlertResponse
from shared.clients.vault_cache import VaultCache
from shared.domain.arm_results import TransientFailure, VaultRefused
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal
from shared.healing.healer import Healer, Intake
from shared.sources.azure_monitor import MAX_INSTANCES, Alert, Ignored, NotAnAlert, alert_identifiers, read_alert
from shared.sources.operation_filter import OperationFilter

_LARGEST_ALERT = 1024 * 1024
_RETRY_AFTER = 20
"""Seconds, where ARM names none: about when Azure Monitor calls again by itself."""


@dataclass(frozen=True, slots=True)
class AlertApi:
    """The function behind the route."""

    healer: Callable[[], Healer]
    vaults: Callable[[], VaultCache]
    rules: OperationFilter
    now: Callable[[], datetime]

    def receive(self, request: func.HttpRequest, jobs: func.Out[list[str]]) -> func.HttpResponse:
        """200 with what became of each instance, or with why the alert is ignored; 400 for what is no alert."""
        return api_errors(lambda: self._receive(request, jobs))

    def _receive(self, request: func.HttpRequest, jobs: func.Out[list[str]]) -> func.HttpResponse:
        body = read_json(request, _LARGEST_ALERT)
        try:
            alert = read_alert(body, self.now(), self.rules)
        except NotAnAlert as reason:
            raise ApiError(400, "NotAnAlert", str(reason), reason.target) from reason
        if isinstance(alert, Ignored):
            return _ignored(alert, body)
        instances = alert.instances or self._look_up(alert)
        if isinstance(instances, Ignored):
            return _ignored(instances, body)
        if isinstance(instances, TransientFailure):
            return _later(instances, body)
        return self._take(alert.signals(instances[:MAX_INSTANCES]), len(instances), jobs)

    def _look_up(self, alert: Alert) -> Sequence[BackupInstanceId] | Ignored | TransientFailure:
        """The instances that protect the resources that the alert names, in the vaults that it names.

        What one vault has is not held up by another that does not answer: it may not answer the next time either.
        """
        if not alert.resources:
            return Ignored("NoBackupInstance", "it names a Backup vault, but no backup instance and no resource")
        found: dict[BackupInstanceId, None] = {}
        refused: VaultRefused | None = None
        unanswered: TransientFailure | None = None
        for vault in alert.vaults:
            answer = self.vaults().protecting(alert.resources, vault)
            if isinstance(answer, TransientFailure):
                unanswered = answer
                logs.warning("vault.not_listed", vault=str(vault), error=answer.error)
            elif isinstance(answer, VaultRefused):
                refused = answer
                logs.error("vault.not_readable", vault=str(vault), status=answer.status, error=answer.error)
            else:
                found.update(dict.fromkeys(answer))
        if found:
            return tuple(found)
        if unanswered:
            return unanswered
        names = ", ".join(str(vault) for vault in alert.vaults)
        if refused:
            reason = f"the instances of {names} cannot be listed: {refused.error['code']}: {refused.error['message']}"
            return Ignored("VaultNotReadable", reason[:1000])
        return Ignored("NoBackupInstance", f"no instance in {names} protects a resource that the alert names")

    def _take(self, signals: Sequence[Signal], named: int, jobs: func.Out[list[str]]) -> func.HttpResponse:
        if named > len(signals):
            logs.warning("alert.too_many", named=named, taken=len(signals))
        opened: list[str] = []
        results = []
        try:
            for signal in signals:
                intake = self.healer().intake(signal)
                assert intake is not None, "a signal is always one"
                results.append(_result(signal, intake))
                if intake.job:
                    opened.append(intake.job.to_message())
        finally:
            # Where storage fails on the way, what is opened by then is queued all the same.
            if opened:
                jobs.set(opened)
        return json_response(200, {"result": "Processed", "instances": results})


def _result(signal: Signal, intake: Intake) -> dict[str, Any]:
    dropped = intake.dropped
    action = "Drop" if dropped else "Open" if intake.job else "Coalesce"
    return {
        "backupInstanceId": str(signal.instance),
        "action": action,
        "remediationId": intake.remediation.id if intake.remediation else None,
        "policy": {"code": dropped.code, "reason": dropped.reason} if dropped else None,
    }


def _ignored(ignored: Ignored, body: object) -> func.HttpResponse:
    logs.info("alert.ignored", **alert_identifiers(body), code=ignored.code, reason=ignored.reason)
    return json_response(200, {"result": "Ignored", "code": ignored.code, "reason": ignored.reason})


def _later(unanswered: TransientFailure, body: object) -> func.HttpResponse:
    error = unanswered.error
    logs.warning("alert.postponed", **alert_identifiers(body), error=error)
    reason = f"the vault cannot be listed now: {error['code']}: {error['message']}"
    response = error_response(ApiError(503, "VaultNotListed", reason[:1000]))
    response.headers["Retry-After"] = str(ceil(unanswered.retry_after or _RETRY_AFTER))
    return response


_COMMON = {"const": "azureMonitorCommonAlertSchema"}
_ALERT = {
    "type": "object",
    "required": ["schemaId"],
    "anyOf": [
        {
            "description": 'An alert in the common alert schema (Microsoft Learn, "Common alert schema definitions").',
            "required": ["data"],
            "properties": {
                "schemaId": _COMMON,
                "data": {
                    "type": "object",
                    "required": ["essentials"],
                    "properties": {
                        "essentials": {
                            "type": "object",
                            "required": ["monitorCondition"],
                            "properties": {
                                "monitorCondition": {"type": "string", "examples": ["Fired", "Resolved"]},
                                "monitoringService": {"examples": ["Azure Backup"]},
                                "alertTargetIDs": {"description": "ARM ids."},
                            },
                        },
                        "alertContext": {"description": "Searched for ids of instances, vaults and resources."},
                        "customProperties": {"description": "Likewise."},
                    },
                },
            },
        },
        {
            "description": "An alert in another schema: it is ignored, and the answer says how to change that.",
            "properties": {"schemaId": {"type": "string", "not": _COMMON}},
        },
    ],
}

OPERATIONS = (
    RouteDoc(
        name="receive_alert",
        method="POST",
        path="alerts",
        summary="Heal the backup instances that an alert of Azure Monitor names.",
        body=BodyDoc(_ALERT),
        answers={200: ResponseDoc("What became of it. What starts nothing is answered so, too.", AlertResponse)},
        refusals={
            400: "The body is no alert; `target` names what is missing.",
            **BODY_REFUSALS,
            503: "Storage or Resource Manager cannot be used now; Azure Monitor sends the alert again.",
        },
    ),
)
