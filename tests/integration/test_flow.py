"""The app in a host of its own, as in Azure: events, queues, timer and HTTP from outside, on real storage."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import requests
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from dev.stack.failure_event import failure_event
from dev.stack.stack import Stack
from tests.support.alert_bodies import backup_failure
from tests.support.processes import until
from tests.support.simulator import SUBSCRIPTION, Simulator

VAULT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/flowRG/providers/Microsoft.DataProtection/backupVaults/flow"
FAST = {"operationSeconds": 0.2, "retryAfter": 0}
Json = dict[str, Any]


@pytest.fixture
def instance(simulator: Simulator) -> str:
    """A failing instance of this test's own: what other tests leave in storage is about others."""
    instance_id = f"{VAULT}/backupInstances/bi-{uuid4().hex[:12]}"
    simulator.put(instance_id, behaviour=FAST)
    return instance_id


def outcome_of(azure: Simulator, instance_id: str, status: str = "") -> Json:
    """The outcome event of the instance, with this status if one is given, once it is there."""

    def found() -> Json | None:
        events = (event for event in azure.events() if event["subject"] == instance_id)
        return next((event for event in events if event["type"].endswith(status)), None)

    return until(found, f"an outcome of {instance_id}", 40)


def calls_about(azure: Simulator, instance_id: str) -> list[str]:
    return [entry["kind"] for entry in azure.journal("sync", "instance") if instance_id in entry["path"]]


def accepted(stack: Stack, body: Json) -> Json:
    answer = stack.host.call("POST", "/api/sync", body)
    assert answer.status_code == 202, answer.text
    document: Json = answer.json()
    return document


def log_of(stack: Stack, since: int = 0) -> list[Json]:
    """The app's own lines in the host's log."""
    lines = stack.host.service.log.read_text(encoding="utf-8")[since:].splitlines()
    return [json.loads(line[line.index("{") :]) for line in lines if "backup_autoheal: {" in line]


def syncs_of(azure: Simulator, instance_id: str) -> list[int]:
    """How the sync calls on the instance were answered."""
    return [entry["status"] for entry in azure.journal("sync") if f"{instance_id}/" in entry["path"]]


def test_an_event_heals_its_instance_and_the_outcome_is_announced(
    stack: Stack, simulator: Simulator, instance: str
) -> None:
    assert stack.host.post_event(failure_event(instance)).status_code == 202
    outcome = outcome_of(simulator, instance)
    assert outcome["type"] == "BackupAutoheal.Remediation.Healed"
    assert calls_about(simulator, instance) == ["instance", "sync", "instance"]


def test_a_cloud_event_of_a_team_heals_its_instance(stack: Stack, simulator: Simulator, instance: str) -> None:
    event = {
        "specversion": "1.0",
        "id": uuid4().hex,
        "source": "/contoso",
        "type": "Contoso.BackupFailed",
        "time": datetime.now(UTC).isoformat(),
        "data": {"backupInstanceId": instance, "syncType": "ForceResync"},
    }
    assert stack.host.post_event(event).status_code == 202
    assert outcome_of(simulator, instance)["data"]["attempts"][0]["syncType"] == "ForceResync"


