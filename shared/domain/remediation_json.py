"""A remediation as a JSON document: what storage keeps, what the API and the outcome event show.

Unknown fields are ignored on reading, so that a newer app's documents can be read after a roll-back.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.clock import from_iso, to_iso
from shared.domain.arm_results import OperationUrls
from shared.domain.remediation import Attempt, Remediation, Status, Transition
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType

Document = dict[str, Any]


class CorruptDocument(ValueError):
    """A stored document cannot be read as a remediation; the message says what is wrong."""


def to_document(remediation: Remediation) -> Document:
    """camelCase, ISO 8601 times in UTC, ids in the casing they came in; absent values are null."""
    return {
        "id": remediation.id,
        "backupInstanceId": str(remediation.instance),
        "status": remediation.status.value,
        "source": remediation.source,
        "reason": remediation.reason,
        "clientRequestId": remediation.client_request_id,
        "signals": remediation.signals,
        "openedAt": to_iso(remediation.opened_at),
        "dueAt": _iso(remediation.due_at),
        "endedAt": _iso(remediation.ended_at),
        "publishedAt": _iso(remediation.published_at),
        "slotAt": _iso(remediation.slot_at),
        "deferrals": remediation.deferrals,
        "protectionState": remediation.protection_state,
        "error": remediation.error,
        "attempts": [_attempt_document(attempt) for attempt in remediation.attempts],
        "history": [_transition_document(transition) for transition in remediation.history],
    }


def from_document(document: Mapping[str, Any]) -> Remediation:
    """The remediation that `to_document` wrote.

    Raises:
        CorruptDocument: a field is missing or has a value that was never written.
    """
    try:
        return _read(document)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as cause:
        raise CorruptDocument(f"not a remediation: {type(cause).__name__}: {cause}") from cause


def _read(document: Mapping[str, Any]) -> Remediation:
    return Remediation(
        id=document["id"],
        instance=BackupInstanceId.parse(document["backupInstanceId"]),
        status=Status(document["status"]),
        source=document["source"],
        reason=document["reason"],
        client_request_id=document.get("clientRequestId"),
        signals=int(document["signals"]),
        opened_at=from_iso(document["openedAt"]),
        due_at=_moment(document.get("dueAt")),
        ended_at=_moment(document.get("endedAt")),
        published_at=_moment(document.get("publishedAt")),
        slot_at=_moment(document.get("slotAt")),
        deferrals=int(document.get("deferrals", 0)),
        protection_state=document.get("protectionState"),
        error=document.get("error"),
        attempts=tuple(_attempt(attempt) for attempt in document["attempts"]),
        history=tuple(_transition(transition) for transition in document["history"]),
    )


def _attempt_document(attempt: Attempt) -> Document:
    operation = attempt.operation or OperationUrls(None, None)
    return {
        "number": attempt.number,
        "syncType": attempt.sync_type.value,
        "queuedAt": to_iso(attempt.queued_at),
        "submittedAt": _iso(attempt.submitted_at),
        "endedAt": _iso(attempt.ended_at),
        "operationStatus": attempt.operation_status,
        "operationStatusUrl": operation.status_url,
        "operationResultUrl": operation.result_url,
        "jobId": attempt.job_id,
        "error": attempt.error,
    }


def _attempt(document: Mapping[str, Any]) -> Attempt:
    attempt = Attempt(
        number=int(document["number"]),
        sync_type=SyncType(document["syncType"]),
        queued_at=from_iso(document["queuedAt"]),
        submitted_at=_moment(document.get("submittedAt")),
        ended_at=_moment(document.get("endedAt")),
        operation_status=document.get("operationStatus"),
        job_id=document.get("jobId"),
        error=document.get("error"),
    )
    urls = OperationUrls(document.get("operationStatusUrl"), document.get("operationResultUrl"))
    return replace(attempt, operation=urls) if urls != OperationUrls(None, None) else attempt


def _transition_document(transition: Transition) -> Document:
    return {
        "at": to_iso(transition.at),
        "from": transition.before.value if transition.before else None,
        "to": transition.after.value,
        "reason": transition.reason,
    }


def _transition(document: Mapping[str, Any]) -> Transition:
    before = document["from"]
    return Transition(
        at=from_iso(document["at"]),
        before=Status(before) if before else None,
        after=Status(document["to"]),
        reason=document["reason"],
    )


def _iso(moment: datetime | None) -> str | None:
    return to_iso(moment) if moment else None


def _moment(text: str | None) -> datetime | None:
    return from_iso(text) if text else None
