"""`POST /api/alerts`: the webhook for action groups of Azure Monitor.

Azure Monitor calls again after 408, 429, 503 and 504 (Microsoft Learn, "Action groups", webhook retries): an alert
that starts nothing is therefore answered with 200 and the reason, and only what may go well later with 503.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import azure.functions as func

from shared import logs
from shared.api.errors import ApiError
from shared.api.requests import read_json
from shared.api.responses import api_errors, json_response
from shared.clients.vault_cache import VaultCache
from shared.domain.arm_results import Refused, TransientFailure
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal
from shared.healing.intake import Coalesced, Dropped, Intake, Opened
from shared.sources.azure_monitor import MAX_INSTANCES, Alert, Ignored, NotAnAlert, alert_identifiers, read_alert
from shared.sources.operation_filter import OperationFilter

_MAX_ALERT_BYTES = 1024 * 1024
_RETRY_AFTER = 20
"""Seconds, where ARM names none: about when Azure Monitor calls again by itself."""


@dataclass(frozen=True, slots=True)
class AlertApi:
    """The function behind the route."""

    intake: Callable[[], Intake]
    vaults: Callable[[], VaultCache]
    operations: OperationFilter
    now: Callable[[], datetime]

    @api_errors
    def receive(self, request: func.HttpRequest, jobs: func.Out[list[str]]) -> func.HttpResponse:
        """200 with what became of each instance, or with why the alert is ignored; 400 for what is no alert."""
        body = read_json(request, _MAX_ALERT_BYTES)
        try:
            alert = read_alert(body, self.now(), self.operations)
        except NotAnAlert as reason:
            raise ApiError(400, "NotAnAlert", str(reason), reason.target) from reason
        if isinstance(alert, Ignored):
            return _ignored(alert, body)
        instances = alert.instances or self._look_up(alert)
        if isinstance(instances, Ignored):
            return _ignored(instances, body)
        if isinstance(instances, TransientFailure):
            raise _vault_not_listed(instances, body)
        return self._accept(alert.signals(instances[:MAX_INSTANCES]), len(instances), jobs)

    def _look_up(self, alert: Alert) -> Sequence[BackupInstanceId] | Ignored | TransientFailure:
        """The instances that protect the alert's resources, in its vaults.

        Those found in one vault do not wait for another that does not answer: it may not answer the next time either.
        """
        if not alert.resources:
            return Ignored("NoBackupInstance", "it names a Backup vault, but no backup instance and no resource")
        found: dict[BackupInstanceId, None] = {}
        refused: Refused | None = None
        unavailable: TransientFailure | None = None
        for vault in alert.vaults:
            answer = self.vaults().find_instances(alert.resources, vault)
            if isinstance(answer, TransientFailure):
                unavailable = answer
                logs.warning("vault.not_listed", vault=str(vault), error=answer.error)
            elif isinstance(answer, Refused):
                refused = answer
                logs.error("vault.not_readable", vault=str(vault), status=answer.status, error=answer.error)
            else:
                found.update(dict.fromkeys(answer))
        if found:
            return tuple(found)
        if unavailable:
            return unavailable
        names = ", ".join(str(vault) for vault in alert.vaults)
        if refused:
            reason = f"the instances of {names} cannot be listed: {refused.error['code']}: {refused.error['message']}"
            return Ignored("VaultNotReadable", reason[:1000])
        return Ignored("NoBackupInstance", f"no instance in {names} protects a resource that the alert names")

    def _accept(self, signals: Sequence[Signal], named: int, jobs: func.Out[list[str]]) -> func.HttpResponse:
        if named > len(signals):
            logs.warning("alert.too_many", named=named, taken=len(signals))
        opened: list[str] = []
        results = []
        try:
            for signal in signals:
                result = self.intake().accept(signal)
                results.append(_result(signal, result))
                if result.job:
                    opened.append(result.job.to_message())
        finally:
            # Where storage fails on the way, what is opened by then is queued all the same.
            if opened:
                jobs.set(opened)
        return json_response(200, {"result": "Processed", "instances": results, "omitted": named - len(signals)})


def _result(signal: Signal, result: Opened | Coalesced | Dropped) -> dict[str, Any]:
    instance = {"backupInstanceId": str(signal.instance)}
    match result:
        case Dropped(code, reason):
            policy = {"code": code, "reason": reason}
            return {**instance, "action": "Drop", "remediationId": None, "policy": policy}
        case Opened(remediation, job) | Coalesced(remediation, job):
            # What waited for its sweep slot and begins now counts as opened.
            action = "Open" if job or isinstance(result, Opened) else "Coalesce"
            return {**instance, "action": action, "remediationId": remediation.id, "policy": None}


def _ignored(ignored: Ignored, body: object) -> func.HttpResponse:
    logs.info("alert.ignored", **alert_identifiers(body), code=ignored.code, reason=ignored.reason)
    return json_response(200, {"result": "Ignored", "code": ignored.code, "reason": ignored.reason})


def _vault_not_listed(failure: TransientFailure, body: object) -> ApiError:
    error = failure.error
    logs.warning("alert.postponed", **alert_identifiers(body), error=error)
    reason = f"the vault cannot be listed now: {error['code']}: {error['message']}"
    return ApiError(503, "VaultNotListed", reason[:1000], retry_after=failure.retry_after or _RETRY_AFTER)
