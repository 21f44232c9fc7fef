"""The health of the app: each part says how it is, and no part keeps the others from being heard."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import Any, cast

import pytest

from shared.api import health
from shared.api.health import Health
from shared.domain.arm_results import Reachable, TransientFailure, new_error
from shared.storage.queues import SyncJobQueue
from tests.support.episodes import NOW, queued
from tests.support.memory_store import MemoryStore

Json = dict[str, Any]
OPENED = queued().opened_at


class Broken(Exception):
    """Something that nobody expects."""


@dataclass
class Queue:
    """So many messages."""

    messages: int = 0

    def depth(self) -> int:
        return self.messages


def nothing_wrong() -> str:
    return "token"


@dataclass
class Parts:
    """What the app consists of, all well until a test says otherwise."""

    at: datetime = OPENED
    store: Callable[[], MemoryStore] = field(default=MemoryStore)
    token: Callable[[], str] = nothing_wrong
    reached: Reachable | TransientFailure = field(default_factory=lambda: Reachable(2))
    asked: int = 0

    def reach(self) -> Reachable | TransientFailure:
        self.asked += 1
        return self.reached

    def health(self) -> Health:
        jobs, poison = cast(SyncJobQueue, Queue(3)), cast(SyncJobQueue, Queue(1))
        return Health(lambda: self.store(), lambda: jobs, lambda: poison, self.token, self.reach, lambda: self.at)


def with_an_entry() -> MemoryStore:
    store = MemoryStore()
    store.open(queued(), None)
    return store


def checks(of: Health) -> Json:
    return cast(Json, of.check()[1]["checks"])


def broken() -> Any:
    raise Broken("all wrong")


def test_all_is_well() -> None:
    healthy, document = Parts().health().check()
    assert (healthy, document["status"], bool(document["version"])) == (True, "ok", True)


def test_the_queues_tell_their_depths() -> None:
    assert checks(Parts().health())["queue"] == {"status": "ok", "depth": 3, "poisonDepth": 1}


@pytest.mark.parametrize(("minutes", "status"), [(-1, "ok"), (0, "ok"), (10, "ok"), (11, "late")])
def test_what_is_overdue_for_long_says_that_no_tick_runs(minutes: int, status: str) -> None:
    parts = Parts(store=with_an_entry, at=OPENED + timedelta(minutes=minutes))
    storage = checks(parts.health())["storage"]
    assert (storage["status"], storage["overdueSeconds"]) == (status, max(minutes, 0) * 60)


@pytest.mark.parametrize(
    ("parts", "part"),
    [
        (Parts(store=broken), "storage"),
        (Parts(token=broken), "token"),
        (Parts(reached=TransientFailure(new_error("NoResponse", "all wrong"))), "resourceManager"),
    ],
    ids=["storage", "token", "resourceManager"],
)
def test_a_broken_part_says_why_and_the_others_how_they_are(parts: Parts, part: str) -> None:
    healthy, document = parts.health().check()
    statuses = {name: check["status"] for name, check in document["checks"].items()}
    assert not healthy
    assert "all wrong" in document["checks"][part]["reason"]
    assert [name for name, status in statuses.items() if status != "ok"] == [part]


def test_a_reason_names_no_signature_of_a_url() -> None:
    def refused() -> Any:
        raise Broken("HTTPSConnectionPool: Max retries exceeded with url: /t()?sv=1&sig=secret%3D (Caused by DNS)")

    reason = checks(Parts(store=refused).health())["storage"]["reason"]
    assert reason == "Broken: HTTPSConnectionPool: Max retries exceeded with url: /t()?... (Caused by DNS)"


def test_an_identity_without_a_role_is_pointed_out() -> None:
    assert "no role" in checks(Parts(reached=Reachable(0)).health())["resourceManager"]["reason"]


@pytest.mark.parametrize(
    ("reached", "seconds", "asked"),
    [
        (Reachable(1), 59, 1),
        (Reachable(1), 61, 2),
        (TransientFailure(new_error("x", "x")), 9, 1),
        (TransientFailure(new_error("x", "x")), 11, 2),
    ],
)
def test_resource_manager_is_asked_seldom(reached: Reachable | TransientFailure, seconds: int, asked: int) -> None:
    parts = Parts(reached=reached)
    of = parts.health()
    of.check()
    parts.at += timedelta(seconds=seconds)
    of.check()
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
    monkeypatch.setattr(health, "_PATIENCE", 0.05)
    storage = Silent()
    yield storage
    storage.over.set()


def test_a_silent_part_is_not_waited_for(silent: Silent) -> None:
    found = checks(Parts(store=silent).health())
    assert (found["storage"]["status"], found["queue"]["status"]) == ("unavailable", "ok")
    assert "no answer within" in found["storage"]["reason"]


def test_a_silent_part_is_asked_once_however_often_the_probe_comes(silent: Silent) -> None:
    of = Parts(store=silent).health()
    for _ in range(3):
        of.check()
    assert silent.asked == 1


def test_the_moment_is_that_of_the_check() -> None:
    assert checks(Parts(at=NOW).health())["resourceManager"]["checkedAt"] == "2026-01-02T03:04:05.678Z"
