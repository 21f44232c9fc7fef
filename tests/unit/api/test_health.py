"""`GET /api/health`: each part says how it is, and no part keeps the others from being heard."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import NoReturn, cast

import azure.functions as func
import pytest
from azure.data.tables import TableClient

from shared.api.health import Health
from shared.api.meta import MetaApi
from shared.api.principal import Platform
from shared.clock import to_iso
from shared.domain.arm_results import Reachable, TransientFailure, new_error
from shared.domain.coverage import Coverage
from shared.domain.mode import Mode
from shared.storage.bucket_store import BucketStore
from shared.storage.finding_store import FindingsSummary, FindingStore
from shared.storage.queues import SyncJob
from shared.storage.run_store import LastSweep, RunStore
from shared.version import VERSION
from tests.support.api_parts import Json, described, document
from tests.support.memory_queue import MemoryQueue
from tests.support.memory_store import MemoryStore
from tests.support.memory_table import MemoryTable
from tests.support.remediations import NOW, queued

OPENED = queued().opened_at
JOB = SyncJob(queued().id, 1)
TWO_SUBSCRIPTIONS = Reachable(2)
UNREACHABLE = TransientFailure(new_error("NoResponse", "all wrong"))


class Broken(Exception):
    """Something that nobody expects."""


@dataclass
class Parts:
    """The parts of the app, all well until a test says otherwise."""

    at: datetime = OPENED
    store: Callable[[], MemoryStore] = field(default=MemoryStore)
    buckets: Callable[[], BucketStore] = lambda: MemoryStore().buckets
    token: Callable[[], str] = lambda: "token"
    reached: Reachable | TransientFailure = TWO_SUBSCRIPTIONS
    asked: int = 0
    table: MemoryTable = field(default_factory=MemoryTable)

    @property
    def runs(self) -> RunStore:
        return RunStore(cast(TableClient, self.table), lambda: self.at)

    def reach(self) -> Reachable | TransientFailure:
        self.asked += 1
        return self.reached

    def health(self) -> Health:
        jobs, poison = MemoryQueue(JOB, JOB, JOB), MemoryQueue(JOB)
        return Health(
            self.store,
            self.buckets,
            lambda: jobs,
            lambda: poison,
            self.token,
            self.reach,
            lambda: self.at,
            Mode.OBSERVE,
            lambda: self.runs,
        )


def findings_in(store: MemoryStore) -> FindingStore:
    return FindingStore(cast(TableClient, store.table))


def test_without_the_setting_health_says_nothing_about_findings() -> None:
    assert "findings" not in checks(Parts().health())


def test_before_the_first_search_no_findings_are_counted() -> None:
    health = Parts().health()
    health.findings = lambda: findings_in(MemoryStore())
    assert checks(health)["findings"] == {"status": "ok", "count": None, "searchedAt": None}


def test_the_findings_of_the_last_search_are_counted_and_are_no_reason_to_be_ill() -> None:
    store, health = findings_in(MemoryStore()), Parts().health()
    store.put_summary(FindingsSummary(OPENED, {"JobFailed": 2, "Stale": 1}, is_complete=True))
    health.findings = lambda: store
    found = checks(health)["findings"]
    assert (found["status"], found["count"], found["byKind"]) == ("ok", 3, {"JobFailed": 2, "Stale": 1})


def store_with_a_due_entry() -> MemoryStore:
    store = MemoryStore()
    store.open(queued(), None)
    return store


def get(health: Health) -> func.HttpResponse:
    return described(MetaApi(health).check_health(), "GET", "/health")


def checks(health: Health) -> Json:
    found: Json = document(get(health))["checks"]
    return found


def broken() -> NoReturn:
    raise Broken("all wrong")


def test_all_is_well() -> None:
    response = get(Parts().health())
    assert (response.status_code, document(response)["status"]) == (200, "ok")
    assert document(response)["version"] == VERSION


def test_without_the_setting_health_says_nothing_about_sign_in() -> None:
    assert "signIn" not in checks(Parts().health())


@pytest.mark.parametrize(("is_on", "status"), [(True, "ok"), (False, "degraded")])
def test_a_sign_in_that_the_platform_does_not_serve_is_said_and_is_no_reason_to_be_ill(
    is_on: bool, status: str
) -> None:
    health = Parts().health()
    health.sign_in = Platform(is_on, frozenset())
    assert (get(health).status_code, checks(health)["signIn"]["status"]) == (200, status)
    assert ("reason" in checks(health)["signIn"]) is not is_on


def test_the_mode_is_said() -> None:
    assert document(get(Parts().health()))["mode"] == "Observe"


def test_the_queues_tell_their_depths() -> None:
    assert checks(Parts().health())["queue"] == {"status": "ok", "depth": 3, "poisonDepth": 1}


@pytest.mark.parametrize(("minutes", "status"), [(-1, "ok"), (0, "ok"), (10, "ok"), (11, "late")])
def test_what_is_overdue_for_long_says_that_nothing_is_polled(minutes: int, status: str) -> None:
    parts = Parts(store=store_with_a_due_entry, at=OPENED + timedelta(minutes=minutes))
    storage = checks(parts.health())["storage"]
    assert (storage["status"], storage["overdueSeconds"]) == (status, max(minutes, 0) * 60)


@pytest.mark.parametrize(
    ("parts", "part"),
    [
        (Parts(store=broken), "storage"),
        (Parts(buckets=broken), "storage"),
        (Parts(token=broken), "token"),
        (Parts(reached=UNREACHABLE), "resourceManager"),
    ],
    ids=["storage", "buckets", "token", "resourceManager"],
)
def test_a_broken_part_says_why_and_the_others_how_they_are(parts: Parts, part: str) -> None:
    response = get(parts.health())
    found = document(response)["checks"]
    assert (response.status_code, document(response)["status"]) == (503, "unavailable")
    assert "all wrong" in found[part]["reason"]
    assert [name for name, check in found.items() if check["status"] != "ok"] == [part]


def test_a_row_that_cannot_be_read_degrades_and_takes_no_host_out_of_service() -> None:
    store = MemoryStore()
    store.corrupt_rows.report("0", "d:junk", "no time")
    store.corrupt_rows.report("0", "r:junk", "no document")
    response = get(Parts(store=lambda: store).health())
    storage = document(response)["checks"]["storage"]
    assert (response.status_code, document(response)["status"]) == (200, "degraded")
    assert (storage["status"], storage["corruptRows"]) == ("degraded", 2)


def test_no_proxy_keeps_what_a_probe_is_told() -> None:
    assert get(Parts(token=broken).health()).headers["Cache-Control"] == "no-store"


def test_a_reason_names_no_signature_of_a_url() -> None:
    def refused() -> NoReturn:
        raise Broken("HTTPSConnectionPool: Max retries exceeded with url: /t()?sv=1&sig=secret%3D (Caused by DNS)")

    reason = checks(Parts(store=refused).health())["storage"]["reason"]
    assert reason == "Broken: HTTPSConnectionPool: Max retries exceeded with url: /t()?... (Caused by DNS)"


def test_an_identity_without_a_role_is_pointed_out() -> None:
    assert "no role" in checks(Parts(reached=Reachable(0)).health())["resourceManager"]["reason"]


@pytest.mark.parametrize(
    ("reached", "seconds", "asked"),
    [(Reachable(1), 59, 1), (Reachable(1), 61, 2), (UNREACHABLE, 9, 1), (UNREACHABLE, 11, 2)],
)
def test_resource_manager_is_asked_seldom(reached: Reachable | TransientFailure, seconds: int, asked: int) -> None:
    parts = Parts(reached=reached)
    health = parts.health()
    get(health)
    parts.at += timedelta(seconds=seconds)
    get(health)
    assert parts.asked == asked


class Silent:
    """Storage that does not answer before the test has ended."""

    def __init__(self) -> None:
        self.asked = 0
        self.over = Event()

    def __call__(self) -> MemoryStore:
        self.asked += 1
        self.over.wait(60)
        return MemoryStore()


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    monkeypatch.setattr("shared.api.meta.PART_TIMEOUT", 0.05)
    storage = Silent()
    yield storage
    storage.over.set()


def test_a_silent_part_is_not_waited_for(silent: Silent) -> None:
    found = checks(Parts(store=silent).health())
    assert (found["storage"]["status"], found["queue"]["status"]) == ("unavailable", "ok")
    assert "no answer within" in found["storage"]["reason"]


def test_a_silent_part_is_asked_once_however_often_the_probe_comes(silent: Silent) -> None:
    health = Parts(store=silent).health()
    for _ in range(3):
        get(health)
    assert silent.asked == 1


def test_the_moment_is_that_of_the_check() -> None:
    assert checks(Parts(at=NOW).health())["resourceManager"]["checkedAt"] == "2026-01-02T03:04:05.678Z"


def test_before_the_first_poll_run_and_sweep_health_says_so_and_is_well() -> None:
    response = get(Parts().health())
    assert document(response)["status"] == "ok"
    assert (checks(Parts().health())["poller"], checks(Parts().health())["sweep"]) == (
        {"status": "ok", "lastRunAt": None},
        {"status": "ok", "lastRunAt": None},
    )


def test_the_last_poll_run_is_said() -> None:
    parts = Parts()
    parts.runs.put_poll_run(3, 2)
    assert checks(parts.health())["poller"] == {"status": "ok", "lastRunAt": to_iso(OPENED), "due": 3, "polled": 2}


def test_a_timer_that_ran_long_ago_degrades_and_takes_no_host_out_of_service() -> None:
    parts = Parts()
    parts.runs.put_poll_run(0, 0)
    parts.at += timedelta(minutes=11)
    response = get(parts.health())
    assert (response.status_code, document(response)["status"]) == (200, "degraded")
    assert "no poll run" in checks(parts.health())["poller"]["reason"]


def test_the_last_sweep_is_said_with_what_it_saw() -> None:
    parts = Parts()
    parts.runs.put_sweep(LastSweep(OPENED, 2, 5, Coverage(3, 3, instances=40)))
    sweep = checks(parts.health())["sweep"]
    assert (sweep["status"], sweep["lastRunAt"], sweep["opened"], sweep["skipped"]) == ("ok", to_iso(OPENED), 2, 5)
    assert (sweep["subscriptions"]["readable"], sweep["instances"]) == (3, 40)


def test_a_subscription_that_cannot_be_read_degrades_and_is_named() -> None:
    parts = Parts()
    parts.runs.put_sweep(LastSweep(OPENED, coverage=Coverage(2, 1, ("sub-2",), 1, 40)))
    response = get(parts.health())
    assert (response.status_code, document(response)["status"]) == (200, "degraded")
    assert checks(parts.health())["sweep"]["subscriptions"]["refused"] == ["sub-2"]


def test_a_failed_sweep_degrades_and_says_why() -> None:
    parts = Parts()
    parts.runs.put_sweep(LastSweep(failed_at=OPENED, failure="AuthorizationFailed: no"))
    assert checks(parts.health())["sweep"]["reason"] == "the last sweep failed: AuthorizationFailed: no"


def test_where_every_check_of_storage_keeps_silent_azure_is_heard_all_the_same() -> None:
    silence, parts = Event(), Parts()
    health = parts.health()

    def silent() -> NoReturn:
        silence.wait()
        raise Broken

    health.store, health.jobs, health.runs, health.findings = silent, silent, silent, silent
    try:
        _, found = health.check(timeout=0.5)
    finally:
        silence.set()
    assert found["checks"]["resourceManager"]["status"] == "ok"
    assert found["checks"]["poller"] == {"status": "unavailable", "reason": "no answer within 0 s"}
