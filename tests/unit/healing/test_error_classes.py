"""Each code of the catalogue ends a remediation as its class says, through the real use cases."""

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from shared.domain import arm_results
from shared.domain.arm_results import ArmError
from shared.domain.error_codes import ErrorClass, ErrorCodes, read_entries
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.remediation import Remediation, Status
from tests.support.memory_azure import MemoryApp

MINUTE = timedelta(minutes=1)
LADDER = [5 * MINUTE, 30 * MINUTE, 120 * MINUTE, 360 * MINUTE]
WAITS = {
    ErrorClass.TRANSIENT: [MINUTE, 2 * MINUTE, *LADDER],
    ErrorClass.PERSON: LADDER,
    ErrorClass.NEVER: [],
    ErrorClass.JOB: [],
}
ENDS = {
    ErrorClass.TRANSIENT: Status.FAILED,
    ErrorClass.PERSON: Status.FAILED,
    ErrorClass.NEVER: Status.REJECTED,
    ErrorClass.JOB: Status.UNHEALTHY,
}
"""Of a sync whose operation fails."""
CATALOGUE = [(code.replace("*", "Xy"), entry.error_class) for entry in ErrorCodes().entries for code in entry.codes]


def error(code: str) -> ArmError:
    return {"code": code, "message": "broken"}


def broken(code: str | None) -> arm_results.InstanceRead:
    return arm_results.InstanceRead("ProtectionError", error(code) if code else None)


def app(operation: str | None, instance: str | None, **settings: Any) -> MemoryApp:
    """Every sync's operation fails with the one code, or succeeds, and the instance stays broken with the other."""
    made = MemoryApp(**settings)
    made.arm.before = broken(None)
    made.arm.instance = broken(instance)
    if operation:
        made.arm.polled = arm_results.OperationFailed("Failed", error(operation))
    return made


def waits(ended: Remediation) -> list[timedelta]:
    """How long it waited before each further attempt."""
    return [
        after.at - before.at for before, after in pairwise(ended.history) if before.after is Status.WAITING_TO_RETRY
    ]


@pytest.mark.parametrize(("code", "error_class"), CATALOGUE)
def test_an_operation_that_fails_with_a_code_ends_as_its_class_says(code: str, error_class: ErrorClass) -> None:
    ended = app(code, None).follow("bi")
    assert (ended.status, waits(ended)) == (ENDS[error_class], WAITS[error_class])
    assert ended.attempt.number == len(WAITS[error_class]) + 1


@pytest.mark.parametrize(("code", "error_class"), CATALOGUE)
def test_an_instance_that_shows_a_code_after_the_sync_ends_as_its_class_says(
    code: str, error_class: ErrorClass
) -> None:
    ended = app(None, code).follow("bi")
    end = Status.REJECTED if error_class is ErrorClass.NEVER else Status.UNHEALTHY
    assert (ended.status, waits(ended), ended.error) == (end, WAITS[error_class], error(code))


@pytest.mark.parametrize("code", ["UserErrorBrandNew", "OperationFailed", "Http404", "ProtectionError"])
def test_a_code_of_which_nothing_is_known_keeps_the_ladder(code: str) -> None:
    ended = app(code, None).follow("bi")
    assert (ended.status, waits(ended)) == (Status.FAILED, LADDER)


def test_a_users_own_entry_decides() -> None:
    own = read_entries('[{"codes": ["UserErrorOurs"], "class": "Never", "whatToDo": "Ask the platform team."}]')
    ended = app("UserErrorOurs", None, error_codes=own).follow("bi")
    assert (ended.status, ended.attempt.number) == (Status.REJECTED, 1)


def test_an_operator_who_allows_one_attempt_gets_one_whatever_the_code() -> None:
    ended = app("CloudInternalError", None, max_attempts=1).follow("bi")
    assert ended.attempt.number == 1


def test_an_early_attempt_is_no_later_than_the_first_of_the_ladder() -> None:
    soon = (timedelta(seconds=5),)
    ended = app("CloudInternalError", None, max_attempts=2, retry_delays=soon).follow("bi")
    assert waits(ended) == [*soon, *soon, *soon]


def test_an_instance_that_is_well_is_healed_though_the_operation_failed_with_the_error_of_a_job() -> None:
    failing = app("UserErrorPVCHasNoVolume", None)
    failing.arm.instance = arm_results.InstanceRead("ProtectionConfigured", None)
    assert failing.follow("bi").status is Status.HEALED


def test_a_refusal_of_the_sync_call_is_not_classified() -> None:
    refusing = app(None, None)
    refusing.arm.synced = arm_results.Refused(403, error("UserErrorManagedDiskNotFound"))
    ended = refusing.follow("bi")
    assert (ended.status, waits(ended)) == (Status.REJECTED, LADDER)


@pytest.mark.parametrize(("operation", "instance"), [("UserErrorBrandNew", None), (None, "UserErrorBrandNew")])
def test_an_unknown_code_is_logged_by_name_once_for_a_remediation(
    operation: str | None, instance: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    ended = app(operation, instance, max_attempts=3).follow("bi")
    lines = [json.loads(record.message) for record in caplog.records]
    told = {"event": "error.unknown_code", "remediationId": ended.id, "code": "UserErrorBrandNew"}
    assert lines.count(told) == 1


@pytest.mark.parametrize("code", ["UserErrorManagedDiskNotFound", "NoResponse"])
def test_a_known_code_and_one_of_the_apps_own_are_not_logged_as_unknown(
    code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    app(code, None, max_attempts=1).follow("bi")
    assert "error.unknown_code" not in caplog.text


def test_an_operation_that_fails_with_the_error_of_a_job_tells_of_a_failed_backup() -> None:
    failing = app("UserErrorPVCHasNoVolume", None, recovery=RecoveryMode.BACKUP)
    started = failing.start("bi")
    failing.clock.advance(minutes=1)
    failing.arm.instance = arm_results.InstanceRead("ProtectionConfigured", None)
    failing.host.poller.run()
    healed = failing.now(started)
    assert healed.recovery
    assert (healed.status.is_terminal or healed.status is Status.RECOVERING, healed.recovery.backup_failed) == (
        True,
        True,
    )
