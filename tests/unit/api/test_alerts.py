"""`POST /api/alerts`: what becomes of an alert, and what is refused."""

import json
from collections.abc import Callable
from typing import Any

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.alerts import AlertApi
from shared.clients.vault_cache import VaultCache
from shared.domain.arm_results import ListedInstance, Refused, TransientFailure, VaultListed, VaultResult, new_error
from shared.domain.resource_ids import BackupInstanceId, BackupVaultId
from shared.healing.intake import Intake
from shared.sources.operation_filter import OperationFilter
from tests.support.alert_bodies import (
    DISK,
    INSTANCE,
    OTHER_INSTANCE,
    RECOVERY_VAULT,
    VAULT,
    alert,
    backup_failure,
    log_alert,
)
from tests.support.api_parts import (
    FailingStore,
    Json,
    cancel,
    described,
    document,
    error,
    http_request,
    intake,
    unexpected,
)
from tests.support.bindings import OutputBinding
from tests.support.json_values import json_values
from tests.support.memory_store import MemoryStore
from tests.support.remediations import NOW

EMPTY = VaultListed(())
UNAVAILABLE = TransientFailure(new_error("TooManyRequests", "slow down"))
REFUSED = Refused(403, new_error("AuthorizationFailed", "no permission"))


def receive(
    body: object,
    jobs: OutputBinding[list[str]],
    intake: Callable[[], Intake],
    list_vault: Callable[[BackupVaultId], VaultResult],
    headers: dict[str, str] | None = None,
) -> func.HttpResponse:
    vaults = VaultCache(list_vault, lambda: NOW)
    api = AlertApi(intake, lambda: vaults, OperationFilter(), lambda: NOW)
    return described(api.receive(http_request("POST", "/alerts", body, headers), jobs), "POST", "/alerts")


def post(body: object, vault: VaultResult = EMPTY, headers: dict[str, str] | None = None) -> func.HttpResponse:
    """The response to what starts nothing; all vaults are listed with this result."""
    jobs = OutputBinding[list[str]]()
    response = receive(body, jobs, unexpected, lambda _: vault, headers)
    assert jobs.values == []
    return response


def test_the_response_says_what_became_of_each_instance() -> None:
    store, jobs = MemoryStore(), OutputBinding[list[str]]()

    def result() -> Json:
        [instance] = document(receive(alert(alertTargetIDs=[INSTANCE]), jobs, lambda: intake(store), lambda _: EMPTY))[
            "instances"
        ]
        assert instance["backupInstanceId"] == INSTANCE
        return instance

    opened, coalesced = result(), result()
    cancel(store).run(opened["remediationId"], "by hand")
    dropped = result()
    assert [each["action"] for each in (opened, coalesced, dropped)] == ["Open", "Coalesce", "Drop"]
    assert (coalesced["remediationId"], dropped["policy"]["code"]) == (opened["remediationId"], "CoolingDown")
    assert len(jobs.values) == 1


def test_no_more_than_a_hundred_instances_of_an_alert_are_healed(caplog: pytest.LogCaptureFixture) -> None:
    jobs = OutputBinding[list[str]]()
    body = alert(alertTargetIDs=[f"{INSTANCE}{number}" for number in range(130)])
    response = receive(body, jobs, lambda: intake(MemoryStore()), lambda _: EMPTY)
    assert [len(document(response)["instances"]), *map(len, jobs.values)] == [100, 100]
    assert document(response)["omitted"] == 30
    assert [message for message in caplog.messages if "alert.too_many" in message]


def test_what_an_alert_opened_before_storage_failed_is_queued() -> None:
    jobs, store = OutputBinding[list[str]](), FailingStore(1)
    body = log_alert({"id": INSTANCE}, {"id": OTHER_INSTANCE})
    response = receive(body, jobs, lambda: intake(store), lambda _: EMPTY)
    assert (response.status_code, error(response)["code"]) == (503, "StorageUnavailable")
    assert [len(messages) for messages in jobs.values] == [1]


