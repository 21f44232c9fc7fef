"""How a remediation ends whose sync is withheld, because the app observes."""

from datetime import timedelta

import pytest

from shared.domain import arm_results, lifecycle, state_machine
from shared.domain.remediation import Remediation, Status
from shared.domain.signal import Signal, SyncType
from shared.domain.state_machine import Moment, SyncResponse
from tests.support.remediations import (
    ACCEPTED,
    ERROR,
    INSTANCE,
    LATER,
    NOW,
    after,
    queued,
    read,
    running,
    verifying,
    withheld,
)

RETRY = timedelta(minutes=5)
CONFLICT = arm_results.SyncConflict(ERROR, 5.0)


def withheld_sync(sync_type: SyncType) -> Remediation:
    opened = lifecycle.open_remediation(Signal(INSTANCE, "Event", "failed", NOW), sync_type, NOW)
    return after(opened, arm_results.SyncWithheld(), now=NOW)


@pytest.mark.parametrize("sync_type", list(SyncType))
def test_a_withheld_sync_ends_with_what_it_would_have_been_and_the_instance_as_read(sync_type: SyncType) -> None:
    ended = after(withheld_sync(sync_type), read("ProtectionError"), RETRY)
    assert (ended.status, ended.protection_state, ended.error) == (Status.WOULD_HEAL, "ProtectionError", ERROR)
    assert ended.history[-1].reason == f"the instance is ProtectionError: a {sync_type} sync would have been made"
    assert (ended.attempt.sync_type, ended.attempt.withheld_at, ended.attempt.submitted_at) == (sync_type, NOW, None)


def test_a_withheld_sync_of_a_valid_instance_had_nothing_to_heal() -> None:
    assert after(withheld(), read("ProtectionConfigured")).status is Status.HEALED


def test_a_withheld_force_resync_would_have_acted_on_a_valid_instance_too() -> None:
    ended = after(withheld_sync(SyncType.FORCE_RESYNC), read("ProtectionConfigured"))
    assert (ended.status, ended.error) == (Status.WOULD_HEAL, None)


@pytest.mark.parametrize("state", ["ProtectionStopped", "NotProtected", "SomethingNew"])
def test_a_withheld_sync_would_have_been_made_whatever_else_the_instance_is(state: str) -> None:
    assert after(withheld(), read(state)).status is Status.WOULD_HEAL


def test_a_withheld_sync_ends_only_once_the_instance_is_not_changing() -> None:
    changing = after(withheld(), read("UpdatingProtection"))
    assert (changing.status, after(changing, read("ProtectionError")).status) == (Status.VERIFYING, Status.WOULD_HEAL)


def test_an_instance_that_cannot_be_read_is_rejected_with_the_reason_while_the_app_observes() -> None:
    refused = after(withheld(), arm_results.Refused(403, ERROR))
    assert (refused.status, refused.error) == (Status.REJECTED, ERROR)


def test_a_call_that_another_host_made_counts_more_than_one_that_was_withheld() -> None:
    made = state_machine.on_submit(withheld(), SyncResponse(1, ACCEPTED, Moment(LATER, 0.0, None)))
    assert made is not None
    assert (made.status, made.attempt.withheld_at, made.attempt.ended_at) == (Status.RUNNING, None, None)


@pytest.mark.parametrize("busy", [running(), verifying(), after(queued(), CONFLICT), withheld()])
def test_a_sync_that_was_withheld_says_nothing_about_one_that_was_made(busy: Remediation) -> None:
    late = SyncResponse(1, arm_results.SyncWithheld(), Moment(LATER, 0.0, None))
    assert state_machine.on_submit(busy, late) is None
