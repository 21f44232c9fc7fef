"""Faults of Azure and of storage during a heal: each by its name, and how the remediation ends."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.clients.credential import managed_identity
from shared.domain.remediation import Status
from shared.domain.signal import SyncType
from shared.storage.queues import SyncJob, SyncJobQueue
from shared.storage.table_rows import shard_of
from tests.integration.conftest import FAST, INSTANCE, App, AppMaker
from tests.support.remediations import instance_named

LATER = {"minutes": 10}
RETRY = {"max_attempts": 2, "retry_delays": (timedelta(minutes=5),)}


def reads(state: str) -> dict[str, object]:
    """The instance shows this state, whatever the simulated Azure thinks."""
    return {"status": 200, "body": {"properties": {"currentProtectionState": state}}}


def test_a_topic_that_is_down_gets_the_outcome_later(app: App) -> None:
    app.azure.set(topicFaults=[{"status": 503}])
    started = app.started()
    app.host.poller.run()
    assert app.now(started).published_at is None
    app.clock.advance(**LATER)
    app.host.poller.run()
    assert [event["id"] for event in app.azure.events()] == [started.id]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "headers": {"Retry-After": "7"}},
        {"status": 429},
        {"status": 500},
        {"status": 502, "body": "<html>bad gateway</html>"},
        {"status": 503, "headers": {"Retry-After": "7"}},
        {"status": 504},
    ],
)
def test_a_sync_call_without_a_verdict_goes_back_to_the_queue(app: App, fault: dict[str, object]) -> None:
    opened = app.started(syncFaults=[fault])
    assert (app.now(opened).status, app.all_jobs()) == (Status.QUEUED, 1)
    app.clock.advance(**LATER)
    app.submit(opened)
    app.host.poller.run()
    assert app.now(opened).status is Status.HEALED


def test_after_a_sync_call_whose_answer_is_lost_the_instance_is_read_before_another_one(app: App) -> None:
    opened = app.started(syncFaults=[{"kind": "reset"}])
    assert (app.now(opened).status, app.all_jobs()) == (Status.VERIFYING, 0)
    app.clock.advance(**LATER)
    app.host.poller.run()
    assert (app.now(opened).status, app.all_jobs()) == (Status.QUEUED, 1)
    app.submit(opened)
    app.clock.advance(**LATER)
    app.host.poller.run()
    assert app.now(opened).status is Status.HEALED


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "1"}},
        {"status": 200, "body": "<html>"},
        {"kind": "reset"},
    ],
)
@pytest.mark.parametrize("where", ["pollFaults", "readFaults"])
def test_a_look_without_a_verdict_is_taken_again(app: App, where: str, fault: dict[str, object]) -> None:
    before = [reads("ProtectionError")] if where == "readFaults" else []
    started = app.started(**{where: [*before, fault]})
    app.host.poller.run()
    assert not app.now(started).status.is_terminal
    app.clock.advance(**LATER)
    app.host.poller.run()
    assert app.now(started).status is Status.HEALED


def test_a_sync_call_that_a_crash_kept_from_being_recorded_is_followed_by_looks_not_by_calls(app: App) -> None:
    app.azure.put(str(INSTANCE), behaviour={"operationSeconds": 3600, "retryAfter": 5})
    opened = app.open()
    app.host.arm.sync(INSTANCE, SyncType.DEFAULT, "00000000-0000-0000-0000-000000000000")
    app.submit(opened)
    for _ in range(5):
        app.clock.advance(minutes=6)
        app.host.poller.run()
    assert [entry["status"] for entry in app.azure.journal("sync")] == [202, 409]
    assert app.now(opened).status is Status.VERIFYING


def test_an_attempt_that_met_another_operation_is_made_once_that_is_over(app: App) -> None:
    opened = app.started(syncFaults=[{"status": 409}])
    app.clock.advance(**LATER)
    app.host.poller.run()
    app.submit(opened)
    app.host.poller.run()
    assert app.now(opened).status is Status.HEALED
    assert len(app.now(opened).attempts) == 1


def test_an_operation_that_arm_forgot_is_answered_by_the_instance(app: App) -> None:
    started = app.started(pollFaults=[{"status": 404}])
    app.host.poller.run()
    assert app.now(started).status is Status.HEALED
    assert app.calls() == ["instance", "sync", "operationStatus", "instance"]


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:1/subscriptions/04cf684a-d41f-4550-9f70-7708a3a2283b/providers/Microsoft.DataProtection/x",
        "{base}/subscriptions/14cf684a-d41f-4550-9f70-7708a3a2283b/providers/Microsoft.DataProtection/operationStatus/x",
        "{base}/subscriptions/04cf684a-d41f-4550-9f70-7708a3a2283b/providers/Microsoft.Storage/operationStatus/x",
        "http://localhost/subscriptions/04cf684a-d41f-4550-9f70-7708a3a2283b/providers/Microsoft.DataProtection/x",
    ],
)
def test_an_operation_url_that_is_not_arms_ends_the_attempt_and_gets_no_token(make_app: AppMaker, url: str) -> None:
    app = make_app(max_attempts=1)
    started = app.started(operationUrl=url)
    app.host.poller.run()
    ended = app.now(started)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert ended.error["code"] == "UnsafeOperationUrl"
    assert app.calls() == ["instance", "sync"]


def test_a_redirect_is_not_followed(app: App) -> None:
    elsewhere = {"status": 302, "headers": {"Location": f"{app.azure.url}/subscriptions/x"}}
    app.started(pollFaults=[elsewhere])
    app.host.poller.run()
    assert app.calls() == ["instance", "sync", "operationStatus"]


def test_a_sync_that_keeps_asking_to_be_repeated_at_once_is_repeated_ever_later(app: App) -> None:
    at_once = {"status": 503, "headers": {"Retry-After": "0"}}
    opened = app.started(syncFaults=[at_once] * 9)
    waits = []
    for _ in range(6):
        due_at = app.now(opened).due_at
        assert due_at is not None
        waits.append(due_at - app.clock())
        app.clock.advance(minutes=6)
        app.submit(opened)
    assert waits == sorted(waits)
    assert waits[-1] - waits[0] > timedelta(seconds=25)


def test_a_repeated_job_does_not_shorten_the_wait_that_azure_asked_for(app: App) -> None:
    opened = app.started(syncFaults=[{"status": 429, "headers": {"Retry-After": "60"}}])
    for _ in range(3):
        app.submit(opened)
    assert app.calls() == ["instance", "sync"]


@pytest.mark.parametrize(
    ("meanwhile", "shown", "calls"),
    [
        ("tick", reads("ProtectionError"), ["instance", "sync", "instance", "operationStatus", "instance"]),
        ("tick", reads("UpdatingProtection"), ["instance", "sync", "instance", "operationStatus", "instance"]),
        ("tick", {"status": 503}, ["instance", "sync", "instance", "operationStatus", "instance"]),
        ("signal", None, ["instance", "sync", "operationStatus", "instance"]),
    ],
)
def test_what_azure_answered_counts_though_the_record_changed_during_the_call(
    app: App, monkeypatch: pytest.MonkeyPatch, meanwhile: str, shown: object, calls: list[str]
) -> None:
    app.azure.put(
        str(INSTANCE), behaviour={**FAST, "readFaults": [reads("ProtectionError"), *([shown] if shown else [])]}
    )
    opened, really_sync = app.open(), app.host.arm.sync

    def sync(*arguments: Any) -> Any:
        answer = really_sync(*arguments)
        if meanwhile == "tick":
            app.clock.advance(seconds=61)
            app.host.poller.run()
        else:
            app.host.intake.accept(app.signal())
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(app.host.arm, "sync", sync)
        app.submit(opened)
    app.host.poller.run()
    assert app.now(opened).attempt.submitted_at is not None
    assert (app.now(opened).status, app.calls()) == (Status.HEALED, calls)


def test_a_repeated_job_makes_no_second_call(app: App) -> None:
    started = app.started(operationSeconds=30)
    app.submit(started)
    assert app.calls() == ["instance", "sync"]


def test_a_job_of_an_unknown_remediation_is_dropped(app: App) -> None:
    app.host.submit.run('{"v":1,"remediationId":"000000000000-0000000000000000","attempt":1}')
    assert app.calls() == []


def test_a_topic_that_is_down_is_left_alone_until_the_back_off_is_over(app: App) -> None:
    app.azure.set(topicFaults=[{"status": 503}])
    app.started()
    for _ in range(3):
        app.host.poller.run()
    assert [entry["status"] for entry in app.azure.journal("topic")] == [503]


def test_a_lost_job_is_queued_again(app: App) -> None:
    app.azure.put(str(INSTANCE))
    opened = app.open()
    app.clock.advance(seconds=61)
    app.host.poller.run()
    assert app.jobs() == [SyncJob(opened.id, 1).to_message()]
    assert len(app.now(opened).history) == len(opened.history)


def test_a_call_whose_record_a_crash_took_is_not_made_again_when_the_instance_is_well(app: App) -> None:
    app.azure.put(str(INSTANCE), behaviour=FAST)
    opened = app.open()
    app.host.arm.sync(INSTANCE, SyncType.DEFAULT, "request")
    app.clock.advance(seconds=61)
    app.host.poller.run()
    assert app.now(opened).status is Status.HEALED
    assert (app.calls(), app.jobs()) == (["sync", "instance"], [])


def test_a_lost_job_that_syncs_in_all_cases_is_queued_again_whatever_the_instance_shows(app: App) -> None:
    app.azure.put(str(INSTANCE), protectionState="ProtectionConfigured")
    intake = app.host.intake.accept(app.signal(sync_type=SyncType.FORCE_RESYNC))
    assert intake
    assert intake.job
    app.clock.advance(seconds=61)
    app.host.poller.run()
    assert (app.jobs(), app.calls()) == ([intake.job.to_message()], [])


def test_a_job_that_waits_its_turn_is_not_queued_again(app: App) -> None:
    app.open()
    app.host.poller.run()
    assert app.all_jobs() == 0


def test_of_two_hosts_in_the_same_tick_one_ends_the_remediation(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = make_app(), make_app()
    started = one.started()
    caplog.set_level("INFO", logger="backup_autoheal")
    with ThreadPoolExecutor() as hosts:
        for run in [hosts.submit(app.host.poller.run) for app in (one, other)]:
            run.result()
    assert {event["id"] for event in one.azure.events()} == {started.id}
    assert caplog.text.count('"to": "Healed"') == 1


def test_a_record_that_cannot_be_read_stops_no_other(app: App, caplog: pytest.LogCaptureFixture) -> None:
    corrupt = app.open(instance_named("corrupt"))
    table = app.table
    row = table.get_entity(shard_of(corrupt.id), f"r:{corrupt.id}")
    table.update_entity({**row, "Document0": "{"})
    started = app.started()
    app.host.poller.run()
    assert app.now(started).status is Status.HEALED
    assert corrupt.id in caplog.text


def test_a_token_that_is_refused_before_its_time_is_replaced_once(app: App) -> None:
    started = app.started()
    app.azure.set(revokeTokens=True)
    app.host.poller.run()
    assert app.now(started).status is Status.HEALED
    assert [entry["status"] for entry in app.azure.journal("operationStatus")] == [401, 200]


def test_a_call_that_stays_unauthorized_is_made_twice_and_waits_for_the_next_attempt(app: App) -> None:
    started = app.started(syncFaults=[{"status": 401}] * 4)
    assert [entry["status"] for entry in app.azure.journal("sync")] == [401, 401]
    assert app.now(started).status is Status.WAITING_TO_RETRY


def test_without_an_identity_endpoint_nothing_is_lost(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("IDENTITY_ENDPOINT", "https://localhost:1/msi/token")
        patch.setattr(app.tokens, "_credential", managed_identity(None))
        opened = app.started()
        error = app.now(opened).error
    assert (app.now(opened).status, app.all_jobs()) == (Status.QUEUED, 1)
    assert error is not None
    assert error["code"] == "TokenUnavailable"
    app.clock.advance(**LATER)
    app.submit(opened)
    app.host.poller.run()
    assert app.now(opened).status is Status.HEALED


def test_a_queue_that_is_away_loses_no_attempt(
    make_app: AppMaker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(**RETRY)

    def away(*_: object) -> None:
        raise ServiceRequestError("no queue")

    started = app.started(finalStatus="Failed")
    app.host.poller.run()
    app.clock.advance(minutes=6)
    with monkeypatch.context() as patch:
        patch.setattr(SyncJobQueue, "send", away)
        app.host.poller.run()
    assert "job.not_queued" in caplog.text
    app.clock.advance(minutes=2)
    app.host.poller.run()
    assert app.jobs() == [SyncJob(started.id, 2).to_message()]


def test_hosts_whose_clocks_differ_by_minutes_end_a_remediation_once(make_app: AppMaker) -> None:
    punctual, ahead = make_app(), make_app(clock_ahead=timedelta(minutes=5))
    started = punctual.started()
    ahead.host.poller.run()
    punctual.host.poller.run()
    assert punctual.now(started).status is Status.HEALED
    assert [event["id"] for event in punctual.azure.events()] == [started.id]


def test_no_token_reaches_the_log(app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    app.started(syncFaults=[{"status": 401}])
    app.host.poller.run()
    token = app.tokens.get()
    assert token not in caplog.text


@pytest.mark.parametrize("status", [400, 403])
def test_an_instance_that_is_healed_while_each_poll_is_refused_ends_healed(app: App, status: int) -> None:
    started = app.started(pollFaults=[{"status": status}] * 50)
    for _ in range(5):
        app.host.poller.run()
        app.clock.advance(minutes=2)
    assert app.now(started).status is Status.HEALED
    assert app.calls().count("sync") == 1


def test_an_accepted_sync_whose_operation_is_not_known_yet_is_not_sent_again(app: App) -> None:
    started = app.started(pollFaults=[{"status": 404}] * 3, operationSeconds=120)
    app.azure.put(str(INSTANCE), protectionState="ProtectionError")
    for _ in range(3):
        app.host.poller.run()
        app.clock.advance(minutes=1)
    assert app.now(started).status is Status.RUNNING
    assert app.calls().count("sync") == 1


def test_an_accepted_sync_without_operation_urls_is_watched_by_its_instance(app: App) -> None:
    accepted = {"status": 202, "body": {}}
    app.azure.put(str(INSTANCE), protectionState="ProtectionError", behaviour={**FAST, "syncFaults": [accepted]})
    started = app.open()
    app.submit(started)
    app.clock.advance(minutes=1)
    app.host.poller.run()
    assert app.now(started).status is Status.RUNNING
    app.azure.put(str(INSTANCE), protectionState="ProtectionConfigured")
    app.clock.advance(minutes=1)
    app.host.poller.run()
    assert app.now(started).status is Status.HEALED


def test_a_state_that_the_app_does_not_know_is_logged_by_its_name(app: App, caplog: pytest.LogCaptureFixture) -> None:
    shown = {"status": 200, "body": {"properties": {"currentProtectionState": "ProtectionHibernated"}}}
    app.started(readFaults=[shown])
    app.host.poller.run()
    assert "ProtectionHibernated" in caplog.text
    assert "instance.unknown_state" in caplog.text