def test_a_vault_that_does_not_answer_takes_nothing_from_what_others_have(caplog: pytest.LogCaptureFixture) -> None:
    jobs = OutputBinding[list[str]]()
    listed = VaultListed((ListedInstance(BackupInstanceId.parse(INSTANCE), DISK),))
    vaults: dict[str, VaultResult] = {f"{VAULT}-silent": UNAVAILABLE, VAULT: listed}
    body = alert({"sourceId": DISK}, alertTargetIDs=list(vaults))
    response = receive(body, jobs, lambda: intake(MemoryStore()), lambda vault: vaults[str(vault).lower()])
    (result,) = document(response)["instances"]
    assert (response.status_code, result["backupInstanceId"], len(jobs.values)) == (200, INSTANCE, 1)
    (line,) = [json.loads(message) for message in caplog.messages if "vault.not_listed" in message]
    assert line["vault"].lower() == f"{VAULT}-silent"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (alert(monitorCondition="Resolved"), "Resolved"),
        (alert(alertTargetIDs=[RECOVERY_VAULT]), "RecoveryServicesVault"),
        ({"schemaId": "AzureMonitorMetricAlert"}, "OtherSchema"),
        (alert(alertTargetIDs=[VAULT]), "NoBackupInstance"),
        (backup_failure(), "NoBackupInstance"),
    ],
)
def test_what_starts_nothing_is_answered_with_200_and_the_reason(body: Json, code: str) -> None:
    response = post(body)
    assert response.status_code == 200
    assert (document(response)["result"], document(response)["code"]) == ("Ignored", code)
    assert document(response)["reason"]


@pytest.mark.parametrize("body", [b"", b"junk", b"\xff", b"[]", b"{}", b"[" * 100_000, b'{"data": NaN}', b"null"])
def test_what_is_no_alert_is_a_bad_request(body: bytes) -> None:
    response = post(body)
    assert response.status_code == 400
    assert error(response)["message"]


def test_a_form_is_no_alert() -> None:
    assert post(b"a=b", headers={"Content-Type": "application/x-www-form-urlencoded"}).status_code == 415


def test_an_alert_of_more_than_a_mebibyte_is_not_read() -> None:
    assert post(b"x" * (1024 * 1024 + 1)).status_code == 413


@pytest.mark.parametrize(("retry_after", "header"), [(None, "20"), (7.5, "8")])
def test_a_vault_that_cannot_be_listed_now_makes_azure_monitor_call_again(
    retry_after: float | None, header: str
) -> None:
    response = post(backup_failure(), TransientFailure(UNAVAILABLE.error, retry_after))
    assert (response.status_code, response.headers["Retry-After"]) == (503, header)
    assert "slow down" in error(response)["message"]


def test_a_vault_that_may_not_be_read_is_reported_for_people(caplog: pytest.LogCaptureFixture) -> None:
    ignored = document(post(backup_failure(), REFUSED))
    assert (ignored["code"], "no permission" in ignored["reason"]) == ("VaultNotReadable", True)
    assert [record.levelname for record in caplog.records if "vault.not_readable" in record.message] == ["ERROR"]


def test_a_vault_that_does_not_answer_counts_more_than_one_that_refuses() -> None:
    vaults: dict[str, VaultResult] = {VAULT: UNAVAILABLE, f"{VAULT}2": REFUSED, f"{VAULT}3": EMPTY}
    body = alert({"sourceId": DISK}, alertTargetIDs=list(vaults))
    response = receive(body, OutputBinding(), unexpected, lambda vault: vaults[str(vault).lower()])
    assert response.status_code == 503


@pytest.mark.parametrize(("vault", "event"), [(EMPTY, "alert.ignored"), (UNAVAILABLE, "alert.postponed")])
def test_the_log_names_the_alert_that_started_nothing(
    vault: VaultResult, event: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = backup_failure()
    body["data"]["essentials"] |= {"alertId": "/subscriptions/x/alerts/1", "alertRule": "disks"}
    with caplog.at_level("INFO", "backup_autoheal"):
        post(body, vault)
    (line,) = [json.loads(record.message) for record in caplog.records if event in record.message]
    assert (line["alertId"], line["alertRule"]) == ("/subscriptions/x/alerts/1", "disks")


values = json_values(st.sampled_from([VAULT, RECOVERY_VAULT, DISK]))


@given(values, values, values)
def test_any_alert_that_names_no_instance_is_ignored_or_refused(context: Any, targets: Any, custom: Any) -> None:
    assert post(alert(context, custom, alertTargetIDs=targets)).status_code in (200, 400)


@given(st.binary())
def test_any_bytes_are_refused(body: bytes) -> None:
    assert post(body).status_code == 400