def test_a_request_heals_and_its_location_shows_how_far_it_is(
    stack: Stack, simulator: Simulator, instance: str
) -> None:
    answer = stack.host.call("POST", "/api/sync", {"backupInstanceId": instance, "reason": "by hand"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (202, "15")
    location = answer.headers["Location"]
    until(lambda: stack.host.call("GET", location).json()["status"] == "Healed", "healed", 40)
    assert stack.host.call("GET", location).json()["reason"] == "by hand"


def test_a_request_for_an_active_instance_returns_the_active_remediation(
    stack: Stack, simulator: Simulator, instance: str
) -> None:
    simulator.put(instance, behaviour={"operationSeconds": 60, "retryAfter": 60})
    first, second = (accepted(stack, {"backupInstanceId": instance}) for _ in range(2))
    assert (second["id"], second["signals"]) == (first["id"], 2)


def test_an_alert_heals_its_instances_found_by_vault_and_resource(
    stack: Stack, simulator: Simulator, instance: str
) -> None:
    disk = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/disks/providers/Microsoft.Compute/disks/{uuid4().hex}"
    simulator.put(instance, behaviour=FAST, dataSourceId=disk)
    body = backup_failure(linkedResourceId=disk)
    body["data"]["essentials"] |= {"alertTargetIDs": [VAULT], "firedDateTime": datetime.now(UTC).isoformat()}
    answer = stack.host.call("POST", "/api/alerts", body)
    assert (answer.status_code, answer.json()["instances"][0]["action"]) == (200, "Open")
    assert outcome_of(simulator, instance)["data"]["source"] == "Alert"


def test_a_list_heals_each_of_its_instances(stack: Stack, simulator: Simulator, instance: str) -> None:
    instances = [instance, f"{instance}-b", f"{instance}-c"]
    for one in instances:
        simulator.put(one, behaviour=FAST)
    answer = stack.host.call("POST", "/api/sync", {"items": [{"backupInstanceId": one} for one in instances]})
    assert [one["status"] for one in answer.json()["items"]] == [202, 202, 202]
    for one in instances:
        assert outcome_of(simulator, one)["type"] == "BackupAutoheal.Remediation.Healed"


def test_a_dry_run_reads_the_instance_and_syncs_nothing(stack: Stack, simulator: Simulator, instance: str) -> None:
    other = f"{instance}-other"
    for each in (instance, other):
        simulator.put(each, behaviour=FAST)
    answer = stack.host.call("POST", "/api/sync?dryRun=true", {"backupInstanceId": instance})
    assert (answer.status_code, answer.json()["action"]) == (200, "Open")
    assert calls_about(simulator, instance) == ["instance"]
    accepted(stack, {"backupInstanceId": other})
    outcome_of(simulator, other)
    assert calls_about(simulator, f"{instance}/") == []
    assert stack.host.call("POST", "/api/sync?dryRun=true", {"backupInstanceId": instance}).json()["action"] == "Open"


@pytest.mark.parametrize("path", ["/api/sync", "/api/alerts"])
@pytest.mark.parametrize("body", [None, [], {}, "text", {"items": [{}] * 101}, {"data": {"essentials": {}}}])
def test_what_names_nothing_is_a_bad_request_and_no_error_in_the_log(stack: Stack, path: str, body: object) -> None:
    so_far = len(stack.host.service.log.read_text(encoding="utf-8"))
    assert stack.host.call("POST", path, body).status_code == 400
    assert "Traceback" not in stack.host.service.log.read_text(encoding="utf-8")[so_far:]


def test_our_own_failing_sync_starts_nothing(stack: Stack, simulator: Simulator, instance: str) -> None:
    other = f"{instance}-other"
    simulator.put(other, behaviour=FAST)
    stack.host.post_event(failure_event(instance, operation="sync/action"))
    stack.host.post_event(failure_event(other))
    outcome_of(simulator, other)
    assert calls_about(simulator, f"{instance}/") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"data": None},
        {"data": "text"},
        {"data": {}},
        {"data": {"operationName": 5}},
        {"data": {"operationName": "Microsoft.Compute/virtualMachines/start/action", "resourceUri": "/x"}},
        {"eventType": "Contoso.Unknown"},
        {"subject": None, "data": {"operationName": "Microsoft.DataProtection/backupVaults/backupInstances/write"}},
    ],
)
def test_an_event_that_names_no_failed_instance_is_taken_and_starts_nothing(
    stack: Stack, simulator: Simulator, instance: str, changes: Json
) -> None:
    so_far = len(stack.host.service.log.read_text(encoding="utf-8"))
    assert stack.host.post_event(failure_event(instance) | changes).status_code == 202
    assert [line["event"] for line in log_of(stack, so_far) if line["event"].startswith("signal")] == ["signal.ignored"]
    assert syncs_of(simulator, instance) == []


