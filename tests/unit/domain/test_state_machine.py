from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import arm_results, remediation, state_machine
from shared.domain.remediation import Remediation, Status
from shared.domain.remediation_json import CorruptDocument, from_document, to_document
from shared.domain.signal import Signal, SyncType
from shared.domain.state_machine import DEFAULT_POLL_INTERVAL, JOB_TIMEOUT
from tests.support.episodes import (
    ACCEPTED,
    ERROR,
    INSTANCE,
    LATER,
    NO_VERDICT,
    NOW,
    OPERATION,
    healed,
    queued,
    read,
    running,
    verifying,
)

TURN = NOW + timedelta(minutes=20)


def waiting_for_its_turn() -> Remediation:
    signal = Signal(INSTANCE, "Sweep", "found in ProtectionError", NOW, not_before=TURN)
    return state_machine.open_remediation(signal, SyncType.DEFAULT, NOW)


def test_a_signal_opens_a_queued_remediation_with_its_first_attempt() -> None:
    fresh = queued()
    assert (fresh.status, fresh.attempt.number, fresh.signals) == (Status.QUEUED, 1, 1)


def test_an_opened_remediation_is_due_even_if_its_job_gets_lost() -> None:
    assert queued().due_at == NOW + JOB_TIMEOUT


def test_a_remediation_that_begins_later_is_due_when_its_turn_has_come() -> None:
    waits = waiting_for_its_turn()
    assert waits.due_at == TURN + JOB_TIMEOUT
    assert state_machine.job_delay(waits, NOW) == TURN - NOW


def test_the_wait_for_its_turn_does_not_count_as_its_attempt() -> None:
    waits = waiting_for_its_turn()
    assert state_machine.time_out_if_expired(waits, timedelta(minutes=10), TURN + timedelta(minutes=9)) is None
    assert state_machine.time_out_if_expired(waits, timedelta(minutes=10), TURN + timedelta(minutes=10)) is not None


def test_a_turn_that_has_passed_is_now() -> None:
    signal = Signal(INSTANCE, "Sweep", "found", NOW, not_before=NOW - timedelta(minutes=1))
    assert state_machine.open_remediation(signal, SyncType.DEFAULT, NOW).due_at == NOW + JOB_TIMEOUT


def test_only_what_waits_for_its_turn_can_be_hastened() -> None:
    waits = waiting_for_its_turn()
    assert state_machine.waits_for_sweep_slot(waits, NOW)
    throttled = state_machine.on_sync_response(queued(), arm_results.TransientFailure(ERROR, 600.0), NOW, 0.0, None)
    others = [queued(), running(), throttled, state_machine.wait_for_write_slot(queued(), TURN)]
    assert not any(state_machine.waits_for_sweep_slot(other, NOW) for other in others)
    assert not state_machine.waits_for_sweep_slot(waits, TURN)


def test_what_is_hastened_begins_at_once() -> None:
    hastened = state_machine.expedite(waiting_for_its_turn(), LATER)
    assert (hastened.due_at, hastened.attempt.queued_at) == (LATER + JOB_TIMEOUT, LATER)


def test_a_lost_attempt_waits_for_the_next_with_its_error() -> None:
    failed = arm_results.OperationFailed("Failed", ERROR)
    after = state_machine.on_operation_status(running(), failed, LATER, 0.0, timedelta(minutes=5))
    assert (after.status, after.due_at, after.error) == (
        Status.WAITING_TO_RETRY,
        LATER + timedelta(minutes=5),
        ERROR,
    )


@pytest.mark.parametrize("status", [401, 403, 423])
def test_a_refusal_that_may_pass_is_retried(status: int) -> None:
    refused = arm_results.SyncRefused(status, ERROR)
    after = state_machine.on_sync_response(queued(), refused, LATER, 0.0, timedelta(minutes=5))
    assert after.status is Status.WAITING_TO_RETRY


@pytest.mark.parametrize("status", [401, 403, 423])
def test_a_refusal_that_did_not_pass_ends_rejected(status: int) -> None:
    after = state_machine.on_sync_response(queued(), arm_results.SyncRefused(status, ERROR), LATER, 0.0, None)
    assert after.status is Status.REJECTED


