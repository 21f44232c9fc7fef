"""How an instance was before its first sync, and what that makes of the remediation, through the real use cases."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain import arm_results
from shared.domain.remediation import Remediation, Resolution, Status
from shared.domain.signal import Signal, SyncType
from shared.healing.intake import Opened
from shared.rate_limits.rate_limiter import Wait
from tests.support.memory_azure import MemoryApp
from tests.support.remediations import NOW, instance_named, read

NEVER = arm_results.InstanceRead("ProtectionError", {"code": "UserErrorManagedDiskNotFound", "message": "gone"})
SIGNAL = Signal(instance_named("bi"), "Event", "backup failed", NOW)
READ_SYNC = ["read", "sync"]


def app(before: arm_results.InstanceResult, **settings: Any) -> MemoryApp:
    """An instance that reads like this until it is synced."""
    made = MemoryApp(**settings)
    made.arm.before = before
    return made


def opened(app: MemoryApp, signal: Signal = SIGNAL) -> Remediation:
    result = app.host.intake.accept(signal)
    assert isinstance(result, Opened)
    return result.remediation


def submitted(app: MemoryApp, signal: Signal = SIGNAL, is_repeat: bool = False) -> Remediation:
    """The remediation of the signal, once its first job was carried out."""
    remediation = opened(app, signal)
    app.host.submit.run(f'{{"v":1,"remediationId":"{remediation.id}","attempt":1}}', is_repeat)
    return app.now(remediation)


def test_an_instance_that_is_well_costs_one_call_and_has_nothing_to_repair() -> None:
    well = app(read("ProtectionConfigured"))
    ended = submitted(well)
    assert (ended.status, ended.resolution, well.arm.calls) == (
        Status.HEALED,
        Resolution.NOTHING_TO_REPAIR,
        ["read"],
    )
    assert (ended.protection_state_before, ended.attempt.submitted_at) == ("ProtectionConfigured", None)


def test_an_instance_in_error_that_is_well_after_the_sync_is_repaired() -> None:
    ended = app(read("ProtectionError")).follow("bi")
    assert (ended.status, ended.resolution) == (Status.HEALED, Resolution.REPAIRED)
    assert (ended.protection_state_before, ended.protection_state) == ("ProtectionError", "ProtectionConfigured")


def test_a_heal_costs_four_calls_when_its_operation_takes_two_polls() -> None:
    broken = app(read("ProtectionError"))
    broken.arm.polled = arm_results.OperationRunning("Inprogress", None)
    ended = broken.follow("bi")
    assert (ended.status, broken.arm.calls) == (Status.HEALED, [*READ_SYNC, "operation", "read"])


def test_while_an_operation_runs_and_the_instance_is_not_well_both_are_asked_in_turn() -> None:
    broken = app(read("ProtectionError"), operation_timeout=5 * MemoryApp().host.settings.cooldown)
    broken.arm.polled = arm_results.OperationRunning("Inprogress", None)
    broken.arm.instance = read("ProtectionError")
    broken.follow("bi")
    assert broken.arm.calls[:7] == [*READ_SYNC, "operation", "read", "operation", "read", "operation"]


@pytest.mark.parametrize(
    "signal", [replace(SIGNAL, source="Request"), replace(SIGNAL, sync_type=SyncType.FORCE_RESYNC)]
)
@pytest.mark.parametrize("before", [read("ProtectionConfigured"), read("ProtectionStopped"), NEVER])
def test_a_sync_that_somebody_asked_for_is_made_whatever_the_state(
    signal: Signal, before: arm_results.InstanceRead
) -> None:
    asked = app(before)
    assert submitted(asked, signal).protection_state_before == before.protection_state
    assert asked.arm.calls == READ_SYNC


def test_while_an_instance_was_well_before_its_operation_is_polled_and_not_the_instance() -> None:
    asked = app(read("ProtectionConfigured"))
    asked.arm.polled = arm_results.OperationRunning("Inprogress", None)
    submitted(asked, replace(SIGNAL, source="Request"))
    for _ in range(3):
        asked.clock.advance(minutes=1)
        asked.host.poller.run()
    assert asked.arm.calls == [*READ_SYNC, "operation", "operation", "operation"]


@pytest.mark.parametrize(
    ("before", "status"),
    [
        (read("ProtectionStopped"), Status.UNHEALTHY),
        (NEVER, Status.REJECTED),
        (arm_results.Refused(404, {"code": "ResourceNotFound", "message": ""}), Status.REJECTED),
    ],
)
def test_what_no_sync_mends_ends_without_one(before: arm_results.InstanceResult, status: Status) -> None:
    useless = app(before)
    ended = submitted(useless)
    assert (ended.status, ended.resolution, useless.arm.calls) == (status, None, ["read"])


@pytest.mark.parametrize("state", ["ProtectionError", "UpdatingProtection", "NotProtected", "BrandNew"])
def test_any_other_state_is_synced(state: str) -> None:
    broken = app(read(state))
    assert submitted(broken).protection_state_before == state
    assert broken.arm.calls == READ_SYNC


def test_a_signal_that_says_the_state_saves_the_read() -> None:
    found = app(read("ProtectionError"))
    point = NOW.replace(day=1)
    known = replace(SIGNAL, source="Sweep", protection_state="ProtectionError", latest_recovery_point=point)
    remediation = submitted(found, known)
    assert found.arm.calls == ["sync"]
    assert (remediation.protection_state_before, remediation.latest_recovery_point_before) == ("ProtectionError", point)


def test_a_message_that_comes_again_proves_nothing_about_the_state_before() -> None:
    healed_by_a_lost_call = app(read("ProtectionConfigured"))
    ended = submitted(healed_by_a_lost_call, is_repeat=True)
    assert (ended.status, ended.protection_state_before, ended.resolution) == (Status.HEALED, None, None)


def test_a_message_that_comes_again_may_still_find_the_instance_in_error() -> None:
    assert submitted(app(read("ProtectionError")), is_repeat=True).protection_state_before == "ProtectionError"


def test_a_host_that_dies_after_its_call_leaves_no_claim_that_there_was_nothing_to_repair() -> None:
    dying = app(read("ProtectionError"))
    remediation = opened(dying)
    dying.arm.sync(remediation.instance, SyncType.DEFAULT, remediation.request_id)
    dying.clock.advance(minutes=2)
    dying.host.poller.run()
    ended = dying.now(remediation)
    assert (ended.status, ended.resolution) == (Status.HEALED, None)


def test_the_read_before_a_lost_job_is_queued_again_counts_as_the_first() -> None:
    losing = app(read("ProtectionError"))
    remediation = opened(losing)
    losing.clock.advance(minutes=2)
    losing.host.poller.run()
    assert losing.now(remediation).protection_state_before == "ProtectionError"
    losing.host.submit.run(f'{{"v":1,"remediationId":"{remediation.id}","attempt":1}}')
    assert losing.arm.calls == READ_SYNC


class SilentReads(MemoryApp):
    """Every read fails."""

    def __init__(self) -> None:
        super().__init__()
        self.arm.before = arm_results.TransientFailure({"code": "Http403", "message": ""})


def test_reads_without_a_verdict_do_not_keep_an_instance_from_being_synced() -> None:
    silent = SilentReads()
    ended = silent.follow("bi")
    assert silent.arm.calls[:4] == ["read", "read", "read", "sync"]
    assert (ended.status, ended.protection_state_before, ended.resolution) == (Status.HEALED, None, None)


def test_a_read_waits_for_its_turn_like_any_other_and_the_sync_for_one_of_its_own() -> None:
    paced = app(read("ProtectionError"))
    turns = {"reads": NOW.replace(minute=10), "writes": NOW.replace(minute=12)}
    limits: dict[str, Any] = {kind: Limit(turn) for kind, turn in turns.items()}
    paced.host = replace(paced.host, read_limit=limits["reads"], write_limit=limits["writes"])
    remediation = submitted(paced)
    assert (remediation.slot_at, paced.arm.calls) == (turns["reads"], [])
    paced.clock.now = turns["reads"]
    message = f'{{"v":1,"remediationId":"{remediation.id}","attempt":1}}'
    paced.host.submit.run(message)
    assert (paced.now(remediation).slot_at, paced.arm.calls) == (turns["writes"], ["read"])
    paced.clock.now = turns["writes"]
    paced.host.submit.run(message)
    assert paced.arm.calls == READ_SYNC


def test_who_waits_without_a_turn_asks_again_without_one() -> None:
    busy = app(read("ProtectionError"))
    soon = NOW + timedelta(seconds=2)
    limit: Any = Limit(soon, is_turn=False)
    busy.host = replace(busy.host, read_limit=limit)
    remediation = submitted(busy)
    assert (remediation.slot_at, remediation.not_before, busy.arm.calls) == (None, soon, [])


class Limit:
    """Gives everybody this turn, and a slot at it."""

    def __init__(self, turn: Any, is_turn: bool = True) -> None:
        self._turn, self._is_turn = turn, is_turn

    def admit(self, subscription_id: str, has_turn: bool) -> Any:
        return None if has_turn else Wait(self._turn, self._is_turn)
