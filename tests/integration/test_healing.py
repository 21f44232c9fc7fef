"""From the signal to the outcome, step by step: what the app does, and what Azure sees of it."""

import json
from datetime import timedelta

import pytest

from shared.domain.remediation import Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import NoSignal, SyncType
from shared.healing.intake import Dropped
from shared.storage.queues import SyncJob
from shared.storage.table_rows import shard_of
from tests.integration.conftest import FAST, INSTANCE, App, AppMaker

LATER = {"minutes": 10}
RETRY = {"max_attempts": 2, "retry_delays": (timedelta(minutes=5),)}


def test_a_failed_instance_is_healed_with_one_post_the_polls_and_one_look(app: App) -> None:
    started = app.started()
    app.host.poller.run()
    assert app.now(started).status is Status.HEALED
    assert app.calls() == ["instance", "sync", "operationStatus", "instance"]


def test_the_sync_call_is_made_as_the_reference_says(app: App) -> None:
    started = app.started()
    (call,) = app.azure.journal("sync")
    assert (call["method"], call["path"], call["query"], call["body"]) == (
        "POST",
        f"{INSTANCE}/sync",
        "api-version=2024-04-01",
        {"syncType": "Default"},
    )
    assert app.now(started).attempt.submitted_at is not None


def test_the_signal_may_ask_for_a_forced_resync(app: App) -> None:
    app.azure.put(str(INSTANCE), behaviour=FAST)
    app.submit(app.open(sync_type=SyncType.FORCE_RESYNC))
    assert app.azure.journal("sync")[0]["body"] == {"syncType": "ForceResync"}


def test_an_outcome_is_published_once_with_the_remediations_id(app: App) -> None:
    started = app.started()
    for _ in range(3):
        app.host.poller.run()
    (event,) = app.azure.events()
    assert (event["id"], event["type"], event["subject"]) == (
        started.id,
        "BackupAutoheal.Remediation.Healed",
        str(INSTANCE),
    )
    assert app.now(started).published_at is not None


def test_what_is_over_is_due_no_more(app: App) -> None:
    started = app.started()
    app.host.poller.run()
    assert app.host.store.due(shard_of(started.id), app.clock() + timedelta(days=99), 10) == []


def test_without_a_topic_an_outcome_is_over_at_once(make_app: AppMaker) -> None:
    quiet = make_app(outcome_topic_endpoint=None)
    started = quiet.started()
    quiet.host.poller.run()
    assert (quiet.now(started).status, quiet.now(started).due_at) == (Status.HEALED, None)


def test_a_sync_that_is_done_at_once_is_verified_too(app: App) -> None:
    started = app.started(syncStatus=200)
    app.host.poller.run()
    assert app.now(started).status is Status.HEALED
    assert app.calls() == ["instance", "sync", "instance"]


def test_a_running_operation_is_polled_when_arm_says_and_not_before(app: App) -> None:
    started = app.started(operationSeconds=30, retryAfter=60)
    app.host.poller.run()
    assert app.calls() == ["instance", "sync"]
    app.clock.advance(seconds=61)
    app.host.poller.run()
    assert app.calls() == ["instance", "sync", "operationStatus"]
    assert app.now(started).status is Status.RUNNING


def test_a_retry_after_as_a_date_is_honoured(app: App) -> None:
    started = app.started(operationSeconds=30, retryAfter="http-date")
    due_at = app.now(started).due_at
    assert due_at is not None
    assert timedelta() < due_at - started.opened_at < timedelta(seconds=5)


def test_location_is_followed_where_there_is_no_operation_status(app: App) -> None:
    started = app.started(omitAsyncHeader=True)
    app.host.poller.run()
    assert app.now(started).status is Status.HEALED
    assert app.calls() == ["instance", "sync", "operationResults", "instance"]


def test_without_any_operation_url_the_instance_is_asked(app: App) -> None:
    started = app.started(omitAsyncHeader=True, omitLocationHeader=True)
    app.clock.advance(seconds=20)
    app.host.poller.run()
    assert app.calls() == ["instance", "sync", "instance"]
    assert app.now(started).status is Status.HEALED


def test_an_instance_that_stays_broken_ends_unhealthy_with_its_error(make_app: AppMaker) -> None:
    app = make_app(max_attempts=1)
    started = app.started(stateAfterSuccess="ProtectionError")
    app.host.poller.run()
    ended = app.now(started)
    assert (ended.status, ended.protection_state) == (Status.UNHEALTHY, "ProtectionError")


@pytest.mark.parametrize("final", ["Failed", "Canceled"])
def test_an_operation_that_fails_ends_failed_with_the_whole_error(make_app: AppMaker, final: str) -> None:
    app = make_app(max_attempts=1)
    error = {"code": "UserErrorX", "message": "why", "details": [{"code": "Y", "message": "inner"}]}
    started = app.started(finalStatus=final, finalError=error)
    app.host.poller.run()
    ended = app.now(started)
    assert (ended.status, ended.error, ended.attempt.operation_status) == (Status.FAILED, error, final)


