"""A poll run: the remediations that it polls, what it caches, and how it shares the work and the read limit."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.clients.outcome_topic import OutcomeTopic, PublishFailed
from shared.domain.remediation import Remediation, Status
from shared.domain.resource_ids import BackupInstanceId
from shared.healing.next_step import NextStep
from shared.storage.queues import ShardQueue
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import SHARDS, DueEntry, shard_of
from tests.integration.conftest import FAST, INSTANCE, App, AppMaker
from tests.support.memory_leases import MemoryLeases
from tests.support.remediations import instance_named

ELSEWHERE = BackupInstanceId(INSTANCE.subscription_id.replace("0", "1"), "testRG", "testVault", "testBI")


def started(app: App, instances: Sequence[BackupInstanceId], **behaviour: object) -> list[Remediation]:
    """These instances have failed, and their sync calls have been answered."""
    for instance in instances:
        app.azure.put(str(instance), behaviour={**FAST, **behaviour})
    # Signals that say the state, so that all reads are the poller's.
    opened = [app.open(instance, protection_state="ProtectionError") for instance in instances]
    for remediation in opened:
        app.submit(remediation)
    return opened


def many(count: int) -> list[BackupInstanceId]:
    return [instance_named(f"disk-{number}") for number in range(count)]


def statuses(app: App, remediations: Sequence[Remediation]) -> list[Status]:
    return [app.now(remediation).status for remediation in remediations]


def looks(app: App) -> int:
    return app.calls().count("operationStatus")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that were read from storage by ticks."""
    ids: list[str] = []
    load_due = RemediationStore.load_due

    def recorded(store: RemediationStore, entries: Sequence[DueEntry]) -> Any:
        ids.extend(entry.remediation_id for entry in entries)
        return load_due(store, entries)

    monkeypatch.setattr(RemediationStore, "load_due", recorded)
    return ids


def test_what_this_process_has_stored_is_not_read_again(app: App, read: list[str]) -> None:
    [remediation] = started(app, [INSTANCE])
    app.host.poller.run()
    assert (app.now(remediation).status, read) == (Status.HEALED, [])


def test_what_another_host_has_stored_is_read(make_app: AppMaker, read: list[str]) -> None:
    one, other = make_app(), make_app()
    [remediation] = started(one, [INSTANCE])
    other.host.poller.run()
    assert (one.now(remediation).status, read) == (Status.HEALED, [remediation.id])


