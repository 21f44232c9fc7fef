"""Reads an instance, and logs what its answer has that this version does not know."""

from shared import logs
from shared.domain.arm_results import ArmError, InstanceRead, InstanceResult
from shared.domain.error_codes import ErrorCodes, azure_code
from shared.domain.protection_state import KNOWN_STATES
from shared.domain.remediation import Remediation
from shared.domain.summary import MAX_CODE_CHARS
from shared.healing.ports import ArmReads


def read_instance(arm: ArmReads, remediation: Remediation, error_codes: ErrorCodes) -> InstanceResult:
    """Read the remediation's instance."""
    result = arm.read(remediation.instance)
    if isinstance(result, InstanceRead):
        if result.protection_state not in KNOWN_STATES:
            logs.warning("instance.unknown_state", remediationId=remediation.id, state=result.protection_state)
        log_unknown_code(remediation, result.error, error_codes)
    return result


def log_unknown_code(remediation: Remediation, error: ArmError | None, error_codes: ErrorCodes) -> None:
    """Name a code that the catalogue lacks, so that it can grow."""
    code = azure_code(error)
    if code and not error_codes.find(code):
        logs.warning("error.unknown_code", remediationId=remediation.id, code=code[:MAX_CODE_CHARS])
