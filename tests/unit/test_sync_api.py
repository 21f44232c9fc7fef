"""What the HTTP API refuses, before anything is stored or queued."""

import json
from datetime import UTC, datetime
from typing import Any, NoReturn

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.health import Health
from shared.http_api import HttpApi

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"
ID = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/testrg"
    "/providers/Microsoft.DataProtection/backupVaults/testvault/backupInstances/testbi"
)
PARTS = {
    "subscriptionId": SUBSCRIPTION,
    "resourceGroupName": "testrg",
    "vaultName": "testvault",
    "backupInstanceName": "testbi",
}


class WentThrough(Exception):
    """The request was not refused."""


def went_through() -> NoReturn:
    raise WentThrough


class Jobs(func.Out[str]):
    """The output binding; nothing may be set."""

    def set(self, value: str) -> None:
        raise AssertionError(value)

    def get(self) -> str:
        raise AssertionError


def post(body: bytes) -> func.HttpResponse:
    def now() -> datetime:
        return NOW

    api = HttpApi(went_through, went_through, Health(went_through, went_through, went_through, now), now)
    request = func.HttpRequest("POST", "https://app.example/api/sync", body=body)
    return api.sync(request, Jobs())


def refused(body: bytes) -> tuple[int, dict[str, Any]]:
    response = post(body)
    return response.status_code, json.loads(response.get_body())["error"]


@pytest.mark.parametrize(
    "body",
    [
        {"backupInstanceId": ID},
        {"backupInstanceId": ID, "syncType": "forceresync", "reason": "moved", "unknown": 1},
        PARTS,
    ],
)
def test_a_request_that_names_an_instance_goes_through(body: dict[str, object]) -> None:
    with pytest.raises(WentThrough):
        post(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("body", "target", "reason"),
    [
        ({}, "backupInstanceId", "give backupInstanceId, or"),
        ({**PARTS, "vaultName": None}, "backupInstanceId", "give backupInstanceId, or"),
        ({**PARTS, "subscriptionId": "x"}, "backupInstanceId", "not a UUID"),
        ({"backupInstanceId": 5}, "backupInstanceId", "string"),
        ({"backupInstanceId": ID.replace("backupInstances", "backupPolicies")}, "backupInstanceId", "expected /"),
        ({"backupInstanceId": ID, "syncType": "Maybe"}, "syncType", "Default, ForceResync"),
        ({"backupInstanceId": ID, "reason": 5}, "reason", "string"),
        ({"backupInstanceId": ID, "reason": "x" * 501}, "reason", "500"),
    ],
)
def test_a_wrong_field_is_named_with_the_reason(body: dict[str, object], target: str, reason: str) -> None:
    status, error = refused(json.dumps(body).encode())
    assert (status, error["target"]) == (400, target)
    assert reason in error["message"]


@pytest.mark.parametrize("body", [b"", b"junk", b"\xff", b"[" * 50_000, b"[]", b"null", b'"text"', b"NaN"])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    assert refused(body)[0] == 400


def test_a_body_of_a_mebibyte_is_refused_unread() -> None:
    status, error = refused(b"x" * 1024 * 1024)
    assert (status, error["code"]) == (413, "RequestTooLarge")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
fields = st.sampled_from(["backupInstanceId", "syncType", "reason", *PARTS])


@given(st.dictionaries(fields, json_values))
def test_any_object_without_an_instance_is_refused(body: dict[str, object]) -> None:
    assert refused(json.dumps(body).encode())[0] == 400


@given(st.binary())
def test_any_bytes_are_refused(body: bytes) -> None:
    assert refused(body)[0] == 400
