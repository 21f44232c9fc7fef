"""The answers of the simulated ARM on the wire: the behaviour that this app depends on."""

import base64
import email.utils
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.support.simulator import (
    API_VERSION,
    AT_ONCE,
    ENDLESS,
    INSTANCE,
    SUBSCRIPTION,
    VAULT,
    Json,
    Simulator,
    code_of,
    properties_of,
)

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


# Admission and addressing


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        (INSTANCE, {}, 400, "MissingApiVersionParameter"),
        (INSTANCE, {"api-version": "latest"}, 400, "InvalidApiVersionParameter"),
        (INSTANCE.replace("04cf684a", "14cf684a"), None, 404, "SubscriptionNotFound"),
        (INSTANCE.replace("testRG", "otherRG"), None, 404, "ResourceGroupNotFound"),
        (INSTANCE.replace("testVault", "otherVault"), None, 404, "ResourceNotFound"),
        (f"{INSTANCE}2", None, 404, "ResourceNotFound"),
        (f"{VAULT}2/backupInstances", None, 404, "ResourceNotFound"),
        (f"{VAULT}/operationStatus/bm9uZQ==", None, 404, "ResourceNotFound"),
        (f"{VAULT}/backupPolicies", None, 404, "NotFound"),
    ],
)
def test_when_the_request_cannot_be_served_then_the_error_says_why_in_arms_shape(
    simulator: Simulator, path: str, params: dict[str, str] | None, status: int, code: str
) -> None:
    simulator.put()

    answer = simulator.arm("GET", path, params={"api-version": API_VERSION} if params is None else params)

    assert (answer.status_code, code_of(answer)) == (status, code)
    assert answer.json()["error"]["message"]


def test_when_a_known_path_is_called_with_another_method_then_it_is_not_supported(
    simulator: Simulator,
) -> None:
    simulator.put()

    assert simulator.arm("GET", f"{INSTANCE}/sync").status_code == 405
    assert [entry["kind"] for entry in simulator.journal("sync", "other")] == ["other"]


@pytest.mark.parametrize("casing", [str.lower, str.upper, str.swapcase])
def test_given_an_id_in_any_casing_when_it_is_used_then_it_means_the_same_instance(
    simulator: Simulator, casing: Callable[[str], str]
) -> None:
    simulator.put(behaviour=AT_ONCE)
    recased = casing(INSTANCE)

    accepted = simulator.arm("POST", f"{recased}/SYNC", json={"syncType": "ForceResync"})
    *scope, operation_id = accepted.headers["Azure-AsyncOperation"].removeprefix(simulator.url).split("/")
    status = simulator.arm("GET", casing("/".join(scope)) + "/" + operation_id.split("?")[0])

    assert accepted.status_code == 202
    assert status.json()["status"] == "Succeeded"
    assert simulator.read(recased).json()["id"] == INSTANCE
    assert len(simulator.arm("GET", casing(f"{VAULT}/backupInstances")).json()["value"]) == 1
    simulator.put(recased)
    assert len(simulator.arm("GET", f"{VAULT}/backupInstances").json()["value"]) == 1


def test_when_arm_answers_then_the_headers_identify_the_request_and_tell_the_budget(
    simulator: Simulator,
) -> None:
    simulator.put()
    authorization = {"Authorization": f"Bearer {simulator.token()}"}

    read = simulator.read(headers={**authorization, "x-ms-client-request-id": "mine"})
    sync = simulator.sync(headers={**authorization, "x-ms-correlation-request-id": "ours"})

    assert re.fullmatch(UUID, read.headers["x-ms-request-id"])
    assert re.fullmatch(UUID, read.headers["x-ms-correlation-request-id"])
    assert read.headers["x-ms-client-request-id"] == "mine"
    assert sync.headers["x-ms-correlation-request-id"] == "ours"
    assert int(read.headers["x-ms-ratelimit-remaining-subscription-resource-requests"]) > 900
    assert int(sync.headers["x-ms-ratelimit-remaining-subscription-writes"]) > 0


# The sync and its operation


def test_when_a_sync_is_accepted_then_the_headers_say_where_and_when_to_look(simulator: Simulator) -> None:
    simulator.put(behaviour={**ENDLESS, "retryAfter": 7})

    accepted = simulator.sync()

    assert (accepted.status_code, accepted.content) == (202, b"")
    assert accepted.headers["Retry-After"] == "7"
    operation_id = accepted.headers["Azure-AsyncOperation"].split("/")[-1].split("?")[0]
    assert re.fullmatch(f"{UUID};{UUID}", base64.b64decode(operation_id, validate=True).decode())
    location = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.DataProtection/locations/westeurope"
    for header, path in (
        ("Azure-AsyncOperation", f"{VAULT}/operationStatus"),
        ("Location", f"{location}/operationResults"),
    ):
        url, _, signature = accepted.headers[header].partition("&")
        assert url == f"{simulator.url}{path}/{operation_id}?api-version={API_VERSION}"
        assert re.fullmatch(r"t=\d{18}&c=[\w-]{2700,}&s=[\w-]{340,}&h=[\w-]{43}", signature)
        assert 3_200 < len(accepted.headers[header]) < 3_500


def test_by_default_a_sync_does_not_say_when_to_look(simulator: Simulator) -> None:
    simulator.put()
    assert "Retry-After" not in simulator.sync().headers


