"""How a remediation begins, is tried again, and is cancelled."""

from datetime import timedelta

import pytest

from shared.domain import arm_results, lifecycle, remediation, sync_jobs
from shared.domain.remediation import Remediation, Status
from shared.domain.signal import Signal, SyncType
from shared.domain.sync_jobs import JOB_TIMEOUT
from shared.rate_limits.rate_limiter import Wait
from tests.support.remediations import (
    ERROR,
    INSTANCE,
    LATER,
    NOW,
    after,
    queued,
    running,
    verifying,
)

RETRY = timedelta(minutes=5)
FAILED = arm_results.OperationFailed("Failed", ERROR)
SWEEP_SLOT = NOW + timedelta(minutes=20)


def waiting_for_its_slot() -> Remediation:
    signal = Signal(INSTANCE, "Sweep", "found in ProtectionError", NOW, not_before=SWEEP_SLOT)
    return lifecycle.open_remediation(signal, SyncType.DEFAULT, NOW)


def test_a_signal_opens_a_queued_remediation_with_its_first_attempt() -> None:
    fresh = queued()
    assert (fresh.status, fresh.attempt.number, fresh.signals) == (Status.QUEUED, 1, 1)


def test_an_opened_remediation_is_due_even_if_its_job_gets_lost() -> None:
    assert queued().due_at == NOW + JOB_TIMEOUT


def test_a_remediation_with_a_sweep_slot_is_due_after_its_slot() -> None:
    waits = waiting_for_its_slot()
    assert waits.due_at == SWEEP_SLOT + JOB_TIMEOUT
    assert sync_jobs.job_delay(waits, NOW) == SWEEP_SLOT - NOW


def test_a_sweep_slot_that_has_passed_is_now() -> None:
    signal = Signal(INSTANCE, "Sweep", "found", NOW, not_before=NOW - timedelta(minutes=1))
    assert lifecycle.open_remediation(signal, SyncType.DEFAULT, NOW).due_at == NOW + JOB_TIMEOUT


def test_only_a_remediation_that_waits_for_its_sweep_slot_can_be_expedited() -> None:
    waits = waiting_for_its_slot()
    assert sync_jobs.waits_for_sweep_slot(waits, NOW)
    throttled = after(queued(), arm_results.TransientFailure(ERROR, 600.0), now=NOW)
    others = [
        queued(),
        running(),
        throttled,
        sync_jobs.wait_in_queue_for_slot(queued(), Wait(SWEEP_SLOT, is_turn=True)),
    ]
    assert not any(sync_jobs.waits_for_sweep_slot(other, NOW) for other in others)
    assert not sync_jobs.waits_for_sweep_slot(waits, SWEEP_SLOT)


def test_an_expedited_remediation_begins_at_once() -> None:
    expedited = sync_jobs.expedite(waiting_for_its_slot(), LATER)
    assert (expedited.due_at, expedited.attempt.queued_at) == (LATER + JOB_TIMEOUT, LATER)


def test_the_next_attempt_is_queued_with_its_own_sync() -> None:
    waiting = after(running(), FAILED, RETRY)
    following = lifecycle.start_next_attempt(waiting, SyncType.FORCE_RESYNC, LATER)
    assert sync_jobs.expects_job(following, 2)
    assert (following.attempt.sync_type, following.attempts[0]) == (SyncType.FORCE_RESYNC, waiting.attempt)


@pytest.mark.parametrize("active", [queued(), running(), verifying()])
def test_an_operator_can_cancel_at_any_active_status(active: Remediation) -> None:
    ended = lifecycle.cancel(active, "not now", LATER)
    assert (ended.status, ended.ended_at, ended.history[-1].reason) == (Status.CANCELLED, LATER, "not now")


def test_newer_ids_sort_first() -> None:
    assert remediation.new_id(INSTANCE, LATER) < remediation.new_id(INSTANCE, NOW)
