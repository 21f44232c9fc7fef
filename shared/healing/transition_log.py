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
    _log_attention(before.attention if before else None, after)


def _log_attention(before: Attention | None, after: Remediation) -> None:
    attention = after.attention
    if attention is not None and before is None and attention.remediation_id == after.id:
        logs.warning(
            "attention.needed",
            remediationId=after.id,
            backupInstanceId=str(after.instance),
            since=to_iso(attention.since),
            reason=attention.reason,
            error=after.error,
        )
    elif attention is None and before is not None:
        logs.info("attention.over", remediationId=after.id, backupInstanceId=str(after.instance))