def test_a_lost_attempt_is_followed_by_the_next_one_after_its_wait(make_app: AppMaker) -> None:
    app = make_app(**RETRY)
    started = app.started(finalStatus="Failed")
    app.host.poller.run()
    assert app.now(started).status is Status.WAITING_TO_RETRY
    app.clock.advance(minutes=6)
    app.host.poller.run()
    assert app.jobs() == [SyncJob(started.id, 2).to_message()]


def test_the_remediation_ends_with_its_last_attempt(make_app: AppMaker) -> None:
    app = make_app(**RETRY)
    started = app.started(finalStatus="Failed")
    app.host.poller.run()
    app.clock.advance(minutes=6)
    app.host.poller.run()
    app.submit(started, attempt=2)
    app.host.poller.run()
    ended = app.now(started)
    assert (ended.status, len(ended.attempts)) == (Status.FAILED, 2)


def test_an_unknown_instance_is_rejected_with_arms_error(app: App) -> None:
    opened = app.open()
    app.submit(opened)
    ended = app.now(opened)
    assert ended.status is Status.REJECTED
    assert ended.error is not None
    assert ended.error["code"] == "SubscriptionNotFound"


def test_a_second_signal_is_counted_on_the_active_remediation(app: App) -> None:
    first = app.open()
    intake = app.host.intake.accept(app.signal())
    assert intake is not None
    assert intake.job is None
    assert (app.now(first).signals, app.now(first).status) == (2, Status.QUEUED)


def test_the_same_instance_in_another_casing_is_the_same_instance(app: App) -> None:
    first = app.open()
    upper = BackupInstanceId(
        INSTANCE.subscription_id, INSTANCE.resource_group, INSTANCE.vault.lower(), INSTANCE.name.upper()
    )
    assert app.open(upper).id == first.id


def test_a_new_failure_after_the_cool_down_opens_anew(app: App) -> None:
    started = app.started()
    app.host.poller.run()
    app.clock.advance(minutes=16)
    assert app.open().id != started.id


def test_what_is_no_signal_changes_nothing(app: App) -> None:
    assert app.host.intake.accept(NoSignal("not about backup")) == Dropped("NoSignal", "not about backup")


def test_junk_in_the_queue_is_logged_and_over_at_once(app: App, caplog: pytest.LogCaptureFixture) -> None:
    app.host.submit.run("junk")
    assert "job.invalid" in caplog.text


def test_a_job_that_the_queue_gave_up_on_decides_nothing_and_is_logged(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    opened = app.open()
    app.host.submit.give_up(f'{{"v":1,"remediationId":"{opened.id}","attempt":1}}')
    assert app.now(opened).status is Status.QUEUED
    assert "job.poison" in caplog.text


def test_after_the_queue_gave_a_job_up_the_due_entry_queues_another(app: App) -> None:
    app.azure.put(str(INSTANCE), behaviour=FAST)
    opened = app.open()
    app.clock.advance(minutes=2)
    app.host.poller.run()
    assert len(app.jobs()) == 1
    assert app.now(opened).status is Status.QUEUED


def test_a_job_that_comes_before_its_time_goes_back_until_then(app: App) -> None:
    opened = app.open(not_before=app.clock() + timedelta(minutes=5))
    app.submit(opened)
    assert (app.calls(), app.jobs(), app.all_jobs()) == ([], [], 1)


def test_an_operation_that_ended_while_the_app_was_down_for_longer_than_the_time_out_is_a_heal(app: App) -> None:
    started = app.started()
    app.clock.advance(hours=7)
    app.host.poller.run()
    assert app.now(started).status is Status.HEALED


def test_an_operation_that_never_ends_times_out(app: App) -> None:
    started = app.started(operationSeconds=99_999, retryAfter=60)
    app.azure.put(str(INSTANCE), protectionState="ProtectionError")
    app.clock.advance(hours=7)
    app.host.poller.run()
    assert app.now(started).status is Status.TIMED_OUT


def test_an_operator_can_cancel(app: App) -> None:
    started = app.started(operationSeconds=30)
    cancelled = app.host.cancel.run(started.id, "maintenance")
    assert cancelled is not None
    app.clock.advance(**LATER)
    app.host.poller.run()
    assert (app.now(started).status, app.calls()) == (Status.CANCELLED, ["instance", "sync"])


def test_each_transition_is_one_json_line(app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="backup_autoheal")
    app.started()
    app.host.poller.run()
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "backup_autoheal"]
    steps = [(line["from"], line["to"]) for line in lines if line["event"] == "remediation.transition"]
    assert steps == [(None, "Queued"), ("Queued", "Running"), ("Running", "Verifying"), ("Verifying", "Healed")]
