"""One log line for each status change of a remediation: `remediation.transition`."""

from typing import Any

from shared import logs
from shared.clock import to_iso
from shared.domain.remediation import Remediation, Transition


def log_transitions(before: Remediation | None, after: Remediation) -> None:
    """One line for each transition that `after` has and `before` had not; call it once they are stored."""
    known = len(before.history) if before else 0
    for transition in after.history[known:]:
        _log_transition(after, transition)


def _log_transition(remediation: Remediation, transition: Transition) -> None:
    fields: dict[str, Any] = {
        "at": to_iso(transition.at),
        "remediationId": remediation.id,
        "backupInstanceId": str(remediation.instance),
        "from": transition.before,
        "to": transition.after,
        "attempt": remediation.attempt.number,
        "reason": transition.reason,
    }
    if remediation.client_request_id:
        fields["clientRequestId"] = remediation.client_request_id
    if transition.after.is_terminal:
        fields["protectionState"] = remediation.protection_state
        fields["error"] = remediation.error
    logs.info("remediation.transition", **fields)
