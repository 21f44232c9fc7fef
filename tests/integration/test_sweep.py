"""The sweep on real storage and a simulated Resource Graph."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from dev.stack.stack import Stack
from shared.clients.arm_transport import ArmTransport
from shared.clients.backup_inventory import BackupInventory
from shared.clients.credential import TokenCache, managed_identity
from shared.clients.resource_graph import QueryResult, QuerySucceeded, ResourceGraph
from shared.domain.finding import Finding, FindingKind
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.remediation import Status
from shared.domain.resource_ids import BackupInstanceId
from shared.healing.finding_reports import FindingReports
from shared.healing.finding_search import FindingSearch
from shared.healing.sweep import Sweep, SweepFailed
from shared.rate_limits.rate_limiter import Gcra
from shared.rate_limits.sweep_quota import SweepQuota
from shared.settings import Settings
from shared.storage.bucket_store import BucketStore
from shared.storage.finding_store import FindingStore
from shared.storage.first_points import FirstPoints
from tests.integration.conftest import FAST, App, AppMaker
from tests.integration.hosts import KillableHost
from tests.support.processes import until
from tests.support.simulator import ARM_AUDIENCE, SUBSCRIPTION, VAULT, Json, Simulator

OTHER = SUBSCRIPTION.replace("0", "1")
THROTTLED = {"status": 429, "headers": {"Retry-After": "3"}}
DOWN = {"status": 503}


class Sleeps:
    """How long was slept, without having slept."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


def graph_of(app: App, sleeps: Sleeps, subscriptions: tuple[str, ...] = ()) -> ResourceGraph:
    tokens = TokenCache(lambda: managed_identity(None), ARM_AUDIENCE)
    calls = ArmTransport(tokens, requests.Session())
    return ResourceGraph(app.azure.url, subscriptions, calls, app.clock, sleeps)


def sweep_of(app: App, sleeps: Sleeps, subscriptions: tuple[str, ...] = ()) -> Sweep:
    quota = SweepQuota(Gcra(200, 10), BucketStore(app.table), app.clock)
    graph = graph_of(app, sleeps, subscriptions)
    return Sweep(graph, app.host.intake, quota, app.host.jobs, app.clock, lambda: 0.5)


@pytest.fixture
def sweep(app: App, sleeps: Sleeps) -> Sweep:
    return sweep_of(app, sleeps)


@pytest.fixture
def ask(app: App, sleeps: Sleeps) -> Callable[[], QueryResult]:
    graph = graph_of(app, sleeps)
    return lambda: graph.broken_instances(app.clock() + timedelta(seconds=30))


def put(azure: Simulator, *names: str, vault: str = VAULT, **properties: object) -> list[str]:
    """Broken instances, unless the properties say otherwise."""
    ids = [f"{vault}/backupInstances/{name}" for name in names]
    azure.control("PUT", "instances", [{"id": each, "behaviour": FAST, **properties} for each in ids])
    return ids


def found(answer: QueryResult) -> list[str]:
    assert isinstance(answer, QuerySucceeded), answer
    return [str(broken.id) for broken in answer.instances]


def queries(azure: Simulator) -> list[Json]:
    return [entry["body"] for entry in azure.journal("graph")]


def test_a_swept_instance_is_healed(app: App, sweep: Sweep) -> None:
    put(app.azure, "broken", protectionState="ConfiguringProtectionFailed")
    put(app.azure, "well", protectionState="ProtectionConfigured")
    [opened] = sweep.run().opened
    [job] = app.jobs()
    app.host.submit.run(job)
    app.host.poller.run()
    stored = app.host.store.load(str(opened.remediation_id))
    assert stored is not None
    assert (stored.remediation.status, stored.remediation.source) == (Status.HEALED, "Sweep")
    assert len(app.azure.journal("sync")) == 1


def test_the_next_sweep_leaves_what_is_being_healed(app: App, sweep: Sweep) -> None:
    put(app.azure, "a", "b")
    assert len(sweep.run().opened) == 2
    assert sweep.run().skipped_by_code == {"AlreadyActive": 2}