def test_an_event_of_a_mebibyte_is_taken_and_starts_nothing(stack: Stack) -> None:
    so_far = len(stack.host.service.log.read_text(encoding="utf-8"))
    assert stack.host.post_event(failure_event("/" + "x" * 1024 * 1024)).status_code == 202
    (line,) = (line for line in log_of(stack, so_far) if line["event"].startswith("signal"))
    assert line["event"] == "signal.ignored"
    assert len(line["reason"]) < 1000


@pytest.fixture
def poison_queue(connection_string: str) -> Iterator[QueueClient]:
    encoding = TextBase64EncodePolicy()
    with QueueClient.from_connection_string(
        connection_string, "sync-jobs-poison", message_encode_policy=encoding
    ) as queue:
        yield queue


def test_a_job_that_the_queue_gave_up_does_not_end_its_remediation(
    stack: Stack, simulator: Simulator, instance: str, poison_queue: QueueClient
) -> None:
    simulator.put(instance, behaviour={**FAST, "syncFaults": [{"status": 429, "headers": {"Retry-After": "5"}}]})
    opened = accepted(stack, {"backupInstanceId": instance})
    until(lambda: syncs_of(simulator, instance), "the first call", 40)
    poison_queue.send_message(json.dumps({"v": 1, "remediationId": opened["id"], "attempt": 1}))
    assert outcome_of(simulator, instance)["type"] == "BackupAutoheal.Remediation.Healed"


def test_a_throttled_sync_is_made_again_when_azure_says(stack: Stack, simulator: Simulator, instance: str) -> None:
    fault = {"status": 429, "headers": {"Retry-After": "1"}}
    simulator.put(instance, behaviour={**FAST, "syncFaults": [fault]})
    stack.host.post_event(failure_event(instance))
    assert outcome_of(simulator, instance)["data"]["status"] == "Healed"
    assert syncs_of(simulator, instance) == [429, 202]


def test_storage_that_stops_in_the_middle_delays_a_heal_and_doubles_nothing(
    stack: Stack, simulator: Simulator, instance: str
) -> None:
    simulator.put(instance, behaviour={"operationSeconds": 4, "retryAfter": 1})
    opened = accepted(stack, {"backupInstanceId": instance})
    until(lambda: syncs_of(simulator, instance), "the sync call", 40)
    stack.azurite.stop()
    until(lambda: health(stack).status_code == 503, "the app notices", 40)
    answer = stack.host.call("GET", f"/api/remediations/{opened['id']}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "StorageUnavailable")
    stack.azurite.start()
    stack.azurite.wait()
    assert outcome_of(simulator, instance)["id"] == opened["id"]
    assert len({event["id"] for event in simulator.events() if event["subject"] == instance}) == 1
    assert syncs_of(simulator, instance) == [202]


def health(stack: Stack) -> requests.Response:
    return stack.host.call("GET", "/api/health")


def test_a_healthy_app_says_so(stack: Stack) -> None:
    answer = health(stack)
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


@pytest.mark.parametrize("path", ["x", "000000000000-0000000000000000", "%27%20or%201"])
def test_an_unknown_remediation_is_not_found(stack: Stack, path: str) -> None:
    answer = stack.host.call("GET", f"/api/remediations/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "RemediationNotFound")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/sync"), ("POST", "/api/alerts"), ("GET", "/api/remediations/x"), ("GET", "/api/health")],
)
def test_without_a_key_nobody_gets_in(stack: Stack, method: str, path: str) -> None:
    assert requests.request(method, stack.host.url + path, timeout=10).status_code == 401


def test_every_transition_is_one_json_line_in_the_hosts_log(stack: Stack, simulator: Simulator, instance: str) -> None:
    opened = accepted(stack, {"backupInstanceId": instance})
    outcome_of(simulator, instance)
    ours = [line for line in log_of(stack) if line.get("remediationId") == opened["id"]]
    steps = [line["to"] for line in ours if line["event"] == "remediation.transition"]
    # Either the operation is seen to its end, or the instance is read while it is thought to run.
    assert steps in (["Queued", "Running", "Verifying", "Healed"], ["Queued", "Running", "Healed"])