def test_a_tick_reads_just_ahead_of_its_looks(make_app: AppMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = make_app(), make_app(poll_concurrency=1)
    remediations = started(one, many(60))
    other.clock.advance(seconds=61)
    load_due, read, all_read = RemediationStore.load_due, set[str](), Event()
    read_during_the_first_look: list[int] = []

    def load(store: RemediationStore, entries: Sequence[DueEntry]) -> Any:
        read.update(entry.remediation_id for entry in entries)
        if len(read) == len(remediations):
            all_read.set()
        return load_due(store, entries)

    def look(_: NextStep, current: Remediation) -> Remediation:
        if not read_during_the_first_look:
            all_read.wait(0.5)
            read_during_the_first_look.append(len(read))
        return current

    monkeypatch.setattr("shared.healing.due_reader.BATCH_SIZE", 5)
    monkeypatch.setattr(RemediationStore, "load_due", load)
    monkeypatch.setattr(NextStep, "take", look)
    other.host.poller.run()
    # Eight are handed on to the only thread that looks; what was read with the last of them waits.
    assert read_during_the_first_look[0] <= 8 + 5
    assert len(read) == len(remediations)


def test_what_a_host_remembers_does_not_hide_what_another_has_made_of_it(make_app: AppMaker) -> None:
    one, other = make_app(), make_app()
    runs_on = {"status": 200, "headers": {"Retry-After": "1"}, "body": {"status": "Inprogress"}}
    [remediation] = started(one, [INSTANCE], pollFaults=[runs_on, {"status": 503, "headers": {"Retry-After": "60"}}])
    one.host.poller.run()  # looked at again soon: this host remembers it and stores nothing
    other.host.poller.run()  # no answer: stored, to be looked at in a minute
    one.clock.advance(seconds=90)
    one.host.poller.run()
    assert one.now(remediation).status is Status.HEALED


def test_an_operator_who_cancels_during_a_wait_is_not_overruled_by_what_a_host_remembers(app: App) -> None:
    [remediation] = started(app, [INSTANCE])
    app.host.cancel.run(remediation.id, "not now")
    for _ in range(2):
        app.clock.advance(seconds=30)
        app.host.poller.run()
    assert app.now(remediation).status is Status.CANCELLED


def by_shard(remediations: Sequence[Remediation]) -> dict[str, list[Remediation]]:
    found: dict[str, list[Remediation]] = {}
    for one in remediations:
        found.setdefault(shard_of(one.id), []).append(one)
    return found


def test_more_than_one_host_should_do_alone_wakes_others_and_is_done_here_when_none_comes(make_app: AppMaker) -> None:
    timer = make_app(max_due_per_host=3)
    remediations = started(timer, many(8))
    timer.host.poller.run()
    assert len(timer.shard_jobs()) == len(by_shard(remediations)) - 1
    assert set(statuses(timer, remediations)) == {Status.HEALED}


def test_a_host_that_is_woken_polls_its_shard(make_app: AppMaker) -> None:
    other = make_app(max_due_per_host=3)
    shards = by_shard(started(other, many(8)))
    other.host.poller.run_shard('{"v":1,"shard":"0"}')
    assert set(statuses(other, shards.pop("0"))) == {Status.HEALED}
    assert {status for of_shard in shards.values() for status in statuses(other, of_shard)} == {Status.RUNNING}


def test_a_shard_that_another_host_works_on_is_left_to_it(make_app: AppMaker) -> None:
    timer = make_app(max_due_per_host=3)
    shards = by_shard(started(timer, many(12)))
    timer.host.leases.take("0")
    timer.host.poller.run()
    timer.host.poller.run_shard('{"v":1,"shard":"0"}')
    assert set(statuses(timer, shards.pop("0"))) == {Status.RUNNING}
    assert {status for of_shard in shards.values() for status in statuses(timer, of_shard)} == {Status.HEALED}


def test_hosts_that_share_what_is_due_poll_each_once(make_app: AppMaker) -> None:
    leases = MemoryLeases()
    hosts = [replace(make_app(max_due_per_host=3).host, leases=leases) for _ in range(3)]
    app = make_app()
    remediations = started(app, many(60))
    with ThreadPoolExecutor() as threads:
        for run in [threads.submit(host.poller.run) for host in hosts]:
            run.result()
    assert set(statuses(app, remediations)) == {Status.HEALED}
    assert looks(app) == 60
    assert leases.held == set()


def test_little_is_polled_without_a_lease(app: App) -> None:
    started(app, many(8))
    app.host.poller.run()
    assert isinstance(app.host.leases, MemoryLeases)
    assert app.host.leases.taken == []


def test_without_a_queue_what_is_due_is_done_here(make_app: AppMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise ServiceRequestError("no queue")

    app = make_app(max_due_per_host=3)
    remediations = started(app, many(8))
    monkeypatch.setattr(ShardQueue, "send", away)
    app.host.poller.run()
    assert set(statuses(app, remediations)) == {Status.HEALED}


def test_without_leases_what_is_due_is_done_all_the_same(make_app: AppMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise ServiceRequestError("no blobs")

    app = make_app(max_due_per_host=3)
    remediations = started(app, many(8))
    monkeypatch.setattr(app.host.leases, "take", away)
    app.host.poller.run()
    assert set(statuses(app, remediations)) == {Status.HEALED}


@pytest.mark.parametrize(
    "message", ["", "{", "null", '{"v":2,"shard":"0"}', '{"v":1,"shard":"9"}', '{"v":1,"shard":[]}']
)
def test_junk_among_the_shard_jobs_is_told_and_dropped(
    app: App, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    app.host.poller.run_shard(message)
    assert "shard.invalid" in caplog.text


def test_a_shard_that_this_process_works_on_already_is_left_alone(app: App) -> None:
    started(app, [INSTANCE])
    for shard in SHARDS:
        app.host.cache.shard_lock(shard).acquire()
    app.host.poller.run()
    assert looks(app) == 0


def test_looks_beyond_the_read_budget_wait_for_their_slots(make_app: AppMaker) -> None:
    app = make_app(arm_read_burst=3, arm_reads_per_second=0.01)
    started(app, many(6), operationSeconds=600)
    app.host.poller.run()
    assert looks(app) == 3
    app.clock.advance(seconds=120)
    app.host.poller.run()
    assert looks(app) == 4


def test_one_subscriptions_famine_of_reads_delays_no_other(make_app: AppMaker) -> None:
    app = make_app(arm_read_burst=3, arm_reads_per_second=0.01)
    started(app, many(12), operationSeconds=600)
    [elsewhere] = started(app, [ELSEWHERE])
    app.host.poller.run()
    assert app.now(elsewhere).status is Status.HEALED


def test_a_tick_tells_what_it_did(app: App, caplog: pytest.LogCaptureFixture) -> None:
    started(app, many(2))
    caplog.set_level("INFO", logger="backup_autoheal")
    app.host.poller.run()
    [told] = [line for line in caplog.messages if '"tick.done"' in line]
    assert '"due": 2, "looked": 2, "left": 0' in told


def test_every_line_of_a_tick_is_written_by_the_functions_own_thread(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    remediations = started(app, many(6))
    corrupt = app.open(instance_named("corrupt"))
    table = app.table
    table.update_entity({**table.get_entity(shard_of(corrupt.id), f"r:{corrupt.id}"), "Document0": "{"})
    app.host.cache.forget(corrupt.id)
    caplog.set_level("INFO", logger="backup_autoheal")
    app.host.poller.run()
    assert set(statuses(app, remediations)) == {Status.HEALED}
    assert "remediation.corrupt" in caplog.text
    # A read of the page that an earlier test left behind may still end in this process: no part of the tick.
    threads = {record.threadName for record in caplog.records if record.name == "backup_autoheal"}
    assert {name for name in threads if not str(name).startswith("page")} == {"MainThread"}


def test_an_operation_that_runs_for_long_does_not_look_late(app: App, caplog: pytest.LogCaptureFixture) -> None:
    started(app, [INSTANCE], operationSeconds=3600, retryAfter=10)
    caplog.set_level("INFO", logger="backup_autoheal")
    for _ in range(20):
        app.clock.advance(seconds=30)
        app.host.poller.run()
    oldest = min(entry.at for shard in SHARDS if (entry := app.host.store.soonest(shard)))
    assert app.clock() - oldest < timedelta(minutes=3)


def test_a_cancel_on_another_host_is_announced_though_this_one_remembers_more(make_app: AppMaker) -> None:
    one, other = make_app(), make_app()
    [remediation] = started(one, [INSTANCE], operationSeconds=3600, retryAfter=1)
    one.host.poller.run()
    other.host.cancel.run(remediation.id, "not now")
    for _ in range(5):
        one.clock.advance(seconds=40)
        one.host.poller.run()
    assert [event["type"] for event in one.azure.events()] == ["BackupAutoheal.Remediation.Cancelled"]


def test_a_record_that_is_mended_after_a_while_is_looked_at_again(app: App) -> None:
    [remediation] = started(app, [INSTANCE])
    table, key = app.table, (shard_of(remediation.id), f"r:{remediation.id}")
    document = table.get_entity(*key)["Document0"]
    app.host.cache.forget(remediation.id)
    table.update_entity({"PartitionKey": key[0], "RowKey": key[1], "Document0": "{"})
    app.host.poller.run()
    table.update_entity({"PartitionKey": key[0], "RowKey": key[1], "Document0": document})
    app.clock.advance(minutes=61)
    app.host.poller.run()
    assert app.now(remediation).status is Status.HEALED


def test_a_row_of_nonsense_stops_no_other(app: App) -> None:
    nonsense, sound = started(app, many(2))
    row = {"PartitionKey": shard_of(nonsense.id), "RowKey": f"r:{nonsense.id}", "EntryAt": "9" * 40}
    app.host.cache.forget(nonsense.id)
    app.table.update_entity(row)
    app.host.poller.run()
    assert app.now(sound).status is Status.HEALED


def test_a_topic_that_takes_nothing_is_asked_once_in_a_tick(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def silent(_: OutcomeTopic, ended: Sequence[Remediation]) -> None:
        asked.append(len(ended))
        raise PublishFailed("no answer")

    remediations = started(app, many(45))
    with monkeypatch.context() as patch:
        patch.setattr(OutcomeTopic, "publish", silent)
        app.host.poller.run()
        assert asked == [20]
        app.host.poller.run()
        assert asked == [20]
    app.clock.advance(minutes=1)
    app.host.poller.run()
    assert {event["id"] for event in app.azure.events()} == {one.id for one in remediations}


def test_an_outcome_that_no_topic_can_take_keeps_no_other_from_it(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    remediations = started(app, many(5))
    unfit, publish = remediations[2].id, OutcomeTopic.publish

    def picky(topic: OutcomeTopic, ended: Sequence[Remediation]) -> None:
        if unfit in {one.id for one in ended}:
            raise PublishFailed("one of these", in_parts=True)
        publish(topic, ended)

    monkeypatch.setattr(OutcomeTopic, "publish", picky)
    app.host.poller.run()
    assert {event["id"] for event in app.azure.events()} == {one.id for one in remediations} - {unfit}


@pytest.mark.parametrize("retry_after", [30, 3600])
def test_a_wait_that_azure_asked_for_is_no_secret_of_this_host(app: App, retry_after: int) -> None:
    started(app, [INSTANCE], operationSeconds=7200, retryAfter=retry_after)
    app.host.poller.run()
    [soonest] = [entry.at for shard in SHARDS if (entry := app.host.store.soonest(shard))]
    assert soonest > app.clock() + timedelta(seconds=retry_after / 2)


def test_a_cancel_on_another_host_during_a_long_wait_is_announced_soon(make_app: AppMaker) -> None:
    one, other = make_app(), make_app()
    one.azure.put(str(INSTANCE), behaviour={"syncFaults": [{"status": 403}]})
    remediation = one.open()
    one.submit(remediation)
    assert one.now(remediation).status is Status.WAITING_TO_RETRY
    other.host.cancel.run(remediation.id, "not now")
    one.clock.advance(seconds=30)
    one.host.poller.run()
    assert [event["type"] for event in one.azure.events()] == ["BackupAutoheal.Remediation.Cancelled"]