def test_a_dry_run_leaves_storage_as_it_was(app: App, sweep: Sweep) -> None:
    put(app.azure, "a", "b")
    sweep.run()
    put(app.azure, "c")
    before = rows(app)
    swept = sweep.preview()
    assert ([str(each.instance)[-1] for each in swept.opened], len(swept.skipped)) == (["c"], 2)
    assert rows(app) == before
    assert app.all_jobs() == 2


def rows(app: App) -> list[tuple[str, str, str | None]]:
    table = app.table
    return [(row["PartitionKey"], row["RowKey"], row.metadata["etag"]) for row in table.list_entities()]


def test_the_turns_of_a_sweep_are_kept_in_storage(make_app: AppMaker, sleeps: Sleeps) -> None:
    app = make_app()
    put(app.azure, *(f"bi-{number}" for number in range(60)))
    here, other_host = sweep_of(app, sleeps).run(), sweep_of(make_app(), sleeps)
    put(app.azure, "later")
    assert other_host.run().opened[0].begins_at > max(each.begins_at for each in here.opened)


def test_all_pages_are_read(app: App, ask: Callable[[], QueryResult]) -> None:
    ids = put(app.azure, *(f"bi-{number:04d}" for number in range(1001)))
    assert found(ask()) == ids
    assert [body["options"].get("$skipToken") is None for body in queries(app.azure)] == [True, False]


def test_without_subscriptions_all_that_can_be_read_are_asked(app: App, ask: Callable[[], QueryResult]) -> None:
    ids = put(app.azure, "here") + put(app.azure, "there", vault=VAULT.replace(SUBSCRIPTION, OTHER))
    assert sorted(found(ask())) == sorted(ids)
    assert all("subscriptions" not in body for body in queries(app.azure))


def test_only_the_named_subscriptions_are_asked(app: App, sleeps: Sleeps) -> None:
    put(app.azure, "here")
    there = put(app.azure, "there", vault=VAULT.replace(SUBSCRIPTION, OTHER))
    assert found(graph_of(app, sleeps, (OTHER,)).broken_instances(app.clock())) == there


def test_more_than_a_thousand_subscriptions_are_asked_in_parts(app: App, sleeps: Sleeps) -> None:
    here = put(app.azure, "here")
    there = put(app.azure, "there", vault=VAULT.replace(SUBSCRIPTION, OTHER))
    many = [f"{number:08x}-0000-0000-0000-000000000000" for number in range(999)]
    assert found(graph_of(app, sleeps, (SUBSCRIPTION, *many, OTHER)).broken_instances(app.clock())) == [*here, *there]
    assert [len(body["subscriptions"]) for body in queries(app.azure)] == [1000, 1]


@pytest.mark.parametrize(
    ("faults", "waits"),
    [
        ([THROTTLED], [3]),
        ([{"status": 429, "headers": {"x-ms-user-quota-resets-after": "00:00:04"}}], [4]),
        ([{"status": 429, "headers": {"x-ms-user-quota-resets-after": "soon"}}], [5]),
        ([DOWN, {"kind": "reset"}], [2, 4]),
    ],
)
def test_a_query_that_gets_no_answer_is_asked_again(
    app: App, sleeps: Sleeps, ask: Callable[[], QueryResult], faults: list[Json], waits: list[float]
) -> None:
    ids = put(app.azure, "a")
    app.azure.set(graphFaults=faults)
    assert found(ask()) == ids
    assert sleeps.seconds == waits


def test_a_used_up_quota_is_waited_for_before_the_next_page(
    app: App, sleeps: Sleeps, ask: Callable[[], QueryResult]
) -> None:
    row = {"id": put(app.azure, "a")[0], "protectionState": "ProtectionError"}
    headers = {"x-ms-user-quota-remaining": "0", "x-ms-user-quota-resets-after": "00:00:03"}
    pages = [{"data": [row], "$skipToken": "x"}, {"data": []}]
    app.azure.set(graphFaults=[{"status": 200, "headers": headers, "body": page} for page in pages])
    assert len(found(ask())) == 1
    assert sleeps.seconds == [3]


