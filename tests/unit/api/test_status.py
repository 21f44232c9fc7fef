"""`GET /api/status`: what the app did last and what it watches, as far as it is known where a part is silent."""

from threading import Event
from typing import Any, NoReturn

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.api.health import Health
from shared.api.status import Status
from shared.clock import to_iso
from shared.domain.coverage import Coverage
from shared.storage.run_store import LastSweep
from tests.support.api_parts import Json, described, document, http_request
from tests.unit.api.test_health import OPENED, UNREACHABLE, Parts

COVERAGE = Coverage(3, 2, ("20000000-0000-4000-8000-000000000000",), 1, 40)


def status_of(parts: Parts, health: Health | None = None) -> Status:
    made = health or parts.health()
    return Status(lambda: made, lambda: parts.at)


def show(status: Status) -> Json:
    return document(described(status.show(http_request("GET", "/status")), "GET", "/status"))


def no_storage(*_: Any) -> NoReturn:
    raise ServiceRequestError("no connection")


def break_storage(health: Health) -> None:
    health.store = health.buckets = health.jobs = health.poison = health.runs = no_storage


def test_before_the_first_runs_it_says_that_nothing_is_known_yet() -> None:
    found = show(status_of(Parts()))
    assert (found["lastPollRun"], found["lastSweep"], found["instances"]) == (None, None, None)
    assert found["subscriptions"] == {"watched": None, "readable": None, "refusedCount": 0, "refused": []}


def test_it_says_when_the_timers_ran_last_and_what_they_saw() -> None:
    parts = Parts()
    parts.runs.put_poll_run(3, 2)
    parts.runs.put_sweep(LastSweep(OPENED, 2, 5, COVERAGE))
    found = show(status_of(parts))
    assert found["lastPollRun"] == {"at": to_iso(OPENED), "due": 3, "polled": 2}
    assert found["lastSweep"] == {"at": to_iso(OPENED), "opened": 2, "skipped": 5, "failedAt": None}
    assert (found["instances"], found["queue"]) == (40, {"depth": 3, "poisonDepth": 1})
    assert found["subscriptions"] == {
        "watched": 3,
        "readable": 2,
        "refusedCount": 1,
        "refused": list(COVERAGE.refused),
    }


def test_it_says_the_mode_and_which_services_answer() -> None:
    found = show(status_of(Parts(reached=UNREACHABLE)))
    assert found["mode"] == "Observe"
    assert found["reachable"] == {"storage": True, "resourceManager": False, "token": True}
    assert found["problems"] == {"resourceManager": "NoResponse: all wrong"}


def test_where_storage_is_away_it_says_what_it_knew_last_and_when() -> None:
    parts = Parts()
    parts.runs.put_poll_run(3, 2)
    parts.runs.put_sweep(LastSweep(OPENED, coverage=COVERAGE))
    health = parts.health()
    status = status_of(parts, health)
    before = show(status)
    break_storage(health)
    found = show(status)
    shown = ("lastPollRun", "lastSweep", "instances", "subscriptions", "queue")
    assert {name: found[name] for name in shown} == {name: before[name] for name in shown}
    assert found["knownAt"] == {name: to_iso(OPENED) for name in ("storage", "queue", "poller", "sweep")}
    assert (found["status"], found["reachable"]["storage"]) == ("unavailable", False)


def test_where_storage_never_answered_it_says_that_nothing_is_known() -> None:
    parts = Parts()
    health = parts.health()
    break_storage(health)
    found = show(status_of(parts, health))
    assert (found["lastPollRun"], found["queue"]) == (None, None)
    assert found["knownAt"] == dict.fromkeys(("storage", "queue", "poller", "sweep"))


def test_silence_of_storage_keeps_nobody_waiting_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.api.status._TIMEOUT", 0.5)
    silence, parts = Event(), Parts()
    health = parts.health()

    def silent() -> NoReturn:
        assert silence.wait(60), "it was waited for"
        raise ServiceRequestError("late")

    health.store, health.jobs, health.runs = silent, silent, silent
    try:
        found = show(status_of(parts, health))
    finally:
        silence.set()
    assert found["reachable"] == {"storage": False, "resourceManager": True, "token": True}