def test_given_a_running_operation_when_it_is_looked_at_then_nothing_says_that_it_has_ended(
    simulator: Simulator,
) -> None:
    simulator.put(behaviour={**ENDLESS, "retryAfter": 7})
    accepted = simulator.sync()

    status = simulator.arm("GET", accepted.headers["Azure-AsyncOperation"])
    results = simulator.arm("GET", accepted.headers["Location"])

    assert status.status_code == 200
    assert status.headers["Retry-After"] == "7"
    assert status.json()["status"] == "Inprogress"
    assert status.json()["id"].endswith(f"/operationStatus/{status.json()['name']}")
    assert status.json()["endTime"] == "0001-01-01T00:00:00Z"
    assert {"properties", "error"}.isdisjoint(status.json())
    assert (results.status_code, results.content) == (202, b"")
    assert results.headers["Location"] == accepted.headers["Location"]
    assert results.headers["Retry-After"] == "7"
    assert properties_of(simulator)["currentProtectionState"] == "UpdatingProtection"


def test_given_an_ended_operation_when_it_is_looked_at_then_it_names_its_job_and_its_times(
    simulator: Simulator,
) -> None:
    simulator.put(behaviour=AT_ONCE)
    accepted = simulator.sync()

    status = simulator.arm("GET", accepted.headers["Azure-AsyncOperation"])
    results = simulator.arm("GET", accepted.headers["Location"])

    operation = status.json()
    assert operation["status"] == "Succeeded"
    assert operation["properties"]["objectType"] == "OperationJobExtendedInfo"
    assert operation["properties"]["jobId"].startswith(f"{VAULT}/backupJobs/")
    assert operation["startTime"] == operation["endTime"]
    assert datetime.fromisoformat(operation["startTime"]).tzinfo
    assert "Retry-After" not in status.headers
    assert (results.status_code, results.json()) == (200, operation["properties"])


def test_given_an_operation_of_one_vault_when_it_is_asked_for_at_another_then_it_is_not_found(
    simulator: Simulator,
) -> None:
    simulator.put()
    simulator.put(INSTANCE.replace("testVault", "otherVault"))
    elsewhere = simulator.sync().headers["Azure-AsyncOperation"].replace("testVault", "otherVault")

    assert simulator.arm("GET", elsewhere).status_code == 404


@pytest.mark.parametrize(
    ("behaviour", "state", "error"),
    [
        ({"finalStatus": "Failed"}, "ProtectionError", "UserErrorMissingPermissions"),
        ({"finalStatus": "Canceled", "finalError": {"code": "X"}}, "ProtectionError", "X"),
        ({"finalStatus": "Cancelled", "finalError": {"code": "X"}}, "ProtectionError", "X"),
        ({"omitJobId": True}, "ProtectionConfigured", None),
        ({"stateAfterSuccess": "ProtectionError"}, "ProtectionError", None),
        ({"syncStatus": 200}, "ProtectionConfigured", None),
    ],
)
def test_given_a_behaviour_when_the_sync_has_ended_then_operation_and_instance_are_as_it_says(
    simulator: Simulator, behaviour: Json, state: str, error: str | None
) -> None:
    simulator.put(behaviour={**AT_ONCE, **behaviour})

    accepted = simulator.sync()

    assert accepted.status_code == behaviour.get("syncStatus", 202)
    if url := accepted.headers.get("Azure-AsyncOperation"):
        operation = simulator.arm("GET", url).json()
        assert operation["status"] == behaviour.get("finalStatus", "Succeeded")
        assert operation.get("error", {}).get("code") == error
    properties = properties_of(simulator)
    assert properties["currentProtectionState"] == properties["protectionStatus"]["status"] == state
    assert ("protectionErrorDetails" in properties) == (state != "ProtectionConfigured")


def test_given_a_running_operation_when_a_second_sync_comes_then_it_is_a_conflict_until_the_end(
    simulator: Simulator,
) -> None:
    simulator.put(behaviour=ENDLESS)
    assert simulator.sync().status_code == 202

    second = simulator.sync()

    assert (second.status_code, code_of(second)) == (409, "Conflict")
    simulator.put(behaviour=AT_ONCE)
    assert [simulator.sync().status_code for _ in range(2)] == [202, 202]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"syncType": "Everything"}'])
def test_when_the_body_of_a_sync_is_wrong_then_nothing_is_started(simulator: Simulator, body: bytes) -> None:
    simulator.put()

    answer = simulator.sync(json=None, data=body)

    assert (answer.status_code, code_of(answer)) == (400, "InvalidRequestContent")
    assert properties_of(simulator)["currentProtectionState"] == "ProtectionError"


def test_given_a_retry_after_as_a_date_when_a_sync_is_accepted_then_it_is_one_to_two_seconds_ahead(
    simulator: Simulator,
) -> None:
    simulator.put(behaviour={"retryAfter": "http-date"})
    before = datetime.now(UTC)

    when = email.utils.parsedate_to_datetime(simulator.sync().headers["Retry-After"])

    assert 1 <= (when - before).total_seconds() <= 3


def test_given_a_foreign_operation_url_when_a_sync_is_accepted_then_the_header_has_it_filled_in(
    simulator: Simulator,
) -> None:
    template = "https://evil.example/{operationId}?was={url}"
    simulator.put(behaviour={"operationUrl": template, "omitLocationHeader": True, "retryAfter": None})

    headers = simulator.sync().headers

    assert re.fullmatch(
        rf"https://evil\.example/[A-Za-z0-9=]+\?was={simulator.url}/subscriptions/.*",
        headers["Azure-AsyncOperation"],
    )
    assert "Location" not in headers
    assert "Retry-After" not in headers