@pytest.mark.parametrize("faults", [[{"status": 429, "headers": {"Retry-After": "60"}}], [DOWN] * 4])
def test_there_is_no_sweep_while_resource_graph_does_not_answer(app: App, sweep: Sweep, faults: list[Json]) -> None:
    put(app.azure, "a")
    app.azure.set(graphFaults=[*faults, {"status": 429, "headers": {"Retry-After": "3600"}}])
    with pytest.raises(SweepFailed) as raised:
        sweep.run()
    assert raised.value.refused is None
    assert app.all_jobs() == 0


def test_a_refusal_is_not_asked_again_and_kept_whole(app: App, sweep: Sweep) -> None:
    error = {"code": "AuthorizationFailed", "message": "no", "details": [{"code": "NoScope", "message": "none"}]}
    app.azure.set(graphFaults=[{"status": 403, "body": {"error": error}}])
    with pytest.raises(SweepFailed) as raised:
        sweep.run()
    assert (raised.value.refused, raised.value.error) == (403, error)
    assert len(queries(app.azure)) == 1


@pytest.mark.parametrize(
    "body",
    ["junk", [], {}, {"data": {}}, {"data": None}, {"data": [], "$skipToken": 5}],
)
def test_an_answer_that_is_none_opens_nothing(app: App, sweep: Sweep, body: object) -> None:
    app.azure.set(graphFaults=[{"status": 200, "body": body}] * 2)
    with pytest.raises(SweepFailed) as raised:
        sweep.run()
    assert raised.value.error["code"] == "InvalidResponse"


def test_a_page_that_names_itself_as_the_next_ends_the_query(app: App, sweep: Sweep) -> None:
    app.azure.set(graphFaults=[{"status": 200, "body": {"data": [], "$skipToken": "again"}}] * 3)
    with pytest.raises(SweepFailed):
        sweep.run()
    assert len(queries(app.azure)) == 2


def test_rows_that_name_no_broken_instance_are_skipped_with_a_line_in_the_log(
    app: App, sweep: Sweep, caplog: pytest.LogCaptureFixture
) -> None:
    good = {"id": put(app.azure, "a")[0], "protectionState": "ProtectionError"}
    hostile = [None, 5, {}, {**good, "id": VAULT}, {**good, "id": "\n{forged}"}, {**good, "protectionState": []}]
    app.azure.set(graphFaults=[{"status": 200, "body": {"data": [*hostile, good]}}])
    swept = sweep.run()
    assert (len(swept.opened), swept.unreadable) == (1, len(hostile))
    assert len([each for each in caplog.messages if "sweep.row_skipped" in each]) == len(hostile)
    assert all("\n" not in message for message in caplog.messages)


def test_an_answer_that_is_not_about_everything_is_told(
    app: App, ask: Callable[[], QueryResult], caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"x-ms-tenant-subscription-limit-hit": "true"}
    app.azure.set(graphFaults=[{"status": 200, "headers": headers, "body": {"data": []}}])
    assert found(ask()) == []
    assert any("sweep.incomplete" in message for message in caplog.messages)


def opened_for(instance: str, swept: Json) -> list[Json]:
    """Those of one instance: the shared host may still work on what an earlier test left."""
    return [each for each in swept["opened"]["value"] if each["backupInstanceId"] == instance]


def test_the_route_sweeps_and_says_what_became_of_each_finding(stack: Stack, simulator: Simulator) -> None:
    vault = f"{VAULT}-{time.time_ns()}"
    [instance] = put(simulator, "bi", vault=vault)

    dry = stack.host.call("POST", "/api/sweep?dryRun=true", None)
    assert (dry.status_code, len(opened_for(instance, dry.json()))) == (200, 1)
    assert not [each for each in simulator.journal("sync") if instance in each["path"]]

    swept = stack.host.call("POST", "/api/sweep", None)
    assert (swept.status_code, swept.json()["found"] >= 1) == (202, True)
    [opened] = opened_for(instance, swept.json())
    remediation = f"/api/remediations/{opened['remediationId']}"
    until(lambda: stack.host.call("GET", remediation, None).json()["status"] == "Healed", "healed", 30)


