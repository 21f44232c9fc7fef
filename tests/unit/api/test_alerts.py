"""What `POST /api/alerts` answers where nothing is to be stored or queued."""

import json
from typing import Any, NoReturn

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.alerts import AlertApi
from shared.clients.vault_cache import VaultCache
from shared.domain.arm_results import TransientFailure, VaultListed, VaultRefused, VaultResult, new_error
from shared.sources.operation_filter import OperationFilter
from tests.support.alert_bodies import DISK, RECOVERY_VAULT, VAULT, alert, backup_failure
from tests.support.episodes import NOW

Json = dict[str, Any]
EMPTY = VaultListed(())


class Jobs(func.Out[list[str]]):
    """The output binding; nothing may be set."""

    def set(self, value: list[str]) -> None:
        raise AssertionError(value)

    def get(self) -> list[str]:
        raise AssertionError


def unexpected() -> NoReturn:
    raise AssertionError


def post(body: object, vault: VaultResult = EMPTY, headers: dict[str, str] | None = None) -> func.HttpResponse:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    vaults = VaultCache(lambda _: vault, lambda: NOW)
    api = AlertApi(unexpected, lambda: vaults, OperationFilter(), lambda: NOW)
    request = func.HttpRequest("POST", "https://app.example/api/alerts", headers=headers, body=encoded)
    return api.receive(request, Jobs())


def document(response: func.HttpResponse) -> Json:
    answer: Json = json.loads(response.get_body())
    return answer


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
    assert document(response)["error"]["message"]


def test_a_form_is_no_alert() -> None:
    assert post(b"a=b", headers={"Content-Type": "application/x-www-form-urlencoded"}).status_code == 415


def test_an_alert_of_more_than_a_mebibyte_is_not_read() -> None:
    assert post(b"x" * (1024 * 1024 + 1)).status_code == 413


@pytest.mark.parametrize(("retry_after", "header"), [(None, "20"), (7.5, "8")])
def test_a_vault_that_cannot_be_listed_now_makes_azure_monitor_call_again(
    retry_after: float | None, header: str
) -> None:
    response = post(backup_failure(), TransientFailure(new_error("TooManyRequests", "slow down"), retry_after))
    assert (response.status_code, response.headers["Retry-After"]) == (503, header)
    assert "slow down" in document(response)["error"]["message"]


def test_a_vault_that_may_not_be_read_is_reported_for_people(caplog: pytest.LogCaptureFixture) -> None:
    answer = document(post(backup_failure(), VaultRefused(403, new_error("AuthorizationFailed", "no permission"))))
    assert (answer["code"], "no permission" in answer["reason"]) == ("VaultNotReadable", True)
    assert [record.levelname for record in caplog.records if "vault.not_readable" in record.message] == ["ERROR"]


def test_a_vault_that_does_not_answer_counts_more_than_one_that_refuses() -> None:
    answers: dict[str, VaultResult] = {
        VAULT: TransientFailure(new_error("TooManyRequests", "slow down")),
        f"{VAULT}2": VaultRefused(403, new_error("AuthorizationFailed", "no permission")),
        f"{VAULT}3": EMPTY,
    }
    vaults = VaultCache(lambda vault: answers[str(vault).lower()], lambda: NOW)
    api = AlertApi(unexpected, lambda: vaults, OperationFilter(), lambda: NOW)
    body = json.dumps(alert({"sourceId": DISK}, alertTargetIDs=list(answers))).encode()
    assert api.receive(func.HttpRequest("POST", "https://app.example/api/alerts", body=body), Jobs()).status_code == 503


@pytest.mark.parametrize(
    ("vault", "event"),
    [(EMPTY, "alert.ignored"), (TransientFailure(new_error("TooManyRequests", "slow down")), "alert.postponed")],
)
def test_the_log_tells_which_alert_started_nothing(
    vault: VaultResult, event: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = backup_failure()
    body["data"]["essentials"] |= {"alertId": "/subscriptions/x/alerts/1", "alertRule": "disks"}
    with caplog.at_level("INFO", "backup_autoheal"):
        post(body, vault)
    (line,) = [json.loads(record.message) for record in caplog.records if event in record.message]
    assert (line["alertId"], line["alertRule"]) == ("/subscriptions/x/alerts/1", "disks")


texts = st.sampled_from([VAULT, RECOVERY_VAULT, DISK]) | st.text()
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(json_values, json_values, json_values)
def test_any_alert_that_names_no_instance_is_ignored_or_refused(context: Any, targets: Any, custom: Any) -> None:
    assert post(alert(context, custom, alertTargetIDs=targets)).status_code in (200, 400)


@given(st.binary())
def test_any_bytes_are_refused(body: bytes) -> None:
    assert post(body).status_code == 400
