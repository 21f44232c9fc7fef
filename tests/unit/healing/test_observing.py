"""Observe mode: everything is done but the sync call, on whatever host a step runs."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.arm_results import OperationFailed, TransientFailure
from shared.domain.backup_results import PointsRead, Schedule
from shared.domain.mode import Mode
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.remediation import Remediation, Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal, SyncType
from shared.healing.intake import Dropped, Opened
from shared.storage.backup_slots import BackupSlots
from tests.support.host import NoBackups
from tests.support.memory_azure import MemoryApp
from tests.support.remediations import ERROR, INSTANCE, read


def app_with_a_broken_instance(mode: Mode = Mode.OBSERVE, **settings: Any) -> MemoryApp:
    app = MemoryApp(mode=mode, outcome_topic_endpoint="https://topic.example", **settings)
    app.arm.instance = read("ProtectionError")
    return app


def switch(app: MemoryApp, mode: Mode) -> None:
    """The host starts anew with this mode."""
    app.host = replace(app.host, settings=replace(app.host.settings, mode=mode))


def polled(app: MemoryApp, remediation: Remediation, seconds: float = 1) -> Remediation:
    app.clock.advance(seconds=seconds)
    app.host.poller.run()
    return app.now(remediation)


def submit(app: MemoryApp, remediation: Remediation, attempt: int = 1) -> None:
    app.host.submit.run(f'{{"v":1,"remediationId":"{remediation.id}","attempt":{attempt}}}')


def test_a_failed_instance_is_read_and_never_synced() -> None:
    app = app_with_a_broken_instance()
    ended = polled(app, app.start("bi"))
    assert (ended.status, ended.protection_state, app.arm.calls) == (Status.WOULD_HEAL, "ProtectionError", ["read"])


def test_what_would_have_been_healed_is_announced() -> None:
    app = app_with_a_broken_instance()
    started = app.start("bi")
    polled(app, started)
    assert app.topic.announced == [started.id]


def test_the_sync_that_would_have_been_made_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    app_with_a_broken_instance(sync_type=SyncType.FORCE_RESYNC).start("bi")
    assert any('"sync.withheld"' in line and '"ForceResync"' in line for line in caplog.messages)


def test_a_repeated_job_of_a_withheld_sync_is_stale() -> None:
    app = app_with_a_broken_instance()
    started = app.start("bi")
    before = app.now(started)
    submit(app, started)
    assert app.now(started) == before


def test_a_remediation_that_was_opened_to_heal_is_not_synced_by_a_host_that_observes() -> None:
    app = app_with_a_broken_instance(Mode.HEAL)
    opened = app.open("bi")
    switch(app, Mode.OBSERVE)
    submit(app, opened)
    assert (polled(app, opened).status, app.arm.calls) == (Status.WOULD_HEAL, ["read"])


def test_an_operation_that_runs_when_the_app_begins_to_observe_is_polled_to_its_end() -> None:
    app = app_with_a_broken_instance(Mode.HEAL)
    started = app.start("bi")
    switch(app, Mode.OBSERVE)
    app.arm.instance = read("ProtectionConfigured")
    assert (polled(app, started).status, app.arm.calls) == (Status.HEALED, ["read", "sync", "operation", "read"])


def test_the_next_attempt_of_a_heal_is_withheld_when_the_app_has_begun_to_observe() -> None:
    app = app_with_a_broken_instance(Mode.HEAL, force_resync_from_attempt=2)
    app.arm.polled = OperationFailed("Failed", ERROR)
    started = app.start("bi")
    switch(app, Mode.OBSERVE)
    polled(app, started)
    polled(app, started, seconds=600)
    submit(app, started, attempt=2)
    ended = polled(app, started)
    assert (ended.status, ended.attempt.sync_type, app.arm.calls.count("sync")) == (
        Status.WOULD_HEAL,
        SyncType.FORCE_RESYNC,
        1,
    )


def test_what_was_withheld_ends_as_such_on_a_host_that_heals() -> None:
    app = app_with_a_broken_instance()
    started = app.start("bi")
    switch(app, Mode.HEAL)
    assert (polled(app, started).status, app.arm.calls) == (Status.WOULD_HEAL, ["read"])


def test_a_signal_right_after_the_switch_is_healed() -> None:
    app = app_with_a_broken_instance()
    polled(app, app.start("bi"))
    switch(app, Mode.HEAL)
    healing = app.start("bi")
    app.arm.instance = read("ProtectionConfigured")
    assert (polled(app, healing).status, app.arm.calls.count("sync")) == (Status.HEALED, 1)


def test_what_was_observed_does_not_count_towards_the_daily_cap_of_heals() -> None:
    app = app_with_a_broken_instance(daily_cap=2, cooldown=MemoryApp().host.settings.cooldown * 0)
    for _ in range(2):
        polled(app, app.start("bi"))
    assert isinstance(app.accept("bi"), Dropped)
    switch(app, Mode.HEAL)
    app.arm.instance = read("ProtectionConfigured")
    for _ in range(2):
        app.arm.break_again()
        polled(app, app.start("bi"))
    assert (app.arm.calls.count("sync"), isinstance(app.accept("bi"), Dropped)) == (2, True)


def test_while_it_observes_an_instance_cools_down_as_it_would_after_a_heal() -> None:
    app = app_with_a_broken_instance()
    polled(app, app.start("bi"))
    assert isinstance(app.accept("bi"), Dropped)
    app.clock.advance(minutes=16)
    assert isinstance(app.accept("bi"), Opened)


def test_what_is_observed_can_be_cancelled() -> None:
    app = app_with_a_broken_instance()
    opened = app.open("bi")
    app.host.cancel.run(opened.id, "not needed")
    assert (polled(app, opened).status, app.arm.calls) == (Status.CANCELLED, [])


class Backups(NoBackups):
    """Of an instance whose scheduled backups fail: it has no point, and gets none. Counts calls for a backup."""

    def __init__(self) -> None:
        self.calls = 0

    def schedule(self, instance: BackupInstanceId) -> Schedule:
        return Schedule("rule", "tag", timedelta(hours=4), is_continuous=False)

    def points(self, instance: BackupInstanceId, is_continuous: bool) -> PointsRead:
        return PointsRead(())

    def newest(self, instance: BackupInstanceId) -> None:
        return None

    def back_up(self, instance: BackupInstanceId, *_: object) -> TransientFailure:
        self.calls += 1
        return TransientFailure(ERROR)


@pytest.mark.parametrize(("mode", "is_called"), [(Mode.HEAL, True), (Mode.OBSERVE, False)])
def test_no_backup_is_made_while_the_app_observes(mode: Mode, is_called: bool) -> None:
    app = MemoryApp(mode=mode, outcome_topic_endpoint="https://topic.example", recovery=RecoveryMode.BACKUP)
    app.arm.before = read("ProtectionConfigured")
    backups = Backups()
    slots = BackupSlots(app.store._table, 1, app.clock)
    app.host = replace(app.host, backups=backups, latest_points=backups, slots=slots)
    result = app.host.intake.accept(Signal(INSTANCE, "Event", "backup failed", app.clock(), backup_failed=True))
    assert isinstance(result, Opened)
    submit(app, result.remediation)
    for _ in range(60):
        polled(app, result.remediation, seconds=60)
    assert (app.now(result.remediation).status, backups.calls > 0) == (Status.RECOVERING, is_called)