def test_given_a_failed_nightly_job_when_it_sweeps_with_recovery_then_a_remediation_of_a_well_instance_is_opened(
    app: App, sleeps: Sleeps
) -> None:
    settings = replace(Settings(), recovery=RecoveryMode.WATCH)
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    old_point = (hour_ago - timedelta(hours=23)).isoformat()
    error = {"code": "UserErrorSnapshotLimit", "message": "Too many snapshots."}
    failed = {"started": hour_ago.isoformat(), "error": error}
    cases: dict[str, Json] = {
        "failed": {"jobs": [failed]},
        "caught-up": {"jobs": [failed, {"started": hour_ago.isoformat(), "status": "Completed"}]},
        "stale": {"policy": {"name": "hourly", "interval": "PT1H"}},
        "continuous": {"policy": {"name": "blobs", "isContinuous": True}},
    }
    for name, changes in cases.items():
        properties: Json = {"protectionState": "ProtectionConfigured", "recoveryPoints": [old_point], **changes}
        put(app.azure, name, **properties)
    inventory = BackupInventory(graph_of(app, sleeps))
    search = FindingSearch(inventory, settings.policy(), timedelta(hours=2), app.clock, FirstPoints(app.table))
    reports = FindingReports(FindingStore(app.table), None, app.clock)
    intake = replace(app.host.intake, policy=settings.policy())

    swept = replace(sweep_of(app, sleeps), intake=intake, findings=search, reports=reports).run()

    assert swept.findings is not None
    assert {found.instance.name: found.kind for found in swept.findings.listed} == {
        "failed": "JobFailed",
        "stale": "Stale",
    }
    assert sorted(each.instance.name for each in swept.opened) == ["failed", "stale"]
    assert len(FindingStore(app.table).reported()) == swept.findings.new == 2


def test_on_real_storage_a_finding_changes_and_goes_by_compare_and_swap(app: App) -> None:
    store, at = FindingStore(app.table), app.clock()
    instance = BackupInstanceId(SUBSCRIPTION, "rg", "vault", f"bi-{time.time_ns()}")
    first = Finding(instance, FindingKind.JOB_FAILED, at, None, None, "job-1")
    reported = store.report(first, None)
    assert reported is not None
    assert store.report(first, None) is None
    newer = store.report(replace(first, job_id="job-2"), reported)
    assert newer is not None
    store.mark_announced(reported)
    store.remove(reported)
    assert [each for each in store.reported() if each.key == instance.key] == [newer]
    store.mark_announced(newer)
    [announced] = [each for each in store.reported() if each.key == instance.key]
    assert announced.is_announced
    store.remove(announced)
    assert not [each for each in store.reported() if each.key == instance.key]


def test_the_timer_sweeps(stack: Stack, simulator: Simulator, tmp_path: Path) -> None:
    [instance] = put(simulator, "bi", vault=f"{VAULT}-{time.time_ns()}")
    host = KillableHost("sweeper", tmp_path, {**stack.app_settings(), "SWEEP_SCHEDULE": "* * * * * *"})
    host.start()
    try:
        host.wait()
        until(lambda: [each for each in simulator.events() if each["subject"] == instance], "an outcome", 30)
    finally:
        host.service.stop()
    outcomes = [each["type"] for each in simulator.events() if each["subject"] == instance]
    assert outcomes == ["BackupAutoheal.Remediation.Healed"]


def test_given_recovery_off_when_a_real_host_sweeps_each_second_then_a_failed_nightly_job_is_announced_once(
    stack: Stack, simulator: Simulator, tmp_path: Path
) -> None:
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    [instance] = put(
        simulator,
        "bi",
        vault=f"{VAULT}-{time.time_ns()}",
        protectionState="ProtectionConfigured",
        recoveryPoints=[(hour_ago - timedelta(days=1)).isoformat()],
        jobs=[{"started": hour_ago.isoformat()}],
    )
    settings = {**stack.app_settings(), "SWEEP_SCHEDULE": "* * * * * *", "STALE_AFTER": "PT6H"}
    host = KillableHost("finder", tmp_path, settings)
    host.start()
    try:
        host.wait()
        # Six searches, of which the first tells it.
        until(lambda: len([each for each in queries(simulator) if "backupjobs" in each["query"]]) >= 6, "searches", 60)
    finally:
        host.service.stop()
    [event] = [each for each in simulator.events() if each["subject"] == instance]
    assert (event["type"], event["data"]["kind"]) == ("BackupAutoheal.Finding.Stale", "JobFailed")
    assert not simulator.journal("sync")
