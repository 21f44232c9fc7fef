"""After the heal: the app waits for a recovery point newer than the failure, and makes a backup where one failed."""

from datetime import datetime, timedelta

import pytest

from shared.clock import from_iso, to_iso
from shared.domain.recovery import Recovery
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.remediation import Remediation, Status
from shared.storage.backup_slots import BackupSlots
from tests.integration.conftest import FAST, INSTANCE, App, AppMaker

WATCH, BACKUP = {"recovery": RecoveryMode.WATCH}, {"recovery": RecoveryMode.BACKUP}
QUICK = {**FAST, "backupSeconds": 0}
DAY = timedelta(days=1)
THROTTLED = {"code": "UserErrorBackupRequestThrottled", "message": "The daily limit is reached."}
BUSY = {"code": "UserErrorMaxConcurrentOperationLimitReached", "message": "Too many backups are running."}


def put(app: App, *points: datetime, **properties: object) -> None:
    """The instance is broken, with these recovery points; what is named changes that."""
    shown = {"behaviour": QUICK, "recoveryPoints": [to_iso(point) for point in points], **properties}
    app.azure.put(str(INSTANCE), **shown)


def run_until(app: App, remediation: Remediation, *statuses: Status, minutes: int = 10, runs: int = 20) -> Remediation:
    """Poll runs, with some time between them, until it has one of the statuses."""
    for _ in range(runs):
        app.host.poller.run()
        if app.now(remediation).status in statuses:
            return app.now(remediation)
        app.clock.advance(minutes=minutes)
    raise AssertionError(f"it is {app.now(remediation).status}")


def healed(app: App, **signal: object) -> Remediation:
    opened = app.open(INSTANCE, **signal)
    app.submit(opened)
    return run_until(app, opened, Status.RECOVERING, Status.HEALED, minutes=1)


def recovery(remediation: Remediation) -> Recovery:
    assert remediation.recovery
    return remediation.recovery


def events(app: App) -> list[tuple[str, str]]:
    return [(event["type"].rpartition(".")[2], event["id"]) for event in app.azure.events()]


def test_without_the_setting_a_heal_is_the_end(app: App) -> None:
    put(app)
    ended = healed(app, backup_failed=True)
    assert (ended.status, ended.recovery, ended.due_at) == (Status.HEALED, None, None)


def test_a_heal_goes_on_until_there_is_a_point_newer_than_the_failure(make_app: AppMaker) -> None:
    app = make_app(**WATCH)
    before = app.clock() - DAY
    put(app, before)
    waiting = healed(app)
    assert run_until(app, waiting, Status.RECOVERING).status is Status.RECOVERING
    after = app.clock()
    put(app, before, after, protectionState="ProtectionConfigured")
    ended = run_until(app, waiting, Status.RECOVERED)
    assert to_iso(recovery(ended).point or before) == to_iso(after)
    assert recovery(ended).gap_seconds == pytest.approx((after - before).total_seconds(), abs=0.01)
    assert recovery(ended).point_id


def test_heal_and_recovery_are_announced_in_order_each_with_an_id_of_its_own(make_app: AppMaker) -> None:
    app = make_app(**BACKUP)
    put(app)
    ended = run_until(app, healed(app, backup_failed=True), Status.RECOVERED)
    app.host.poller.run()
    assert events(app) == [("Healed", ended.id), ("Recovered", f"{ended.id}-recovery")]
    assert app.now(ended).due_at is None


def test_a_failed_backup_is_made_up_for_by_one_backup_on_demand(make_app: AppMaker) -> None:
    app = make_app(**BACKUP)
    before = app.clock() - DAY
    put(app, before)
    ended = run_until(app, healed(app, backup_failed=True), Status.RECOVERED)
    assert [entry["status"] for entry in app.azure.journal("backup")] == [202]
    backup = recovery(ended).backup
    assert backup
    assert (backup.status, backup.operation_status_url) == ("Completed", None)
    assert to_iso(recovery(ended).point_before or app.clock()) == to_iso(before)


def test_no_backup_is_made_where_none_failed_and_the_newest_point_is_young(make_app: AppMaker) -> None:
    app = make_app(**BACKUP)
    put(app, app.clock() - timedelta(hours=2))
    run_until(app, healed(app), Status.RECOVERING)
    assert app.azure.journal("backup") == []


def test_a_backup_is_made_where_the_newest_point_is_older_than_the_policys_interval(make_app: AppMaker) -> None:
    app = make_app(**BACKUP)
    put(app, app.clock() - timedelta(hours=5), policy={"interval": "PT4H"})
    run_until(app, healed(app), Status.RECOVERED)
    assert len(app.azure.journal("backup")) == 1


def test_the_daily_cap_holds_however_often_the_backup_fails(make_app: AppMaker) -> None:
    app = make_app(**BACKUP, cooldown=timedelta(), daily_cap=50)
    failing = {**QUICK, "backupStatus": "Failed"}
    put(app, behaviour=failing)
    for _ in range(5):
        waiting = healed(app, backup_failed=True)
        for _ in range(6):
            app.host.poller.run()
            app.clock.advance(minutes=6)
        assert app.now(waiting).status is Status.RECOVERING
    assert len(app.azure.journal("backup")) == 1