@pytest.mark.parametrize("status", [400, 404, 405, 422])
def test_a_permanent_refusal_is_never_retried(status: int) -> None:
    refused = arm_results.SyncRefused(status, ERROR)
    after = state_machine.on_sync_response(queued(), refused, LATER, 0.0, timedelta(minutes=5))
    assert (after.status, after.error) == (Status.REJECTED, ERROR)


def test_an_instance_that_is_still_unhealthy_is_retried() -> None:
    after = state_machine.on_instance_read(verifying(), read("ProtectionError"), LATER, 0.0, timedelta(minutes=5))
    assert after.status is Status.WAITING_TO_RETRY


@pytest.mark.parametrize("state", ["ProtectionStopped", "BackupSchedulesSuspended", "SoftDeleted"])
def test_a_state_that_somebody_intends_is_not_retried(state: str) -> None:
    after = state_machine.on_instance_read(verifying(), read(state), LATER, 0.0, timedelta(minutes=5))
    assert after.status is Status.UNHEALTHY
    assert "intends" in after.history[-1].reason


def test_the_next_attempt_is_queued_with_its_own_sync() -> None:
    failed = arm_results.OperationFailed("Failed", ERROR)
    waiting = state_machine.on_operation_status(running(), failed, LATER, 0.0, timedelta(minutes=5))
    after = state_machine.start_next_attempt(waiting, SyncType.FORCE_RESYNC, LATER)
    assert state_machine.expects_job(after, 2)
    assert (after.attempt.sync_type, after.attempts[0]) == (SyncType.FORCE_RESYNC, waiting.attempt)


def test_waiting_for_the_next_attempt_does_not_time_out() -> None:
    failed = arm_results.OperationFailed("Failed", ERROR)
    waiting = state_machine.on_operation_status(running(), failed, LATER, 0.0, timedelta(hours=6))
    assert state_machine.time_out_if_expired(waiting, timedelta(hours=6), NOW + timedelta(hours=7)) is None


@pytest.mark.parametrize("active", [queued(), running(), verifying()])
def test_an_operator_can_cancel_at_any_active_status(active: Remediation) -> None:
    after = state_machine.cancel(active, "not now", LATER)
    assert (after.status, after.ended_at, after.history[-1].reason) == (Status.CANCELLED, LATER, "not now")


def test_newer_ids_sort_first() -> None:
    assert remediation.new_id(INSTANCE, LATER) < remediation.new_id(INSTANCE, NOW)


def test_an_accepted_sync_runs_and_is_looked_at_when_arm_says() -> None:
    after = state_machine.on_sync_response(queued(), ACCEPTED, LATER, 0.0, None)
    assert (after.status, after.due_at, after.attempt.operation) == (
        Status.RUNNING,
        LATER + timedelta(seconds=60),
        OPERATION,
    )


def test_a_sync_that_is_done_at_once_is_verified_at_once() -> None:
    after = state_machine.on_sync_response(queued(), arm_results.SyncDone(), LATER, 0.0, None)
    assert (after.status, after.due_at) == (Status.VERIFYING, LATER)


def test_a_refused_sync_ends_rejected_with_the_whole_error() -> None:
    after = state_machine.on_sync_response(queued(), arm_results.SyncRefused(400, ERROR), LATER, 0.0, None)
    assert (after.status, after.error, after.ended_at) == (Status.REJECTED, ERROR, LATER)


CONFLICT = arm_results.SyncConflict(ERROR, 5.0)


def test_a_conflict_asks_the_instance_and_uses_no_attempt() -> None:
    after = state_machine.on_sync_response(queued(), CONFLICT, LATER, 0.0, None)
    assert (after.status, after.due_at, after.attempt.number) == (Status.VERIFYING, LATER + timedelta(seconds=5), 1)


def test_an_instance_that_the_other_operation_healed_is_healed() -> None:
    conflicting = state_machine.on_sync_response(queued(), CONFLICT, LATER, 0.0, None)
    after = state_machine.on_instance_read(conflicting, read("ProtectionConfigured"), LATER, 0.0, None)
    assert after.status is Status.HEALED


def test_an_instance_that_the_other_operation_did_not_heal_gets_its_attempt() -> None:
    conflicting = state_machine.on_sync_response(queued(), CONFLICT, LATER, 0.0, None)
    after = state_machine.on_instance_read(conflicting, read("ProtectionError"), LATER, 0.0, None)
    assert state_machine.expects_job(after, 1)


