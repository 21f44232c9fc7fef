"""One log line for each status change of a remediation, and when its instance begins or ceases to need a person."""

from typing import Any

from shared import logs
from shared.clock import to_iso
from shared.domain.attention import Attention
from shared.domain.remediation import Remediation


def log_transitions(before: Remediation | None, after: Remediation) -> None:
    """Log what `after` has and `before` had not; call it once that is stored."""
    known = before.history if before else ()
    for transition in after.history:
        if transition in known:
            continue
        details: dict[str, Any] = {}
        if after.client_request_id:
            details["clientRequestId"] = after.client_request_id
        if transition.after.is_terminal:
            details |= {
                "resolution": after.resolution,
                "protectionStateBefore": after.protection_state_before,
                "protectionState": after.protection_state,
                "error": after.error,
            }
        if transition.after.ends_recovery and (recovery := after.recovery):
            details |= {"recoveryPoint": recovery.point, "gapSeconds": recovery.gap_seconds}
        logs.info(
            "remediation.transition",
            at=to_iso(transition.at),
            remediationId=after.id,
            backupInstanceId=str(after.instance),
            **{"from": transition.before, "to": transition.after},
            attempt=after.attempt.number,
            reason=transition.reason,
            **details,
        )
    _log_attention(before, after)


def log_attention_stays(remediation: Remediation, attention: Attention, incident_id: str | None) -> None:
    """Log that the instance still needs a person: an alert on these lines ends with the first that says otherwise."""
    logs.info(
        "attention.stays",
        remediationId=attention.remediation_id,
        backupInstanceId=str(remediation.instance),
        incidentId=incident_id,
        since=to_iso(attention.since),
        reason=attention.reason,
        code=(remediation.error or {}).get("code"),
    )


def _log_attention(before: Remediation | None, after: Remediation) -> None:
    attention, known = after.attention, before.attention if before else None
    if attention is not None and known is None and attention.remediation_id == after.id:
        logs.warning(
            "attention.needed",
            remediationId=after.id,
            backupInstanceId=str(after.instance),
            incidentId=after.incident_id,
            since=to_iso(attention.since),
            reason=attention.reason,
            code=(after.error or {}).get("code"),
            error=after.error,
        )
    elif attention is None and known is not None:
        logs.info("attention.over", remediationId=after.id, backupInstanceId=str(after.instance))
    elif attention and before and after.incident_id != before.incident_id and not _is_acknowledged(attention, after):
        # An alert is to be about the incident now, but about nothing that was acknowledged; the sweep's lines go on.
        log_attention_stays(after, attention, after.incident_id)


def _is_acknowledged(attention: Attention, after: Remediation) -> bool:
    """Whether somebody knew when it last changed its status; one that is over stays in the document."""
    return attention.acknowledgement is not None and attention.acknowledgement.until > after.history[-1].at
