"""Alerts and requests on real storage and the simulated Resource Manager: what they open, queue and leave alone."""

import json
from typing import Any

import azure.functions as func
import pytest

from shared.api.alerts import AlertApi
from shared.api.sync import SyncApi
from shared.clients.vault_cache import VaultCache
from shared.domain.remediation import Status
from shared.domain.resource_ids import BackupInstanceId
from shared.sources.operation_filter import OperationFilter
from shared.storage.queues import SyncJob
from tests.integration.conftest import FAST, INSTANCE, App, AppMaker
from tests.support.alert_bodies import alert, backup_failure, log_alert
from tests.support.api_parts import document, http_request
from tests.support.bindings import OutputBinding

OTHER = BackupInstanceId(INSTANCE.subscription_id, "testRG", "testVault", "other")
DISK = f"/subscriptions/{INSTANCE.subscription_id}/resourceGroups/disks/providers/Microsoft.Compute/disks/one"


class Answer:
    """A route's response, and the jobs that it queued."""

    def __init__(self, route: Any, body: object, headers: dict[str, str] | None = None, **query: str) -> None:
        jobs = OutputBinding[list[str]]()
        response: func.HttpResponse = route(http_request("POST", "/", body, headers, query), jobs)
        self.status, self.headers, self.document = response.status_code, response.headers, document(response)
        self.jobs = [SyncJob.from_message(message).remediation_id for queued in jobs.values for message in queued]


def receive(app: App, body: object) -> Answer:
    vaults = VaultCache(app.arm.instances, app.clock)
    return Answer(AlertApi(lambda: app.host.intake, lambda: vaults, OperationFilter(), app.clock).receive, body)


def sync(app: App, body: object, headers: dict[str, str] | None = None, **query: str) -> Answer:
    return Answer(SyncApi(lambda: app.host.intake, lambda: app.host.dry_run, app.clock).sync, body, headers, **query)


def test_each_instance_of_an_alert_is_opened_and_queued(app: App) -> None:
    answer = receive(app, log_alert({"id": str(INSTANCE)}, {"id": str(OTHER)}))
    results = answer.document["instances"]
    assert [(one["backupInstanceId"], one["action"]) for one in results] == [
        (str(INSTANCE), "Open"),
        (str(OTHER), "Open"),
    ]
    assert answer.jobs == [one["remediationId"] for one in results]


def test_a_vault_and_a_resource_lead_to_the_instance_on_whatever_page_it_stands(app: App) -> None:
    app.azure.set(pageSize=1)
    for number in range(3):
        app.azure.put(f"{INSTANCE.vault_id}/backupInstances/a{number}")
    app.azure.put(str(INSTANCE), dataSourceId=DISK)
    body = backup_failure(linkedResourceId=DISK.upper(), sourceId=None, affectedItems=None)
    body["data"]["essentials"]["alertTargetIDs"] = [str(INSTANCE.vault_id).lower()]
    (result,) = receive(app, body).document["instances"]
    assert (result["backupInstanceId"], result["action"]) == (str(INSTANCE), "Open")
    assert len(app.azure.journal("instances")) == 4


def test_a_vault_that_does_not_exist_is_said_so(app: App) -> None:
    answer = receive(app, backup_failure())
    assert (answer.status, answer.document["code"]) == (200, "VaultNotReadable")


def test_an_alert_that_comes_again_after_its_heal_is_dropped_with_the_reason(app: App) -> None:
    app.started()
    app.host.poller.run()
    (result,) = receive(app, alert(alertTargetIDs=[str(INSTANCE)])).document["instances"]
    assert (result["action"], result["policy"]["code"]) == ("Drop", "LateDuplicate")


