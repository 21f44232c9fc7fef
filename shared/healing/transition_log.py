"""One log line for each status change of a remediation: `remediation.transition`."""

from typing import Any

from shared import logs
from shared.clock import to_iso
from shared.domain.remediation import Remediation


def log_transitions(before: Remediation | None, after: Remediation) -> None:
    """Log each transition that `after` has and `before` had not; call it once they are stored."""
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