@pytest.mark.parametrize("retry_after", [7.0, 0.0])
def test_a_sync_without_a_verdict_stays_queued_for_as_long_as_arm_says(retry_after: float) -> None:
    after = state_machine.on_sync_response(queued(), arm_results.TransientFailure(ERROR, retry_after), LATER, 0.0, None)
    assert after.status is Status.QUEUED
    assert state_machine.job_delay(after, LATER) == timedelta(seconds=retry_after)


def test_without_a_word_from_arm_the_delay_grows_up_to_five_minutes() -> None:
    current, delays = queued(), []
    for _ in range(9):
        current = state_machine.on_sync_response(current, NO_VERDICT, LATER, 1.0, None)
        delays.append(state_machine.job_delay(current, LATER))
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (timedelta(seconds=5), timedelta(minutes=5))


def test_a_running_operation_is_looked_at_again() -> None:
    after = state_machine.on_operation_status(
        running(), arm_results.OperationRunning("Inprogress", None), LATER, 0.0, None
    )
    assert (after.status, after.due_at) == (Status.RUNNING, LATER + DEFAULT_POLL_INTERVAL)


def test_a_succeeded_operation_is_no_heal_yet() -> None:
    after = verifying()
    assert (after.status, after.attempt.job_id, after.due_at) == (Status.VERIFYING, "job", NOW)


def test_a_failed_operation_ends_failed_with_its_error() -> None:
    after = state_machine.on_operation_status(running(), arm_results.OperationFailed("Failed", ERROR), LATER, 0.0, None)
    assert (after.status, after.error, after.attempt.error) == (Status.FAILED, ERROR, ERROR)


def test_an_operation_that_arm_forgot_is_answered_by_the_instance() -> None:
    after = state_machine.on_operation_status(running(), arm_results.OperationUnknown(), LATER, 0.0, None)
    assert after.status is Status.VERIFYING


def test_an_operation_without_a_verdict_is_looked_at_again() -> None:
    after = state_machine.on_operation_status(running(), arm_results.TransientFailure(ERROR, 3.0), LATER, 0.0, None)
    assert (after.status, after.due_at) == (Status.RUNNING, LATER + timedelta(seconds=3))


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("ProtectionConfigured", Status.HEALED),
        ("ProtectionError", Status.UNHEALTHY),
        ("UpdatingProtection", Status.VERIFYING),
    ],
)
def test_only_the_instance_proves_a_heal(state: str, status: Status) -> None:
    after = state_machine.on_instance_read(verifying(), read(state), LATER, 0.0, None)
    assert (after.status, after.protection_state) == (status, state)


def test_an_instance_that_is_gone_ends_rejected() -> None:
    after = state_machine.on_instance_read(verifying(), arm_results.InstanceRefused(404, ERROR), LATER, 0.0, None)
    assert (after.status, after.error) == (Status.REJECTED, ERROR)


def test_a_hindrance_on_the_way_is_forgotten_once_healed() -> None:
    deferred = state_machine.on_operation_status(running(), NO_VERDICT, NOW, 0.0, None)
    succeeded = state_machine.on_operation_status(deferred, arm_results.OperationSucceeded(None), NOW, 0.0, None)
    assert state_machine.on_instance_read(succeeded, read("ProtectionConfigured"), NOW, 0.0, None).error is None


@pytest.mark.parametrize("active", [queued(), running(), verifying()])
def test_an_attempt_that_lasts_too_long_times_out(active: Remediation) -> None:
    ended = state_machine.time_out_if_expired(active, timedelta(hours=6), NOW + timedelta(hours=6))
    assert ended is not None
    assert ended.status is Status.TIMED_OUT


@pytest.mark.parametrize("in_time", [running(), healed()])
def test_what_is_in_time_or_over_does_not_time_out(in_time: Remediation) -> None:
    assert state_machine.time_out_if_expired(in_time, timedelta(hours=6), NOW + timedelta(hours=5)) is None


def test_a_job_that_was_given_up_ends_failed_and_keeps_the_message() -> None:
    after = state_machine.on_poison_message(queued(), '{"v":1}', LATER)
    assert after.status is Status.FAILED
    assert after.error is not None
    assert '{"v":1}' in after.error["message"]


