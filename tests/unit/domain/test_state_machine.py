"""How a remediation moves on: one function for each event, given the status and the result."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import arm_results, remediation, state_machine
from shared.domain.remediation import Remediation, Status
from shared.domain.remediation_json import from_json, to_json
from shared.domain.signal import Signal, SyncType
from shared.domain.state_machine import DEFAULT_POLL_INTERVAL, JOB_TIMEOUT
from tests.support.remediations import (
    ACCEPTED,
    ERROR,
    INSTANCE,
    LATER,
    NO_VERDICT,
    NOW,
    OPERATION,
    after,
    healed,
    queued,
    read,
    running,
    verifying,
)

SWEEP_SLOT = NOW + timedelta(minutes=20)
RETRY = timedelta(minutes=5)
FAILED = arm_results.OperationFailed("Failed", ERROR)
CONFLICT = arm_results.SyncConflict(ERROR, 5.0)


def waiting_for_its_slot() -> Remediation:
    signal = Signal(INSTANCE, "Sweep", "found in ProtectionError", NOW, not_before=SWEEP_SLOT)
    return state_machine.open_remediation(signal, SyncType.DEFAULT, NOW)


def test_a_signal_opens_a_queued_remediation_with_its_first_attempt() -> None:
    fresh = queued()
    assert (fresh.status, fresh.attempt.number, fresh.signals) == (Status.QUEUED, 1, 1)


def test_an_opened_remediation_is_due_even_if_its_job_gets_lost() -> None:
    assert queued().due_at == NOW + JOB_TIMEOUT


def test_a_remediation_with_a_sweep_slot_is_due_after_its_slot() -> None:
    waits = waiting_for_its_slot()
    assert waits.due_at == SWEEP_SLOT + JOB_TIMEOUT
    assert state_machine.job_delay(waits, NOW) == SWEEP_SLOT - NOW


def test_the_wait_for_the_sweep_slot_does_not_count_as_the_attempt() -> None:
    waits, ten = waiting_for_its_slot(), timedelta(minutes=10)
    assert state_machine.time_out_if_expired(waits, ten, SWEEP_SLOT + timedelta(minutes=9)) is None
    assert state_machine.time_out_if_expired(waits, ten, SWEEP_SLOT + ten) is not None


def test_a_sweep_slot_that_has_passed_is_now() -> None:
    signal = Signal(INSTANCE, "Sweep", "found", NOW, not_before=NOW - timedelta(minutes=1))
    assert state_machine.open_remediation(signal, SyncType.DEFAULT, NOW).due_at == NOW + JOB_TIMEOUT


def test_only_a_remediation_that_waits_for_its_sweep_slot_can_be_expedited() -> None:
    waits = waiting_for_its_slot()
    assert state_machine.waits_for_sweep_slot(waits, NOW)
    throttled = after(queued(), arm_results.TransientFailure(ERROR, 600.0), now=NOW)
    others = [queued(), running(), throttled, state_machine.wait_for_write_slot(queued(), SWEEP_SLOT)]
    assert not any(state_machine.waits_for_sweep_slot(other, NOW) for other in others)
    assert not state_machine.waits_for_sweep_slot(waits, SWEEP_SLOT)


def test_an_expedited_remediation_begins_at_once() -> None:
    expedited = state_machine.expedite(waiting_for_its_slot(), LATER)
    assert (expedited.due_at, expedited.attempt.queued_at) == (LATER + JOB_TIMEOUT, LATER)


def test_a_failed_attempt_waits_for_the_next_with_its_error() -> None:
    waiting = after(running(), FAILED, RETRY)
    assert (waiting.status, waiting.due_at, waiting.error) == (Status.WAITING_TO_RETRY, LATER + RETRY, ERROR)


@pytest.mark.parametrize(
    ("status", "retry_in", "then"),
    [
        *[(status, RETRY, Status.WAITING_TO_RETRY) for status in (401, 403, 423)],
        *[(status, None, Status.REJECTED) for status in (401, 403, 423)],
        *[(status, RETRY, Status.REJECTED) for status in (400, 404, 405, 422)],
    ],
)
def test_a_refusal_is_retried_while_it_may_pass(status: int, retry_in: timedelta | None, then: Status) -> None:
    refused = after(queued(), arm_results.Refused(status, ERROR), retry_in)
    assert (refused.status, refused.error) == (then, ERROR)


def test_an_instance_that_is_still_unhealthy_is_retried() -> None:
    assert after(verifying(), read("ProtectionError"), RETRY).status is Status.WAITING_TO_RETRY


@pytest.mark.parametrize("state", ["ProtectionStopped", "BackupSchedulesSuspended", "SoftDeleted"])
def test_a_state_that_somebody_intends_is_not_retried(state: str) -> None:
    ended = after(verifying(), read(state), RETRY)
    assert ended.status is Status.UNHEALTHY
    assert "intends" in ended.history[-1].reason


def test_the_next_attempt_is_queued_with_its_own_sync() -> None:
    waiting = after(running(), FAILED, RETRY)
    following = state_machine.start_next_attempt(waiting, SyncType.FORCE_RESYNC, LATER)
    assert state_machine.expects_job(following, 2)
    assert (following.attempt.sync_type, following.attempts[0]) == (SyncType.FORCE_RESYNC, waiting.attempt)


def test_waiting_for_the_next_attempt_does_not_time_out() -> None:
    waiting = after(running(), FAILED, timedelta(hours=6))
    assert state_machine.time_out_if_expired(waiting, timedelta(hours=6), NOW + timedelta(hours=7)) is None


@pytest.mark.parametrize("active", [queued(), running(), verifying()])
def test_an_operator_can_cancel_at_any_active_status(active: Remediation) -> None:
    ended = state_machine.cancel(active, "not now", LATER)
    assert (ended.status, ended.ended_at, ended.history[-1].reason) == (Status.CANCELLED, LATER, "not now")


def test_newer_ids_sort_first() -> None:
    assert remediation.new_id(INSTANCE, LATER) < remediation.new_id(INSTANCE, NOW)


def test_an_accepted_sync_runs_and_is_polled_when_arm_says() -> None:
    started = after(queued(), ACCEPTED)
    assert (started.status, started.due_at) == (Status.RUNNING, LATER + timedelta(seconds=60))
    assert started.attempt.operation_urls == OPERATION


def test_a_sync_that_is_done_at_once_is_verified_at_once() -> None:
    done = after(queued(), arm_results.SyncDone())
    assert (done.status, done.due_at) == (Status.VERIFYING, LATER)


def test_a_refused_sync_ends_rejected_with_the_whole_error() -> None:
    ended = after(queued(), arm_results.Refused(400, ERROR))
    assert (ended.status, ended.error, ended.ended_at) == (Status.REJECTED, ERROR, LATER)


def test_a_conflict_asks_the_instance_and_uses_no_attempt() -> None:
    asking = after(queued(), CONFLICT)
    assert (asking.status, asking.due_at, asking.attempt.number) == (Status.VERIFYING, LATER + timedelta(seconds=5), 1)


def test_an_instance_that_the_other_operation_healed_is_healed() -> None:
    assert after(after(queued(), CONFLICT), read("ProtectionConfigured")).status is Status.HEALED


def test_an_instance_that_the_other_operation_did_not_heal_gets_its_attempt() -> None:
    assert state_machine.expects_job(after(after(queued(), CONFLICT), read("ProtectionError")), 1)


@pytest.mark.parametrize("retry_after", [7.0, 0.0])
def test_a_sync_without_a_verdict_stays_queued_for_as_long_as_arm_says(retry_after: float) -> None:
    deferred = after(queued(), arm_results.TransientFailure(ERROR, retry_after))
    assert deferred.status is Status.QUEUED
    assert state_machine.job_delay(deferred, LATER) == timedelta(seconds=retry_after)


def test_without_a_word_from_arm_the_delay_grows_up_to_five_minutes() -> None:
    current, delays = queued(), []
    for _ in range(9):
        current = after(current, NO_VERDICT, jitter=1.0)
        delays.append(state_machine.job_delay(current, LATER))
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (timedelta(seconds=5), timedelta(minutes=5))


def test_a_running_operation_is_polled_again() -> None:
    polled = after(running(), arm_results.OperationRunning("Inprogress", None))
    assert (polled.status, polled.due_at) == (Status.RUNNING, LATER + DEFAULT_POLL_INTERVAL)


def test_a_succeeded_operation_is_no_heal_yet() -> None:
    succeeded = verifying()
    assert (succeeded.status, succeeded.attempt.job_id, succeeded.due_at) == (Status.VERIFYING, "job", NOW)


def test_a_failed_operation_ends_failed_with_its_error() -> None:
    ended = after(running(), FAILED)
    assert (ended.status, ended.error, ended.attempt.error) == (Status.FAILED, ERROR, ERROR)


def test_for_an_operation_that_arm_forgot_the_instance_is_asked() -> None:
    assert after(running(), arm_results.OperationUnknown()).status is Status.VERIFYING


def test_an_operation_without_a_verdict_is_polled_again() -> None:
    deferred = after(running(), arm_results.TransientFailure(ERROR, 3.0))
    assert (deferred.status, deferred.due_at) == (Status.RUNNING, LATER + timedelta(seconds=3))


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("ProtectionConfigured", Status.HEALED),
        ("ProtectionError", Status.UNHEALTHY),
        ("UpdatingProtection", Status.VERIFYING),
    ],
)
def test_only_the_instance_proves_a_heal(state: str, status: Status) -> None:
    verified = after(verifying(), read(state))
    assert (verified.status, verified.protection_state) == (status, state)


def test_an_instance_that_is_gone_ends_rejected() -> None:
    ended = after(verifying(), arm_results.Refused(404, ERROR))
    assert (ended.status, ended.error) == (Status.REJECTED, ERROR)


def test_a_hindrance_on_the_way_is_forgotten_once_healed() -> None:
    succeeded = after(after(running(), NO_VERDICT), arm_results.OperationSucceeded(None))
    assert after(succeeded, read("ProtectionConfigured")).error is None


@pytest.mark.parametrize("active", [queued(), running(), verifying()])
def test_an_attempt_that_lasts_too_long_times_out(active: Remediation) -> None:
    ended = state_machine.time_out_if_expired(active, timedelta(hours=6), NOW + timedelta(hours=6))
    assert ended is not None
    assert ended.status is Status.TIMED_OUT


@pytest.mark.parametrize("in_time", [running(), healed()])
def test_what_is_in_time_or_over_does_not_time_out(in_time: Remediation) -> None:
    assert state_machine.time_out_if_expired(in_time, timedelta(hours=6), NOW + timedelta(hours=5)) is None


def test_a_job_that_was_given_up_ends_failed_and_keeps_the_message() -> None:
    ended = state_machine.on_poison_message(queued(), '{"v":1}', LATER)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert '{"v":1}' in ended.error["message"]


@pytest.mark.parametrize(
    ("current", "attempt", "expected"), [(queued(), 1, True), (queued(), 2, False), (running(), 1, False)]
)
def test_only_the_job_of_the_waiting_attempt_is_carried_out(current: Remediation, attempt: int, expected: bool) -> None:
    assert state_machine.expects_job(current, attempt) is expected


def test_an_ended_remediation_stays_due_until_it_is_announced() -> None:
    assert healed().due_at == LATER
    assert state_machine.on_published(healed(), LATER).due_at is None


def test_an_ended_remediation_that_nobody_waits_for_is_over() -> None:
    assert state_machine.skip_announcement(healed()).due_at is None


def test_every_step_is_in_the_history() -> None:
    expected = [Status.QUEUED, Status.RUNNING, Status.VERIFYING, Status.HEALED]
    assert [step.after for step in healed().history] == expected
    assert [step.before for step in healed().history] == [None, *expected[:-1]]


seconds = st.none() | st.floats(0, 3600)
no_verdicts = st.builds(arm_results.TransientFailure, st.just(ERROR), seconds)
sync_results = st.one_of(
    st.builds(arm_results.SyncAccepted, st.just(OPERATION), seconds),
    st.just(arm_results.SyncDone()),
    st.builds(arm_results.Refused, st.sampled_from([400, 404]), st.just(ERROR)),
    st.builds(arm_results.SyncConflict, st.just(ERROR), seconds),
    no_verdicts,
)
operation_results = st.one_of(
    st.builds(arm_results.OperationRunning, st.just("Inprogress"), seconds),
    st.just(arm_results.OperationSucceeded("job")),
    st.builds(arm_results.OperationFailed, st.sampled_from(["Failed", "Canceled"]), st.just(ERROR)),
    st.just(arm_results.OperationUnknown()),
    no_verdicts,
)
instance_results = st.one_of(
    st.builds(
        arm_results.InstanceRead,
        st.sampled_from(["ProtectionConfigured", "NotProtected", "UpdatingProtection"]),
        st.none(),
    ),
    st.builds(arm_results.Refused, st.just(404), st.just(ERROR)),
    no_verdicts,
)
RESULTS = {Status.QUEUED: sync_results, Status.RUNNING: operation_results, Status.VERIFYING: instance_results}


@given(st.data())
def test_whatever_azure_answers_an_active_remediation_stays_due_and_readable(data: st.DataObject) -> None:
    current, now = queued(), NOW
    for _ in range(data.draw(st.integers(0, 12))):
        now += timedelta(milliseconds=data.draw(st.integers(0, 10_000)))
        jitter, retry = data.draw(st.floats(0, 1)), data.draw(st.none() | st.just(timedelta(minutes=5)))
        if current.status is Status.WAITING_TO_RETRY:
            current = state_machine.start_next_attempt(current, SyncType.FORCE_RESYNC, now)
        elif not current.status.is_terminal:
            current = after(current, data.draw(RESULTS[current.status]), retry, now, jitter)
        assert current.due_at is not None
        assert current.status.is_terminal == (current.ended_at is not None)
        assert current.history[-1].after is current.status
        text = to_json(current)
        assert to_json(from_json(text)) == text
