"""Alerts and requests on real storage and the simulated Resource Manager: what they open, queue and leave alone."""

import json
from typing import Any

import azure.functions as func
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.api.alerts import AlertApi
from shared.api.sync import SyncApi
from shared.clients.vault_cache import VaultCache
from shared.domain.arm_results import ListedInstance, TransientFailure, VaultListed, VaultResult, new_error
from shared.domain.remediation import Status
from shared.domain.resource_ids import BackupInstanceId
from shared.sources.operation_filter import OperationFilter
from shared.storage.queues import SyncJob
from shared.storage.remediation_store import RemediationStore
from tests.integration.conftest import FAST, INSTANCE, App, AppMaker
from tests.support.alert_bodies import alert, backup_failure, log_alert

Json = dict[str, Any]
OTHER = BackupInstanceId(INSTANCE.subscription_id, "testRG", "testVault", "other")
DISK = f"/subscriptions/{INSTANCE.subscription_id}/resourceGroups/disks/providers/Microsoft.Compute/disks/one"


class Jobs(func.Out[list[str]]):
    """The output binding."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def set(self, value: list[str]) -> None:
        self.messages = value

    def get(self) -> list[str]:
        return self.messages


class Answer:
    """What a route answered, and what it queued."""

    def __init__(self, response: func.HttpResponse, jobs: Jobs) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.document: Json = json.loads(response.get_body())
        self.jobs = [SyncJob.from_message(message).remediation_id for message in jobs.messages]


def call(route: Any, body: object, headers: dict[str, str] | None = None, **query: str) -> Answer:
    jobs = Jobs()
    encoded = json.dumps(body).encode()
    request = func.HttpRequest("POST", "https://app.example/api", headers=headers, params=query, body=encoded)
    return Answer(route(request, jobs), jobs)


def receive(app: App, body: object) -> Answer:
    vaults = VaultCache(app.healer.arm.instances, app.clock)
    return call(AlertApi(lambda: app.healer, lambda: vaults, OperationFilter(), app.clock).receive, body)


def sync(app: App, body: object, headers: dict[str, str] | None = None, **query: str) -> Answer:
    return call(SyncApi(lambda: app.healer, app.clock).sync, body, headers, **query)


def test_each_instance_of_an_alert_is_opened_and_queued(app: App) -> None:
    answer = receive(app, log_alert({"id": str(INSTANCE)}, {"id": str(OTHER)}))
    results = answer.document["instances"]
    assert [(one["backupInstanceId"], one["action"]) for one in results] == [
        (str(INSTANCE), "Open"),
        (str(OTHER), "Open"),
    ]
    assert answer.jobs == [one["remediationId"] for one in results]


def test_no_more_than_a_hundred_instances_of_an_alert_are_healed(app: App, caplog: pytest.LogCaptureFixture) -> None:
    answer = receive(app, alert(alertTargetIDs=[f"{INSTANCE}{number}" for number in range(130)]))
    assert len(answer.jobs) == len(answer.document["instances"]) == 100
    assert [record for record in caplog.records if "alert.too_many" in record.message]


def test_what_an_alert_opened_before_storage_failed_is_queued(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    takes = iter([app.healer.store.open])

    def open_once(*arguments: Any) -> None:
        for take in takes:
            take(*arguments)
            return
        raise ServiceRequestError("no connection")

    monkeypatch.setattr(RemediationStore, "open", lambda _, *arguments: open_once(*arguments))
    answer = receive(app, log_alert({"id": str(INSTANCE)}, {"id": str(OTHER)}))
    assert (answer.status, answer.document["error"]["code"], len(answer.jobs)) == (503, "StorageUnavailable", 1)


def test_an_alert_about_an_instance_that_is_healed_already_queues_nothing(app: App) -> None:
    active = app.open()
    answer = receive(app, alert(alertTargetIDs=[str(INSTANCE)], firedDateTime=None))
    (result,) = answer.document["instances"]
    assert (result["action"], result["remediationId"], answer.jobs) == ("Coalesce", active.id, [])


def test_an_alert_that_comes_again_after_its_heal_is_dropped_with_the_reason(app: App) -> None:
    app.started()
    app.tick.run()
    (result,) = receive(app, alert(alertTargetIDs=[str(INSTANCE)])).document["instances"]
    assert (result["action"], result["policy"]["code"]) == ("Drop", "LateDuplicate")


def test_a_vault_that_does_not_answer_takes_nothing_from_what_others_have(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    silent = f"{INSTANCE.vault_id}-silent"
    found = VaultListed((ListedInstance(INSTANCE, DISK),))
    answers: dict[str, VaultResult] = {
        silent: TransientFailure(new_error("TooManyRequests", "slow down")),
        str(INSTANCE.vault_id): found,
    }
    vaults = VaultCache(lambda vault: answers[str(vault)], app.clock)
    api = AlertApi(lambda: app.healer, lambda: vaults, OperationFilter(), app.clock)
    answer = call(api.receive, alert({"sourceId": DISK}, alertTargetIDs=list(answers)))
    (result,) = answer.document["instances"]
    assert (answer.status, result["backupInstanceId"], len(answer.jobs)) == (200, str(INSTANCE), 1)
    (line,) = [json.loads(record.message) for record in caplog.records if "vault.not_listed" in record.message]
    assert line["vault"] == silent


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


def test_a_dry_run_says_what_would_happen_and_writes_nothing(app: App) -> None:
    answer = sync(app, {"backupInstanceId": str(INSTANCE), "syncType": "ForceResync"}, dryRun="True")
    assert (answer.status, answer.jobs) == (200, [])
    assert answer.document == {
        "dryRun": True,
        "action": "Open",
        "backupInstanceId": str(INSTANCE),
        "syncType": "ForceResync",
        "policy": {"code": "Admitted", "reason": "in scope, and nobody heals the instance now"},
        "remediation": None,
    }
    assert app.healer.store.owner(INSTANCE) is None


def test_a_dry_run_for_an_active_instance_shows_what_it_would_belong_to_and_does_not_count(app: App) -> None:
    active = app.open()
    answer = sync(app, {"backupInstanceId": str(INSTANCE)}, dryRun="true")
    assert (answer.document["action"], answer.document["policy"]["code"]) == ("Coalesce", "AlreadyActive")
    assert (answer.document["remediation"]["id"], app.now(active).signals) == (active.id, 1)


def test_a_dry_run_names_the_policy_that_would_drop_the_request(make_app: AppMaker) -> None:
    app = make_app(exclude=("*/testvault/*",))
    answer = sync(app, {"backupInstanceId": str(INSTANCE)}, dryRun="true")
    assert (answer.document["action"], answer.document["policy"]["code"]) == ("Drop", "OutOfScope")
    assert answer.document["syncType"] is None


def test_each_item_of_a_list_is_answered_as_if_it_had_come_alone(make_app: AppMaker) -> None:
    app = make_app(exclude=("*/other",))
    items = [{"backupInstanceId": str(one)} for one in (INSTANCE, OTHER, INSTANCE)]
    answer = sync(app, {"items": [*items, {"backupInstanceId": "x"}]})
    results = answer.document["items"]
    assert (answer.status, [one["status"] for one in results]) == (200, [202, 403, 202, 400])
    assert results[1]["error"]["code"] == "OutOfScope"
    assert results[0]["remediation"]["id"] == results[2]["remediation"]["id"]
    assert answer.jobs == [results[0]["remediation"]["id"]]


def test_a_dry_run_of_a_list_writes_nothing(app: App) -> None:
    answer = sync(app, {"items": [{"backupInstanceId": str(INSTANCE)}, {}]}, dryRun="true")
    results = answer.document["items"]
    assert [(one["status"], one.get("action")) for one in results] == [(200, "Open"), (400, None)]
    assert (answer.jobs, app.healer.store.owner(INSTANCE)) == ([], None)


@pytest.mark.parametrize("given", ["9c4d50ee-2d56-4cd3-8152-34347dc9f2b0", "nightly check 7"])
def test_the_callers_request_id_goes_into_log_arm_call_and_outcome(
    app: App, caplog: pytest.LogCaptureFixture, given: str
) -> None:
    app.azure.put(str(INSTANCE), behaviour=FAST)
    answer = sync(app, {"backupInstanceId": str(INSTANCE)}, {"x-ms-client-request-id": given})
    assert answer.headers["x-ms-client-request-id"] == given
    with caplog.at_level("INFO", "backup_autoheal"):
        app.healer.submit(json.dumps({"v": 1, "remediationId": answer.document["id"], "attempt": 1}))
        app.tick.run()
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
