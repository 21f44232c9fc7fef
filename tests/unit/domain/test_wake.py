from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain import arm_results, wake
from shared.domain.arm_results import InstanceRead
from shared.domain.arm_scope import group_of, read_scope, subscription_of
from shared.domain.lifecycle import start_next_attempt
from shared.domain.remediation import Remediation, Status
from shared.domain.repair import Repair
from shared.domain.signal import SyncType
from shared.domain.steps import as_read
from shared.settings import Settings
from tests.support.remediations import ERROR, INSTANCE, LATER, NOW, after, queued, running

SUBSCRIPTION = f"/subscriptions/{INSTANCE.subscription_id}"
DATASOURCE = f"{SUBSCRIPTION}/resourceGroups/Data/providers/Microsoft.Compute/disks/d1"
SNAPSHOTS = f"{SUBSCRIPTION}/resourceGroups/Snapshots"
DELAY = timedelta(minutes=2)
HOUR = timedelta(hours=1)
POLICY = Settings(retry_delays=(HOUR, 6 * HOUR), max_attempts=3).policy()


def waiting(retry_in: timedelta = HOUR) -> Remediation:
    failed = after(running(), arm_results.OperationFailed("Failed", ERROR), retry_in)
    return as_read(failed, InstanceRead("ProtectionError", None, DATASOURCE, SNAPSHOTS))


def repair(scope: str, acts_below: bool = True, at: datetime = LATER) -> Repair:
    read = read_scope(scope)
    assert read
    return Repair(read, acts_below, "Microsoft.Authorization/roleAssignments/write", at)


def woken(remediation: Remediation, by: Repair | None = None) -> Remediation | None:
    return wake.wake(remediation, by or repair(SUBSCRIPTION), DELAY, LATER)


def test_a_repair_brings_the_next_attempt_forward() -> None:
    result = woken(waiting())
    assert result is not None
    assert (result.status, result.due_at) == (Status.WAITING_TO_RETRY, LATER + DELAY)
    assert (result.ladder_at, result.wakes, result.error) == (LATER + HOUR, 1, ERROR)
    assert "roleAssignments" in result.history[-1].reason


@pytest.mark.parametrize(
    ("scope", "acts_below", "is_about"),
    [
        (SUBSCRIPTION.upper(), True, True),
        (f"{SUBSCRIPTION}/resourceGroups/data", True, True),
        (f"{DATASOURCE}/providers/Microsoft.Authorization/roleAssignments/1", True, True),
        (f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleAssignments/1", True, True),
        (f"{SNAPSHOTS}/providers/Microsoft.Authorization/locks/1", True, True),
        (str(INSTANCE.vault_id), True, True),
        (f"{SUBSCRIPTION}/resourceGroups/dat", True, False),
        (f"{DATASOURCE}1", True, False),
        (f"{DATASOURCE}/parts/p", True, False),
        ("/subscriptions/00000000-d41f-4550-9f70-7708a3a2283b", True, False),
        (DATASOURCE, False, True),
        (f"{DATASOURCE}/providers/Microsoft.KubernetesConfiguration/extensions/e", False, True),
        (SNAPSHOTS, False, True),
        (f"{SNAPSHOTS}/providers/Microsoft.Compute/disks/other", False, False),
        (str(INSTANCE.vault_id), False, True),
        (f"{SUBSCRIPTION}/resourceGroups/Data", False, False),
        (SUBSCRIPTION, False, False),
    ],
)
def test_a_repair_wakes_those_whose_resources_it_acts_on(scope: str, acts_below: bool, is_about: bool) -> None:
    assert (woken(waiting(), repair(scope, acts_below)) is not None) is is_about


def test_who_is_tried_as_soon_anyhow_is_left_alone() -> None:
    assert woken(waiting(DELAY)) is None


def test_an_announcement_that_is_due_first_stays_due() -> None:
    announcing = replace(waiting(), due_at=LATER)
    result = woken(announcing)
    assert result is not None
    assert (result.due_at, result.not_before) == (LATER, LATER + DELAY)
    assert result.ladder_at == LATER + HOUR


@pytest.mark.parametrize("other", [queued(), running()], ids=["queued", "running"])
def test_who_waits_for_no_attempt_is_left_alone(other: Remediation) -> None:
    assert woken(other) is None


def test_a_repair_that_had_acted_before_the_last_attempt_is_no_news() -> None:
    assert woken(waiting(), repair(SUBSCRIPTION, at=NOW - DELAY)) is None
    assert woken(waiting(), repair(SUBSCRIPTION, at=NOW - DELAY / 2)) is not None


def test_a_remediation_is_woken_a_few_times_a_day_only() -> None:
    tired = replace(waiting(), wakes=wake.MAX_WAKES_A_DAY)
    assert woken(tired) is None
    assert woken(replace(tired, opened_at=NOW - timedelta(days=1))) is not None


def test_a_woken_attempt_that_fails_leaves_the_ladder_as_it_was() -> None:
    first = waiting()
    early = woken(first)
    assert early is not None
    soon = LATER + DELAY
    begun = start_next_attempt(early, POLICY.next_sync_type(early), soon)
    assert POLICY.retry_in(begun, soon) == HOUR - DELAY
    done = after(begun, arm_results.SyncDone(), now=soon)
    failed = after(done, InstanceRead("ProtectionError", ERROR), HOUR - DELAY, now=soon)
    assert failed.due_at == first.due_at
    own = start_next_attempt(failed, POLICY.next_sync_type(failed), LATER + HOUR)
    assert (own.attempt.number, own.ladder_at) == (3, None)
    assert POLICY.retry_in(own, LATER + HOUR) == 6 * HOUR


def test_a_woken_attempt_that_fails_after_the_ladders_time_takes_its_place() -> None:
    early = woken(waiting())
    assert early is not None
    begun = start_next_attempt(early, SyncType.DEFAULT, LATER + DELAY)
    assert POLICY.retry_in(begun, LATER + 2 * HOUR) == HOUR


def test_a_wake_makes_no_forced_resync_of_an_attempt_before_its_time() -> None:
    policy = Settings(force_resync_from_attempt=3).policy()
    early = woken(waiting())
    assert early
    begun = start_next_attempt(early, policy.next_sync_type(early), LATER)
    assert begun.attempt.sync_type is SyncType.DEFAULT
    assert policy.next_sync_type(begun) is SyncType.DEFAULT


@given(st.text(alphabet="/sSub criptons.%\\-0af\x00é", max_size=90) | st.none() | st.integers())
def test_any_value_is_a_scope_or_none(value: object) -> None:
    for text in (value, f"{SUBSCRIPTION}{value}"):
        scope = read_scope(text)
        if scope is not None:
            assert subscription_of(scope) == INSTANCE.subscription_id
            assert group_of(scope) != ""
            assert "//" not in scope
