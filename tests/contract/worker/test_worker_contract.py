"""The app in Azure's own worker library: it loads, and each function runs on what the worker hands over.

No binding, annotation or return value may work in the local host only. Resource Manager and the identity
endpoint are closed ports here: what needs them is the integration tests' business.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import azure.functions as func
import pytest

from tests.contract.worker.worker import (
    Invocation,
    Message,
    Worker,
    bindings_of,
    http_request,
    queue_metadata,
    typed,
)
from tests.support.processes import REPOSITORY, free_ports

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 13),
    reason="azure-functions-runtime, the library of Azure's worker, exists for Python 3.13 and later only",
)

SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"
TIMER = {
    "Schedule": {"AdjustForDST": True},
    "ScheduleStatus": {
        "Last": "2026-11-23T20:00:00.0001234+00:00",
        "Next": "2026-11-23T20:00:30+00:00",
        "LastUpdated": "2026-11-23T20:00:00.0001234+00:00",
    },
    "IsPastDue": False,
}


@pytest.fixture(scope="module")
def worker(connection_string: str) -> Iterator[Worker]:
    [closed] = free_ports(1)
    with pytest.MonkeyPatch.context() as patch:
        try:
            patch.setenv("AzureWebJobsStorage", connection_string)
            patch.setenv("ARM_ENDPOINT", f"https://localhost:{closed}")
            patch.setenv("IDENTITY_ENDPOINT", f"https://localhost:{closed}/msi/token")
            patch.setenv("IDENTITY_HEADER", "header")
            patch.delenv("OUTCOME_TOPIC_ENDPOINT", raising=False)
            patch.delenv("SWEEP_SCHEDULE", raising=False)
            patch.syspath_prepend(REPOSITORY)
            # The app's modules keep what they read from the environment, of another test perhaps.
            for module in app_modules():
                patch.delitem(sys.modules, module)
            loaded = Worker(REPOSITORY)
            yield loaded
            loaded.close()
        finally:
            for module in app_modules():
                del sys.modules[module]


def app_modules() -> list[str]:
    """The modules of the app that are loaded."""
    return [name for name in sys.modules if name.partition(".")[0] in ("function_app", "shared")]


def instance_id() -> str:
    """A backup instance that no other test knows."""
    vault = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.DataProtection/backupVaults/vault"
    return f"{vault}/backupInstances/{uuid.uuid4()}"


def grid_event(instance: str, operation: str = "backup") -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "topic": f"/subscriptions/{SUBSCRIPTION}",
        "subject": instance,
        "eventType": "Microsoft.Resources.ResourceActionFailure",
        "eventTime": "2026-11-23T20:00:00.1234567Z",
        "dataVersion": "2",
        "metadataVersion": "1",
        "data": {
            "operationName": f"Microsoft.DataProtection/backupVaults/backupInstances/{operation}/action",
            "resourceUri": instance,
            "resourceProvider": "Microsoft.DataProtection",
            "status": "Failed",
            "subscriptionId": SUBSCRIPTION,
        },
    }


def cloud_event(instance: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/teams/backup",
        "type": "Team.BackupFailed",
        "subject": instance,
        "time": "2026-11-23T20:00:00Z",
        "data": {"backupInstanceId": instance},
    }


def on_event(worker: Worker, event: dict[str, Any]) -> Invocation:
    return worker.invoke("on_backup_failure", "event", typed("json", json.dumps(event)))


BAD_EVENTS = {
    "a time that is none": json.dumps({"eventType": "A", "eventTime": "yesterday", "data": {}}),
    "a time with an offset": json.dumps({"eventType": "A", "eventTime": "2026-11-23T20:00:00+01:00", "data": {}}),
    "a number as a time": json.dumps({"eventType": "A", "eventTime": 5, "data": {}}),
    "no object": "5",
    "no JSON": "a backup failed",
    "nested too deeply": "[" * 100_000,
}


def on_message(worker: Worker, function: str, text: str, dequeue_count: int = 1) -> Invocation:
    return worker.invoke(function, "message", typed("string", text), **queue_metadata(dequeue_count))


def on_request(worker: Worker, function: str, request: Message) -> Invocation:
    return worker.invoke(function, "req", request)


def request_sync(worker: Worker, body: Any) -> Invocation:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return on_request(worker, "request_sync", http_request("POST", "https://app.test/api/sync", encoded))


def receive_alert(worker: Worker, *instances: str) -> Invocation:
    body = {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {"essentials": {"monitorCondition": "Fired", "alertTargetIDs": instances}, "alertContext": {}},
    }
    request = http_request("POST", "https://app.test/api/alerts", json.dumps(body).encode())
    return on_request(worker, "receive_alert", request)


def get_remediation(worker: Worker, remediation_id: str) -> Invocation:
    url = f"https://app.test/api/remediations/{remediation_id}"
    return on_request(worker, "get_remediation", http_request("GET", url, params={"id": remediation_id}))


def get(worker: Worker, function: str, path: str) -> Invocation:
    """A request without parameters of its own."""
    return on_request(worker, function, http_request("GET", f"https://app.test/api/{path}"))


def post(worker: Worker, function: str, path: str) -> Invocation:
    return on_request(worker, function, http_request("POST", f"https://app.test/api/{path}"))


def cancel_remediation(worker: Worker, remediation_id: str) -> Invocation:
    url = f"https://app.test/api/remediations/{remediation_id}/cancel"
    return on_request(worker, "cancel_remediation", http_request("POST", url, params={"id": remediation_id}))


def unserved_request(worker: Worker, method: str, path: str) -> Invocation:
    url = f"https://app.test/api/{path}"
    return on_request(worker, "unserved_request", http_request(method, url, params={"path": path}))


def tick(worker: Worker, function: str = "poll_operations") -> Invocation:
    return worker.invoke(function, "timer", typed("json", json.dumps(TIMER)))


def job_of(event: Invocation) -> str:
    """The sync job that an intake queued."""
    job = event.text_output("jobs")
    assert job is not None, event.error
    return job


ONCE: dict[str, Callable[[Worker], Invocation]] = {
    "on_backup_failure": lambda worker: on_event(worker, grid_event(instance_id())),
    "submit_sync": lambda worker: on_message(worker, "submit_sync", stale_job(worker)),
    "on_poison_job": lambda worker: on_message(worker, "on_poison_job", "no sync job at all"),
    "poll_operations": tick,
    "poll_shard": lambda worker: on_message(worker, "poll_shard", "no shard job at all"),
    "purge_remediations": lambda worker: tick(worker, "purge_remediations"),
    "sweep_instances": lambda worker: tick(worker, "sweep_instances"),
    "request_sweep": lambda worker: on_request(
        worker, "request_sweep", http_request("POST", "https://app.test/api/sweep")
    ),
    "request_sync": lambda worker: request_sync(worker, {"backupInstanceId": instance_id()}),
    "receive_alert": lambda worker: receive_alert(worker, instance_id()),
    "get_remediation": lambda worker: get_remediation(worker, "nothing"),
    "get_remediations": lambda worker: get(worker, "get_remediations", "remediations"),
    "cancel_remediation": lambda worker: cancel_remediation(worker, "nothing"),
    "get_health": lambda worker: get(worker, "get_health", "health"),
    "get_status": lambda worker: get(worker, "get_status", "status"),
    "get_report": lambda worker: get(worker, "get_report", "report"),
    "get_dashboard": lambda worker: get(worker, "get_dashboard", "dashboard"),
    "acknowledge_instance": lambda worker: post(worker, "acknowledge_instance", "instances/acknowledge"),
    "get_incidents": lambda worker: get(worker, "get_incidents", "incidents"),
    "get_pauses": lambda worker: get(worker, "get_pauses", "pauses"),
    "begin_pause": lambda worker: post(worker, "begin_pause", "pauses/begin"),
    "end_pause": lambda worker: post(worker, "end_pause", "pauses/end"),
    "get_error_codes": lambda worker: get(worker, "get_error_codes", "error-codes"),
    "get_openapi": lambda worker: get(worker, "get_openapi", "openapi.json"),
    "unserved_request": lambda worker: unserved_request(worker, "GET", "nothing"),
}


@pytest.mark.parametrize("text", BAD_EVENTS.values(), ids=BAD_EVENTS)
def test_a_bad_event_is_taken_and_forgotten(worker: Worker, text: str) -> None:
    invocation = worker.invoke("on_backup_failure", "event", typed("json", text))
    assert invocation.succeeded, invocation.error
    assert invocation.text_output("jobs") is None


def test_the_time_of_an_event_may_have_an_offset(worker: Worker) -> None:
    event = grid_event(instance_id()) | {"eventTime": "2026-11-23T22:00:00+02:00"}
    assert job_of(on_event(worker, event))


def test_the_worker_takes_no_text_as_the_annotation_of_the_trigger(worker: Worker) -> None:
    """Why `shared/api/event_binding.py` replaces the converter: once this fails, `str` may stand in its place."""
    assert not func.get_binding_registry().get("eventGridTrigger").check_input_type_annotation(str)


def stale_job(worker: Worker) -> str:
    """A job of an attempt that its remediation does not wait for: dropped without a call to Azure."""
    job: dict[str, Any] = json.loads(job_of(on_event(worker, grid_event(instance_id()))))
    return json.dumps(job | {"attempt": job["attempt"] + 7})


def test_every_function_of_the_app_is_invoked_here(worker: Worker) -> None:
    assert set(worker.index()) == set(ONCE)


@pytest.mark.parametrize("function", ONCE)
def test_function_runs_in_the_worker(worker: Worker, function: str) -> None:
    invocation = ONCE[function](worker)
    assert invocation.succeeded, invocation.error


@pytest.mark.parametrize(
    ("function", "bindings"),
    [
        ("on_backup_failure", [("eventGridTrigger", "IN"), ("queue", "OUT")]),
        ("submit_sync", [("queueTrigger", "IN")]),
        ("on_poison_job", [("queueTrigger", "IN")]),
        ("poll_shard", [("queueTrigger", "IN")]),
        ("poll_operations", [("timerTrigger", "IN")]),
        ("purge_remediations", [("timerTrigger", "IN")]),
        ("sweep_instances", [("timerTrigger", "IN")]),
        ("request_sweep", [("http", "OUT"), ("httpTrigger", "IN")]),
        ("request_sync", [("http", "OUT"), ("httpTrigger", "IN"), ("queue", "OUT")]),
        ("get_remediations", [("http", "OUT"), ("httpTrigger", "IN")]),
        ("receive_alert", [("http", "OUT"), ("httpTrigger", "IN"), ("queue", "OUT")]),
        ("get_remediation", [("http", "OUT"), ("httpTrigger", "IN")]),
        ("cancel_remediation", [("http", "OUT"), ("httpTrigger", "IN")]),
        ("get_health", [("http", "OUT"), ("httpTrigger", "IN")]),
        ("get_status", [("http", "OUT"), ("httpTrigger", "IN")]),
        ("get_dashboard", [("http", "OUT"), ("httpTrigger", "IN"), ("queue", "OUT")]),
        ("get_openapi", [("http", "OUT"), ("httpTrigger", "IN")]),
        ("unserved_request", [("http", "OUT"), ("httpTrigger", "IN")]),
    ],
)
def test_worker_reports_the_bindings_to_the_host(
    worker: Worker, function: str, bindings: list[tuple[str, str]]
) -> None:
    assert bindings_of(worker.index()[function]) == bindings


def test_failure_event_queues_a_sync_job(worker: Worker) -> None:
    assert json.loads(job_of(on_event(worker, grid_event(instance_id()))))["v"] == 1


def test_cloud_event_queues_a_sync_job(worker: Worker) -> None:
    assert json.loads(job_of(on_event(worker, cloud_event(instance_id()))))["v"] == 1


def test_event_of_our_own_failing_sync_queues_nothing(worker: Worker) -> None:
    assert on_event(worker, grid_event(instance_id(), "sync")).outputs == {}


def test_second_event_of_an_active_instance_queues_nothing(worker: Worker) -> None:
    instance = instance_id()
    on_event(worker, grid_event(instance))
    assert on_event(worker, grid_event(instance)).outputs == {}


def test_message_that_is_no_job_is_over_at_its_first_delivery(worker: Worker) -> None:
    assert on_message(worker, "submit_sync", "no sync job at all").succeeded


def test_poisoned_job_leaves_its_remediation_as_it_is(worker: Worker) -> None:
    job = job_of(on_event(worker, grid_event(instance_id())))
    on_message(worker, "on_poison_job", job, dequeue_count=5)
    assert get_remediation(worker, json.loads(job)["remediationId"]).document["status"] == "Queued"


def test_request_is_accepted(worker: Worker) -> None:
    assert request_sync(worker, {"backupInstanceId": instance_id()}).status == "202"


def test_request_queues_a_sync_job(worker: Worker) -> None:
    answer = request_sync(worker, {"backupInstanceId": instance_id()})
    (job,) = answer.list_output("jobs")
    assert json.loads(job)["remediationId"] == answer.document["id"]


def test_list_of_requests_queues_a_sync_job_for_each(worker: Worker) -> None:
    items = [{"backupInstanceId": instance_id()} for _ in range(2)]
    assert len(request_sync(worker, {"items": items}).list_output("jobs")) == 2


def test_alert_queues_a_sync_job_for_each_of_its_instances(worker: Worker) -> None:
    answer = receive_alert(worker, instance_id(), instance_id())
    assert len(answer.list_output("jobs")) == len(answer.document["instances"]) == 2


def test_alert_that_names_no_instance_queues_nothing(worker: Worker) -> None:
    assert receive_alert(worker, "/subscriptions").outputs == {}


def test_accepted_request_names_where_to_look(worker: Worker) -> None:
    answer = request_sync(worker, {"backupInstanceId": instance_id()})
    assert answer.document["id"] in answer.headers["location"]


@pytest.mark.parametrize("body", [b"{not json", b"[]", b"{}", b'{"backupInstanceId": 5}'])
def test_bad_request_is_refused(worker: Worker, body: bytes) -> None:
    assert request_sync(worker, body).status == "400"


def test_bad_request_queues_nothing(worker: Worker) -> None:
    assert request_sync(worker, b"{}").outputs == {}


def test_remediation_is_shown(worker: Worker) -> None:
    opened = request_sync(worker, {"backupInstanceId": instance_id()}).document
    assert get_remediation(worker, opened["id"]).document["status"] == "Queued"


def test_unknown_remediation_is_not_found(worker: Worker) -> None:
    assert get_remediation(worker, "nothing").status == "404"


def test_remediations_are_listed_newest_first(worker: Worker) -> None:
    opened = request_sync(worker, {"backupInstanceId": instance_id()}).document
    assert get(worker, "get_remediations", "remediations").document["value"][0]["id"] == opened["id"]


def test_remediation_is_cancelled_without_a_body(worker: Worker) -> None:
    opened = request_sync(worker, {"backupInstanceId": instance_id()}).document
    assert cancel_remediation(worker, opened["id"]).document["status"] == "Cancelled"


def test_health_answers_though_azure_does_not(worker: Worker) -> None:
    answer = get(worker, "get_health", "health")
    checks = answer.document["checks"]
    assert (answer.status, checks["storage"]["status"], checks["token"]["status"]) == ("503", "ok", "unavailable")


def test_wrong_method_is_answered_with_those_that_fit(worker: Worker) -> None:
    answer = unserved_request(worker, "GET", "sync")
    assert (answer.status, answer.headers["allow"]) == ("405", "OPTIONS, POST")


def test_the_page_is_a_page(worker: Worker) -> None:
    answer = get(worker, "get_dashboard", "dashboard")
    assert (answer.status, answer.headers["content-type"]) == ("200", "text/html; charset=utf-8")


def test_the_pages_form_queues_a_sync_job(worker: Worker) -> None:
    form = urlencode({"do": "sync", "backupInstanceId": instance_id()}).encode()
    content_type = "application/x-www-form-urlencoded"
    request = http_request("POST", "https://app.test/api/dashboard", form, content_type=content_type)
    answer = on_request(worker, "get_dashboard", request)
    assert answer.status == "303"
    (job,) = answer.list_output("jobs")
    assert json.loads(job)["remediationId"] in answer.headers["location"]