def test_a_dry_run_says_what_would_happen_and_writes_nothing(app: App) -> None:
    app.azure.put(str(INSTANCE))
    answer = sync(app, {"backupInstanceId": str(INSTANCE), "syncType": "ForceResync"}, dryRun="True")
    assert (answer.status, answer.jobs) == (200, [])
    assert answer.document["azure"].pop("error")["message"].startswith("The vault's managed identity")
    assert answer.document == {
        "dryRun": True,
        "action": "Open",
        "backupInstanceId": str(INSTANCE),
        "syncType": "ForceResync",
        "policy": {"code": "Admitted", "reason": "in scope, and nobody heals the instance now"},
        "remediation": None,
        "azure": {
            "answer": "Read",
            "reason": "the instance is ProtectionError: a sync may heal it",
            "protectionState": "ProtectionError",
            "errorClass": None,
            "whatToDo": None,
            "effect": "MayHeal",
        },
    }
    assert app.host.store.latest_pointer(INSTANCE) is None


def test_a_dry_run_knows_a_subscription_that_does_not_exist(app: App) -> None:
    answer = sync(app, {"backupInstanceId": str(INSTANCE)}, dryRun="true")
    azure = answer.document["azure"]
    assert (answer.status, answer.document["action"]) == (200, "Reject")
    assert (azure["answer"], azure["error"]["code"]) == ("NotFound", "SubscriptionNotFound")


@pytest.mark.parametrize(
    ("fault", "action", "answer"),
    [
        ({"status": 403}, "Reject", "Forbidden"),
        ({"status": 503}, "Open", "Unreachable"),
        ({"kind": "reset"}, "Open", "Unreachable"),
    ],
)
def test_a_dry_run_says_what_keeps_azure_from_showing_the_instance(
    app: App, fault: dict[str, object], action: str, answer: str
) -> None:
    app.azure.put(str(INSTANCE), behaviour={"readFaults": [fault]})
    result = sync(app, {"backupInstanceId": str(INSTANCE)}, dryRun="true")
    assert (result.status, result.document["action"], result.document["azure"]["answer"]) == (200, action, answer)
    assert app.host.store.latest_pointer(INSTANCE) is None


def test_each_item_of_a_list_is_answered_as_if_it_had_come_alone(make_app: AppMaker) -> None:
    app = make_app(exclude=("*/other",))
    items = [{"backupInstanceId": str(one)} for one in (INSTANCE, OTHER, INSTANCE)]
    answer = sync(app, {"items": [*items, {"backupInstanceId": "x"}]})
    results = answer.document["items"]
    assert (answer.status, [one["status"] for one in results]) == (200, [202, 403, 202, 400])
    assert results[1]["error"]["code"] == "OutOfScope"
    assert results[0]["remediation"]["id"] == results[2]["remediation"]["id"]
    assert answer.jobs == [results[0]["remediation"]["id"]]


@pytest.mark.parametrize("given", ["9c4d50ee-2d56-4cd3-8152-34347dc9f2b0", "nightly check 7"])
def test_the_callers_request_id_goes_into_log_arm_call_and_outcome(
    app: App, caplog: pytest.LogCaptureFixture, given: str
) -> None:
    app.azure.put(str(INSTANCE), behaviour=FAST)
    answer = sync(app, {"backupInstanceId": str(INSTANCE)}, {"x-ms-client-request-id": given})
    assert answer.headers["x-ms-client-request-id"] == given
    with caplog.at_level("INFO", "backup_autoheal"):
        app.host.submit.run(json.dumps({"v": 1, "remediationId": answer.document["id"], "attempt": 1}))
        app.host.poller.run()
    assert app.azure.journal("sync")[0]["headers"]["x-ms-client-request-id"] == given
    lines = [json.loads(record.message) for record in caplog.records if "remediation.transition" in record.message]
    assert {line["clientRequestId"] for line in lines} == {given}
    (event,) = app.azure.events()
    assert event["data"]["clientRequestId"] == given


def test_without_one_each_attempt_has_a_request_id_of_its_own(app: App) -> None:
    started = app.started()
    sent = app.azure.journal("sync")[0]["headers"]["x-ms-client-request-id"]
    assert len(sent) == 36
    assert app.now(started).client_request_id is None
    assert app.now(started).status is Status.RUNNING


@pytest.mark.parametrize("is_repeat", [True, False])
def test_a_job_that_was_put_back_says_whether_it_was_delivered_before(is_repeat: bool) -> None:
    job = SyncJob("fe6483567071-20dafcb78b82790e", 1, is_repeat)
    assert SyncJob.from_message(job.to_message()) == job