@pytest.mark.parametrize(
    ("current", "attempt", "expected"), [(queued(), 1, True), (queued(), 2, False), (running(), 1, False)]
)
def test_only_the_job_of_the_waiting_attempt_is_carried_out(current: Remediation, attempt: int, expected: bool) -> None:
    assert state_machine.expects_job(current, attempt) is expected


def test_an_ended_remediation_stays_due_until_it_is_announced() -> None:
    ended = state_machine.close_unless_announced(healed(), announce=True)
    assert ended.due_at == LATER
    assert state_machine.on_published(ended, LATER).due_at is None


def test_an_ended_remediation_that_nobody_waits_for_is_over() -> None:
    assert state_machine.close_unless_announced(healed(), announce=False).due_at is None


def test_every_step_is_in_the_history() -> None:
    steps = [(step.before, step.after) for step in healed().history]
    assert steps == [
        (None, Status.QUEUED),
        (Status.QUEUED, Status.RUNNING),
        (Status.RUNNING, Status.VERIFYING),
        (Status.VERIFYING, Status.HEALED),
    ]


seconds = st.none() | st.floats(0, 3600)
no_verdicts = st.builds(arm_results.TransientFailure, st.just(ERROR), seconds)
sync_answers = st.one_of(
    st.builds(arm_results.SyncAccepted, st.just(OPERATION), seconds),
    st.just(arm_results.SyncDone()),
    st.builds(arm_results.SyncRefused, st.sampled_from([400, 404]), st.just(ERROR)),
    st.builds(arm_results.SyncConflict, st.just(ERROR), seconds),
    no_verdicts,
)
operation_answers = st.one_of(
    st.builds(arm_results.OperationRunning, st.just("Inprogress"), seconds),
    st.just(arm_results.OperationSucceeded("job")),
    st.builds(arm_results.OperationFailed, st.sampled_from(["Failed", "Canceled"]), st.just(ERROR)),
    st.just(arm_results.OperationUnknown()),
    no_verdicts,
)
instance_answers = st.one_of(
    st.builds(
        arm_results.InstanceRead,
        st.sampled_from(["ProtectionConfigured", "NotProtected", "UpdatingProtection"]),
        st.none(),
    ),
    st.builds(arm_results.InstanceRefused, st.just(404), st.just(ERROR)),
    no_verdicts,
)


@given(st.data())
def test_whatever_azure_answers_an_active_remediation_stays_due_and_readable(data: st.DataObject) -> None:
    current, now = queued(), NOW
    for _ in range(data.draw(st.integers(0, 12))):
        now += timedelta(milliseconds=data.draw(st.integers(0, 10_000)))
        jitter, retry = data.draw(st.floats(0, 1)), data.draw(st.none() | st.just(timedelta(minutes=5)))
        match current.status:
            case Status.QUEUED:
                current = state_machine.on_sync_response(current, data.draw(sync_answers), now, jitter, retry)
            case Status.RUNNING:
                current = state_machine.on_operation_status(current, data.draw(operation_answers), now, jitter, retry)
            case Status.VERIFYING:
                current = state_machine.on_instance_read(current, data.draw(instance_answers), now, jitter, retry)
            case Status.WAITING_TO_RETRY:
                current = state_machine.start_next_attempt(current, SyncType.FORCE_RESYNC, now)
        assert current.due_at is not None
        assert current.status.is_terminal == (current.ended_at is not None)
        assert current.history[-1].after is current.status
        document = to_document(current)
        assert to_document(from_document(document)) == document


@pytest.mark.parametrize(
    "change",
    [
        {"status": "Nonsense"},
        {"attempts": None},
        {"openedAt": "soon"},
        {"backupInstanceId": "/x"},
        {"history": [{}]},
    ],
)
def test_a_document_that_was_never_written_is_corrupt(change: dict[str, object]) -> None:
    with pytest.raises(CorruptDocument):
        from_document({**to_document(queued()), **change})


def test_a_document_of_a_newer_app_can_be_read() -> None:
    assert from_document({**to_document(queued()), "new": 1}) == queued()


def test_a_document_from_before_there_were_request_ids_is_read() -> None:
    document = to_document(queued())
    del document["clientRequestId"]
    assert from_document(document) == queued()