@pytest.mark.parametrize("refusal", [THROTTLED, {"code": "UserErrorAny", "message": "no"}])
def test_a_backup_that_azure_refuses_is_not_repeated_and_the_schedule_is_waited_for(
    make_app: AppMaker, refusal: dict[str, str]
) -> None:
    app = make_app(**BACKUP)
    put(app, behaviour={**QUICK, "backupRefusal": refusal})
    waiting = healed(app, backup_failed=True)
    for _ in range(10):
        app.host.poller.run()
        app.clock.advance(minutes=40)
    still = app.now(waiting)
    assert (still.status, len(app.azure.journal("backup"))) == (Status.RECOVERING, 1)
    backup = recovery(still).backup
    assert backup
    assert backup.error
    assert backup.error["code"] == refusal["code"]


def test_a_backup_that_others_keep_from_being_made_is_asked_for_again(make_app: AppMaker) -> None:
    app = make_app(**BACKUP)
    put(app, behaviour={**QUICK, "backupRefusal": BUSY})
    waiting = healed(app, backup_failed=True)
    run_until(app, waiting, Status.RECOVERING)
    for _ in range(4):
        app.host.poller.run()
        app.clock.advance(minutes=1)
    put(app, protectionState="ProtectionConfigured")
    assert run_until(app, waiting, Status.RECOVERED, minutes=31).status is Status.RECOVERED
    assert len(app.azure.journal("backup")) == 2


def test_without_a_point_until_the_deadline_it_is_not_recovered(make_app: AppMaker) -> None:
    app = make_app(**WATCH, recovery_timeout=timedelta(hours=3))
    put(app, app.clock() - DAY)
    ended = run_until(app, healed(app), Status.NOT_RECOVERED, minutes=30)
    app.host.poller.run()
    assert recovery(ended).ended_at
    assert events(app)[-1] == ("NotRecovered", f"{ended.id}-recovery")


@pytest.mark.parametrize(("interval", "hours"), [("P1D", 48), ("PT4H", 8), ("P1W", 336)])
def test_the_deadline_is_two_intervals_of_the_policy(make_app: AppMaker, interval: str, hours: int) -> None:
    app = make_app(**WATCH)
    put(app, policy={"interval": interval})
    waiting = healed(app)
    app.clock.advance(minutes=1)
    app.host.poller.run()
    known = app.now(waiting)
    assert known.ended_at
    assert recovery(known).deadline == known.ended_at + timedelta(hours=hours)


def test_continuous_backup_recovers_by_its_time_ranges_and_without_a_backup(make_app: AppMaker) -> None:
    app = make_app(**BACKUP)
    policy = {"name": "blobs", "isContinuous": True}
    put(app, app.clock() - DAY, policy=policy)
    waiting = healed(app, backup_failed=True)
    run_until(app, waiting, Status.RECOVERING)
    put(app, app.clock() - DAY, app.clock(), policy=policy, protectionState="ProtectionConfigured")
    ended = run_until(app, waiting, Status.RECOVERED)
    assert (recovery(ended).point_id, app.azure.journal("backup")) == (None, [])


def test_a_new_failure_while_it_recovers_is_healed_by_itself(make_app: AppMaker) -> None:
    app = make_app(**WATCH, cooldown=timedelta())
    put(app)
    waiting = healed(app)
    put(app)
    assert app.open().id != waiting.id
    assert app.now(waiting).status is Status.RECOVERING


def test_an_operator_can_end_the_wait(make_app: AppMaker) -> None:
    app = make_app(**WATCH)
    put(app)
    waiting = healed(app)
    ended = app.host.cancel.run(waiting.id, "taken by hand")
    assert ended
    assert (ended.status, ended.history[-1].reason) == (Status.NOT_RECOVERED, "taken by hand")


def test_one_query_of_resource_graph_serves_all_instances_of_a_subscription(make_app: AppMaker) -> None:
    app = make_app(**WATCH)
    others = [type(INSTANCE)(INSTANCE.subscription_id, "testRG", "testVault", f"other-{n}") for n in range(5)]
    for each in others:
        app.azure.put(str(each), behaviour=QUICK, recoveryPoints=[to_iso(app.clock() - DAY)])
        app.submit(app.open(each))
    for _ in range(6):
        app.host.poller.run()
        app.clock.advance(minutes=1)
    asked = len(app.azure.journal("graph"))
    read = len(app.azure.journal("recoveryPoints"))
    for _ in range(3):
        app.clock.advance(minutes=6)
        app.host.poller.run()
    assert len(app.azure.journal("graph")) - asked <= 3
    assert len(app.azure.journal("recoveryPoints")) == read


def test_an_instance_that_is_gone_is_not_recovered(make_app: AppMaker) -> None:
    app = make_app(**WATCH)
    put(app)
    waiting = healed(app)
    app.azure.control("POST", "reset")
    ended = run_until(app, waiting, Status.NOT_RECOVERED, minutes=61)
    assert ended.error
    assert from_iso(to_iso(recovery(ended).ended_at or app.clock()))


def test_the_slot_of_a_backup_goes_when_it_counts_no_more(make_app: AppMaker) -> None:
    app = make_app(**BACKUP)
    put(app)
    healed(app, backup_failed=True)
    run_until_called(app)
    slots = BackupSlots(app.table, 1, app.clock)
    assert slots.purge() == 0
    app.clock.advance(hours=25)
    assert (slots.purge(), slots.purge()) == (1, 0)


def run_until_called(app: App) -> None:
    for _ in range(10):
        if app.azure.journal("backup"):
            return
        app.host.poller.run()
        app.clock.advance(minutes=1)
    raise AssertionError("no backup was called for")
