"""A host in observe mode, as in Azure: every way in works, and nothing that the app calls changes anything."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from jsonschema import Draft202012Validator

from dev.stack.failure_event import failure_event
from dev.stack.services import Azurite
from dev.stack.stack import Stack
from tests.integration.test_flow import FAST, log_of, outcome_of, syncs_of
from tests.support.simulator import SUBSCRIPTION, VAULT, Simulator

Json = dict[str, Any]
SCHEMA = Path(__file__).parents[2] / "docs" / "events" / "outcome.schema.json"
READS = {"GET", "HEAD"}
QUERY = "/providers/Microsoft.ResourceGraph/resources"
"""Resource Graph takes its queries by POST, and changes nothing."""


@dataclass(frozen=True)
class Observed:
    """The log and the calls of a host in observe mode, and of one in heal mode that followed it."""

    instances: list[str]
    outcomes: list[Json]
    arm_writes: list[str]
    health: Json
    page: str
    log: list[Json]
    healed: Json
    syncs_after_the_switch: list[int]


@pytest.fixture(scope="module")
def observed(services: Stack, azurite: Azurite, running_azure: Simulator) -> Iterator[Observed]:
    """An event, a request and a sweep, each about an instance of its own; then the mode is switched."""
    azure, host = running_azure, services.host
    azure.control("POST", "reset")
    by_event, by_request, by_sweep = instances = [f"{VAULT}/backupInstances/bi-{uuid4().hex[:12]}" for _ in range(3)]
    host.start({**services.app_settings(), "MODE": "Observe", "SWEEP_SUBSCRIPTIONS": SUBSCRIPTION})
    try:
        host.wait()
        for instance_id in instances[:2]:
            azure.put(instance_id, behaviour=FAST)
        assert host.post_event(failure_event(by_event)).ok
        requested = {"backupInstanceId": by_request, "syncType": "ForceResync"}
        assert host.call("POST", "/api/sync?dryRun=true", requested).json()["action"] == "Open"
        assert host.call("POST", "/api/sync", requested).status_code == 202
        outcomes = [outcome_of(azure, each) for each in (by_event, by_request)]
        azure.put(by_sweep, behaviour=FAST)
        assert host.call("POST", "/api/sweep").status_code == 202
        outcomes.append(outcome_of(azure, by_sweep))
        health = host.call("GET", "/api/health").json()
        page = requests.get(f"{host.url}/api/dashboard", params={"code": host.keys["function"]}, timeout=30).text
        writes = arm_writes(azure)
        log = log_of(services)
        host.stop()
        host.start(services.app_settings())
        host.wait()
        assert host.post_event(failure_event(by_event)).ok
        healed = outcome_of(azure, by_event, "Healed")
        yield Observed(instances, outcomes, writes, health, page, log, healed, syncs_of(azure, by_event))
    finally:
        host.stop()


def arm_writes(azure: Simulator) -> list[str]:
    """The calls to Resource Manager that could change something."""
    called = [(entry["method"], entry["path"]) for entry in azure.journal() if "/providers/" in entry["path"]]
    return [f"{method} {path}" for method, path in called if method not in READS and path != QUERY]


def test_nothing_is_changed_whichever_way_a_signal_comes_in(observed: Observed) -> None:
    assert observed.arm_writes == []


def test_each_remediation_ends_with_what_would_have_been_done(observed: Observed) -> None:
    assert [outcome["type"] for outcome in observed.outcomes] == ["BackupAutoheal.Remediation.WouldHeal"] * 3
    attempts = [outcome["data"]["attempts"][0] for outcome in observed.outcomes]
    assert [attempt["syncType"] for attempt in attempts] == ["Default", "ForceResync", "Default"]
    assert all(attempt["withheldAt"] and not attempt["submittedAt"] for attempt in attempts)
    assert {outcome["data"]["protectionState"] for outcome in observed.outcomes} == {"ProtectionError"}


def test_the_outcome_event_is_of_the_schema(observed: Observed) -> None:
    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [problem.message for outcome in observed.outcomes for problem in validator.iter_errors(outcome)] == []


def test_health_page_and_log_say_that_the_app_observes(observed: Observed) -> None:
    assert observed.health["mode"] == "Observe"
    assert "The app observes." in observed.page
    assert [line["event"] for line in observed.log].count("mode.observe") == 1
    withheld = [line["backupInstanceId"] for line in observed.log if line["event"] == "sync.withheld"]
    assert set(observed.instances) <= set(withheld)


def test_the_next_signal_after_the_switch_heals_though_the_instance_was_observed_just_now(observed: Observed) -> None:
    assert observed.healed["subject"] == observed.instances[0]
    assert observed.syncs_after_the_switch == [202]
