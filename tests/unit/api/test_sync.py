"""What `POST /api/sync` takes and refuses, before anything is stored or queued."""

import json
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

import azure.functions as func
import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import given
from hypothesis import strategies as st

from shared.api.sync import SyncApi
from shared.domain.signal import NoSignal, Signal
from shared.healing.healer import Healer, Intake
from shared.storage.queues import SyncJob
from tests.support.episodes import queued

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


class BreakingStorage:
    """A healer that opens so many remediations before its storage fails."""

    def __init__(self, good: int) -> None:
        self._good = good

    def intake(self, signal: Signal | NoSignal) -> Intake:
        self._good -= 1
        if self._good < 0:
            raise ServiceRequestError("no connection")
        opened = queued()
        return Intake(opened, SyncJob(opened.id, 1))


class Queued(func.Out[list[str]]):
    """The output binding."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def set(self, value: list[str]) -> None:
        self.messages = value

    def get(self) -> list[str]:
        return self.messages


class Jobs(func.Out[list[str]]):
    """The output binding; nothing may be set."""

    def set(self, value: list[str]) -> None:
        raise AssertionError(value)

    def get(self) -> list[str]:
        raise AssertionError


def post(body: bytes, headers: dict[str, str] | None = None, **query: str) -> func.HttpResponse:
    request = func.HttpRequest("POST", "https://app.example/api/sync", headers=headers, params=query, body=body)
    return SyncApi(went_through, lambda: NOW).sync(request, Jobs())


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


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"backupInstanceId": "x", "backupInstanceId": "y"}', "'backupInstanceId' stands twice"),
        (b'{"extra": {"a": 1, "a": 2}}', "'a' stands twice"),
        (b'{"extra": NaN}', "NaN is no number"),
        (b'{"extra": -Infinity}', "-Infinity is no number"),
        (b'{"extra": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"extra": ' + b'{"a":' * 40_000 + b"1" + b"}" * 40_001, "recursion"),
    ],
)
def test_what_readers_of_json_could_understand_differently_is_refused(body: bytes, reason: str) -> None:
    status, error = refused(body)
    assert (status, error["code"]) == (400, "InvalidJson")
    assert reason in error["message"]


@pytest.mark.parametrize("field", ["backupInstanceId", "reason"])
def test_a_lone_surrogate_is_refused_with_the_field(field: str) -> None:
    body = json.dumps({"backupInstanceId": ID, field: "\ud800"})
    status, error = refused(body.encode())
    assert (status, error["target"]) == (400, field)


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"]
)
def test_every_json_content_type_is_taken(content_type: str) -> None:
    with pytest.raises(WentThrough):
        post(json.dumps(PARTS).encode(), {"Content-Type": content_type})


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "json", "image/x+json"])
def test_another_content_type_is_refused(content_type: str) -> None:
    response = post(json.dumps(PARTS).encode(), {"content-type": content_type})
    assert response.status_code == 415
    assert content_type in json.loads(response.get_body())["error"]["message"]


@pytest.mark.parametrize("given", ["yes", "", "1"])
def test_a_dry_run_that_is_neither_true_nor_false_is_refused(given: str) -> None:
    response = post(json.dumps(PARTS).encode(), dryRun=given)
    assert (response.status_code, json.loads(response.get_body())["error"]["target"]) == (400, "dryRun")


@pytest.mark.parametrize("name", ["dry_run", "dry-run", "dryrunn", "x"])
def test_a_dry_run_that_is_misspelt_does_not_do_the_real_thing(name: str) -> None:
    response = post(json.dumps(PARTS).encode(), None, **{name: "true"})
    assert (response.status_code, json.loads(response.get_body())["error"]["target"]) == (400, name)


@pytest.mark.parametrize("items", [[], {}, None, "x", [PARTS] * 101])
def test_a_list_has_1_to_100_items(items: object) -> None:
    status, error = refused(json.dumps({"items": items}).encode())
    assert (status, error["target"]) == (400, "items")


def test_each_item_of_a_list_is_refused_for_itself() -> None:
    response = post(json.dumps({"items": [{}, {"backupInstanceId": ID, "syncType": "x"}, 5]}).encode())
    results = json.loads(response.get_body())["items"]
    assert response.status_code == 200
    assert [(one["status"], one["error"]["target"]) for one in results] == [
        (400, "backupInstanceId"),
        (400, "syncType"),
        (400, "backupInstanceId"),
    ]


@pytest.mark.parametrize("given", ["my-request 1", "x" * 128, "9c4d50ee-2d56-4cd3-8152-34347dc9f2b0"])
def test_the_callers_request_id_comes_back_even_with_a_refusal(given: str) -> None:
    assert post(b"{}", {"x-ms-client-request-id": given}).headers["x-ms-client-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "x\r\nSet-Cookie: y", "\u00fc", "\x7f"])
def test_a_request_id_that_could_not_be_a_header_is_ignored(given: str) -> None:
    assert "x-ms-client-request-id" not in post(b"{}", {"x-ms-client-request-id": given}).headers


def test_a_body_of_a_mebibyte_is_refused_unread() -> None:
    status, error = refused(b"x" * 1024 * 1024)
    assert (status, error["code"]) == (413, "RequestTooLarge")


def post_list(items: int, good: int) -> tuple[func.HttpResponse, list[str]]:
    """A list of so many items, while storage takes the first good ones only."""
    jobs = Queued()
    body = json.dumps({"items": [PARTS] * items}).encode()
    request = func.HttpRequest("POST", "https://app.example/api/sync", body=body)
    healer = cast(Healer, BreakingStorage(good))
    return SyncApi(lambda: healer, lambda: NOW).sync(request, jobs), jobs.messages


def test_many_keys_of_which_the_last_two_are_one_are_read_in_one_go() -> None:
    keys = ",".join(f'"{number}":1' for number in range(20_000))
    assert "stands twice" in refused(f'{{{keys},"x":1,"x":1}}'.encode())[1]["message"]


def test_where_storage_fails_within_a_list_what_is_opened_is_queued_and_the_rest_says_so() -> None:
    response, jobs = post_list(5, good=2)
    results = json.loads(response.get_body())["items"]
    assert [one["status"] for one in results] == [202, 202, 503, 503, 503]
    assert results[4]["error"]["code"] == "StorageUnavailable"
    assert len(jobs) == 2


def test_where_storage_fails_at_once_the_whole_list_is_to_be_sent_again() -> None:
    response, jobs = post_list(5, good=0)
    assert (response.status_code, response.headers["Retry-After"], jobs) == (503, "10", [])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
fields = st.sampled_from(["backupInstanceId", "syncType", "reason", *PARTS])


@given(st.dictionaries(fields, json_values))
def test_any_object_without_an_instance_is_refused(body: dict[str, object]) -> None:
    assert refused(json.dumps(body).encode())[0] == 400


@given(st.lists(st.dictionaries(fields, json_values) | json_values, min_size=1))
def test_any_list_without_an_instance_is_refused_item_by_item(items: list[object]) -> None:
    response = post(json.dumps({"items": items}).encode())
    assert {one["status"] for one in json.loads(response.get_body())["items"]} == {400}


@given(st.text(), st.text(), st.text())
def test_any_header_and_query_is_answered(request_id: str, content_type: str, dry_run: str) -> None:
    headers = {"x-ms-client-request-id": request_id, "Content-Type": content_type}
    assert post(b"{}", headers, dryRun=dry_run).status_code in (400, 415)


@given(st.binary())
def test_any_bytes_are_refused(body: bytes) -> None:
    assert refused(body)[0] == 400


@pytest.mark.parametrize("body", [{}, {"items": [{}]}])
def test_a_refusal_is_logged_with_the_callers_request_id(body: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="backup_autoheal")
    post(json.dumps(body).encode(), {"x-ms-client-request-id": "call-7"})
    [line] = [json.loads(message) for message in caplog.messages]
    assert (line["event"], line["clientRequestId"]) == ("request.refused", "call-7")
