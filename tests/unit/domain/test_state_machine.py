"""How a remediation moves on: one function for each event, given the status and the result."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import announcements, arm_results, lifecycle, state_machine, sync_jobs
from shared.domain.remediation import Remediation, Status
from shared.domain.remediation_json import from_json, to_json
from shared.domain.signal import SyncType
from shared.domain.state_machine import DEFAULT_POLL_INTERVAL, Moment
from shared.domain.steps import MAX_HISTORY
from shared.rate_limits.rate_limiter import Wait
from tests.support.remediations import (
    ACCEPTED,
    ERROR,
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


@pytest.mark.parametrize("state", ["ProtectionStopped", "BackupsSuspended", "BackupSchedulesSuspended", "SoftDeleted"])
def test_a_state_that_somebody_intends_is_not_retried(state: str) -> None:
    ended = after(verifying(), read(state), RETRY)
    assert ended.status is Status.UNHEALTHY
    assert "intends" in ended.history[-1].reason


@pytest.mark.parametrize(
    "waiting",
    [
        queued(),
        sync_jobs.wait_in_queue_for_slot(queued(), Wait(SWEEP_SLOT, is_turn=True)),
        after(queued(), NO_VERDICT),
        after(queued(), CONFLICT),
        after(running(), FAILED, timedelta(hours=6)),
        healed(),
    ],
)
def test_only_an_operation_that_arm_accepted_expires(waiting: Remediation) -> None:
    assert not state_machine.is_expired(waiting, timedelta(hours=6), NOW + timedelta(days=30))


@pytest.mark.parametrize("followed", [running(), verifying()])
def test_an_accepted_operation_expires_after_the_time_out(followed: Remediation) -> None:
    six = timedelta(hours=6)
    assert not state_machine.is_expired(followed, six, NOW + six - timedelta(seconds=1))
    assert state_machine.is_expired(followed, six, NOW + six)


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
    assert sync_jobs.expects_job(after(after(queued(), CONFLICT), read("ProtectionError")), 1)


def test_after_a_sync_call_without_an_answer_the_instance_is_asked() -> None:
    unanswered = arm_results.TransientFailure(arm_results.new_error(arm_results.NO_RESPONSE, "reset"))
    asking = after(queued(), unanswered)
    assert (asking.status, asking.deferrals, asking.attempt.submitted_at) == (Status.VERIFYING, 1, None)
    assert after(asking, read("ProtectionConfigured")).status is Status.HEALED
    assert sync_jobs.expects_job(after(asking, read("ProtectionError")), 1)


@pytest.mark.parametrize("retry_after", [7.0, 0.0])
def test_a_sync_without_a_verdict_stays_queued_for_as_long_as_arm_says(retry_after: float) -> None:
    deferred = after(queued(), arm_results.TransientFailure(ERROR, retry_after))
    assert deferred.status is Status.QUEUED
    assert sync_jobs.job_delay(deferred, LATER) == timedelta(seconds=retry_after)


def test_without_a_word_from_arm_the_delay_grows_up_to_an_hour() -> None:
    current, delays = queued(), []
    for _ in range(12):
        current = after(current, NO_VERDICT, jitter=1.0)
        delays.append(sync_jobs.job_delay(current, LATER))
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (timedelta(seconds=5), timedelta(hours=1))


def test_a_running_operation_is_polled_again() -> None:
    polled = after(running(), arm_results.OperationRunning("Inprogress", None))
    assert (polled.status, polled.due_at) == (Status.RUNNING, LATER + DEFAULT_POLL_INTERVAL)


def test_a_succeeded_operation_is_no_heal_yet() -> None:
    succeeded = verifying()
    assert (succeeded.status, succeeded.attempt.job_id, succeeded.due_at) == (Status.VERIFYING, "job", NOW)


def test_a_failed_operation_ends_failed_with_its_error() -> None:
    ended = after(running(), FAILED)
    assert (ended.status, ended.error, ended.attempt.error) == (Status.FAILED, ERROR, ERROR)


UNKNOWN = arm_results.OperationUnknown()


def test_an_operation_that_arm_does_not_know_yet_is_asked_for_again() -> None:
    asked = after(running(), UNKNOWN)
    assert (asked.status, asked.due_at) == (Status.RUNNING, LATER + DEFAULT_POLL_INTERVAL)


def test_for_an_operation_that_arm_forgot_the_instance_is_asked() -> None:
    assert after(running(), UNKNOWN, now=NOW + timedelta(minutes=15)).status is Status.VERIFYING


@pytest.mark.parametrize(
    ("polls", "is_expired", "expected"),
    [
        ([UNKNOWN], False, True),
        ([NO_VERDICT] * 2, False, False),
        ([NO_VERDICT] * 3, False, True),
        ([arm_results.OperationRunning("Inprogress", None)], False, False),
        ([arm_results.OperationRunning("Inprogress", None)], True, True),
        ([arm_results.OperationSucceeded(None)], True, False),
    ],
)
def test_the_instance_is_read_beside_an_operation_that_cannot_be_followed(
    polls: list[arm_results.OperationResult], is_expired: bool, expected: bool
) -> None:
    current = running()
    for result in polls:
        current = after(current, result)
    assert state_machine.needs_instance(current, polls[-1], Moment(LATER, 0.0, None, is_expired)) is expected


@pytest.mark.parametrize(
    ("result", "is_expired", "status"),
    [
        (read("ProtectionConfigured"), False, Status.HEALED),
        (read("ProtectionConfigured"), True, Status.HEALED),
        (read("ProtectionError"), False, Status.RUNNING),
        (read("ProtectionError"), True, Status.TIMED_OUT),
        (read("UpdatingProtection"), True, Status.TIMED_OUT),
        (arm_results.Refused(404, ERROR), False, Status.REJECTED),
        (NO_VERDICT, True, Status.RUNNING),
    ],
)
def test_an_instance_read_beside_its_operation_decides_only_what_it_proves(
    result: arm_results.InstanceResult, is_expired: bool, status: Status
) -> None:
    moment = Moment(LATER, 0.0, RETRY, is_expired)
    assert state_machine.on_instance_read_beside(running(), result, moment).status is status


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (read("ProtectionConfigured"), Status.HEALED),
        (read("ProtectionError"), Status.WAITING_TO_RETRY),
        (read("UpdatingProtection"), Status.TIMED_OUT),
        (NO_VERDICT, Status.VERIFYING),
    ],
)
def test_verifying_beyond_the_time_out_ends_by_what_the_instance_shows(
    result: arm_results.InstanceResult, status: Status
) -> None:
    moment = Moment(LATER, 0.0, RETRY, is_expired=True)
    assert state_machine.on_instance_read(verifying(), result, moment).status is status


def test_a_time_out_says_how_the_instance_was_seen() -> None:
    expired = Moment(LATER, 0.0, None, is_expired=True)
    ended = state_machine.on_instance_read_beside(running(), read("ProtectionError"), expired)
    assert (ended.error, ended.protection_state) == (ERROR, "ProtectionError")
    assert ended.attempt.error is not None
    assert ended.attempt.error["code"] == "OperationTimedOut"


def test_a_job_that_waits_in_a_long_queue_is_looked_after_ever_later() -> None:
    waiting = sync_jobs.wait_in_queue(queued(), NOW + timedelta(minutes=4))
    assert waiting.due_at == NOW + timedelta(minutes=8)
    assert (waiting.not_before, waiting.history) == (NOW, queued().history)


def test_a_hundred_conflicts_make_two_transitions_and_few_calls() -> None:
    current, now, calls = queued(), NOW, 0
    while now < NOW + timedelta(hours=6):
        calls += current.status is Status.QUEUED
        result = CONFLICT if current.status is Status.QUEUED else read("ProtectionError")
        current = after(current, result, RETRY, now, jitter=1.0)
        now = sync_jobs.job_visible_at(current) if current.status is Status.QUEUED else current.due_at or now
    assert calls < 20
    assert len(current.history) == 3
    assert {step.times for step in current.history[1:]} <= {calls, calls - 1}


def test_a_call_without_a_verdict_for_days_ends_with_the_last_error() -> None:
    current = queued()
    for _ in range(state_machine.MAX_DEFERRALS):
        assert not current.status.is_terminal
        current = after(current, NO_VERDICT)
    assert (current.status, current.error) == (Status.TIMED_OUT, ERROR)


def test_the_history_never_grows_without_end() -> None:
    current = queued()
    for number in range(300):
        current = lifecycle.start_next_attempt(after(current, ACCEPTED), SyncType.DEFAULT, LATER)
        assert len(current.history) <= MAX_HISTORY
        assert current.history[-1].after is current.status, number
    assert current.history[0].before is None


def test_the_operation_urls_of_an_attempt_that_ended_are_dropped() -> None:
    waiting = after(running(), FAILED, RETRY)
    assert (waiting.attempt.operation_status_url, waiting.attempt.operation_result_url) == (None, None)


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


@pytest.mark.parametrize(
    ("current", "attempt", "expected"), [(queued(), 1, True), (queued(), 2, False), (running(), 1, False)]
)
def test_only_the_job_of_the_waiting_attempt_is_carried_out(current: Remediation, attempt: int, expected: bool) -> None:
    assert sync_jobs.expects_job(current, attempt) is expected


def test_an_ended_remediation_stays_due_until_it_is_announced() -> None:
    assert healed().due_at == LATER
    assert announcements.on_published(healed(), LATER).due_at is None


def test_an_ended_remediation_that_nobody_waits_for_is_over() -> None:
    assert announcements.skip_announcement(healed()).due_at is None


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
            current = lifecycle.start_next_attempt(current, SyncType.FORCE_RESYNC, now)
        elif not current.status.is_terminal:
            current = after(current, data.draw(RESULTS[current.status]), retry, now, jitter)
        assert current.due_at is not None
        assert current.status.is_terminal == (current.ended_at is not None)
        assert current.history[-1].after is current.status
        text = to_json(current)
        assert to_json(from_json(text)) == text


def test_a_406_ends_an_attempt_only_when_the_next_call_meets_it_again() -> None:
    refusal = arm_results.Refused(406, {"code": "NotAcceptable", "message": "m"})
    first = after(queued(), refusal, retry_in=timedelta(minutes=5))
    assert (first.status, first.deferrals) == (Status.QUEUED, 1)
    assert after(first, refusal, retry_in=timedelta(minutes=5)).status is Status.WAITING_TO_RETRY
    assert after(first, refusal).status is Status.REJECTED
    assert after(first, ACCEPTED).status is Status.RUNNING


def test_a_406_after_another_failure_is_no_repeat() -> None:
    refusal = arm_results.Refused(406, {"code": "NotAcceptable", "message": "m"})
    assert after(after(queued(), NO_VERDICT), refusal).status is Status.QUEUED


@pytest.mark.parametrize(("is_turn", "slot_at"), [(True, LATER), (False, None)])
def test_only_who_is_given_a_turn_has_one_when_it_asks_again(is_turn: bool, slot_at: datetime | None) -> None:
    waiting = state_machine.wait_for_slot(verifying(), Wait(LATER, is_turn))
    assert (waiting.slot_at, waiting.due_at) == (slot_at, LATER)
