"""Reads an instance, and logs what its answer has that this version does not know."""

from shared import logs
from shared.domain.arm_results import InstanceRead, InstanceResult
from shared.domain.error_codes import ErrorCodes, azure_code
from shared.domain.protection_state import KNOWN_STATES
from shared.domain.remediation import Remediation
from shared.domain.summary import MAX_CODE_CHARS
from shared.healing.ports import ArmReads


def read_instance(arm: ArmReads, remediation: Remediation) -> InstanceResult:
    """Read the remediation's instance."""
    result = arm.read(remediation.instance)
    if isinstance(result, InstanceRead) and result.protection_state not in KNOWN_STATES:
        logs.warning("instance.unknown_state", remediationId=remediation.id, state=result.protection_state)
    return result


def log_unknown_code(before: Remediation, after: Remediation, error_codes: ErrorCodes) -> None:
    """Name the code with which an attempt has failed if the catalogue lacks it, so that it can grow.

    Once for each remediation: not again when the next attempt fails with it, too.
    """
    code = azure_code(after.attempt.error)
    if code and code not in map(azure_code, (each.error for each in before.attempts)) and not error_codes.find(code):
        logs.warning("error.unknown_code", remediationId=after.id, code=code[:MAX_CODE_CHARS])
