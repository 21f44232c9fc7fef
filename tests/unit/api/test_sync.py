"""`POST /api/sync`: what it takes, and what it refuses before anything is stored or queued."""

import json

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.sync import SyncApi
from shared.domain.arm_results import InstanceResult, Refused, TransientFailure
from shared.domain.error_codes import BUILT_IN
from shared.domain.remediation_json import shown_document
from shared.settings import Settings
from shared.storage.queues import SyncJob
from tests.support.api_parts import (
    BROKEN,
    DEFAULTS,
    FailingStore,
    Json,
    ShownInstance,
    described,
    document,
    dry_run,
    error,
    http_request,
    intake,
    unexpected,
)
from tests.support.bindings import OutputBinding
from tests.support.json_values import json_values
from tests.support.memory_store import MemoryStore
from tests.support.remediations import INSTANCE, NOW, read

ID = str(INSTANCE)
PARTS = {
    "subscriptionId": INSTANCE.subscription_id,
    "resourceGroupName": INSTANCE.resource_group,
    "vaultName": INSTANCE.vault,
    "backupInstanceName": INSTANCE.name,
}
BY_ID = {"backupInstanceId": ID}


def post(body: object, headers: dict[str, str] | None = None, **query: str) -> func.HttpResponse:
    """The response to a request that must not get as far as the intake."""
    jobs = OutputBinding[list[str]]()
    response = SyncApi(unexpected, unexpected, lambda: NOW).sync(
        http_request("POST", "/sync", body, headers, query), jobs
    )
    assert jobs.values == []
    return described(response, "POST", "/sync")


def refused(body: object) -> tuple[int, Json]:
    response = post(body)
    return response.status_code, error(response)


def post_to(
    store: MemoryStore,
    body: object,
    headers: dict[str, str] | None = None,
    settings: Settings = DEFAULTS,
    arm: ShownInstance = BROKEN,
    **query: str,
) -> tuple[func.HttpResponse, list[list[str]]]:
    """The response, and what is queued."""
    jobs = OutputBinding[list[str]]()
    api = SyncApi(lambda: intake(store, settings), lambda: dry_run(store, settings, arm), lambda: NOW)
    response = api.sync(http_request("POST", "/sync", body, headers, query), jobs)
    return described(response, "POST", "/sync"), jobs.values


@pytest.mark.parametrize("body", [BY_ID, {**BY_ID, "syncType": "forceresync", "reason": "moved", "unknown": 1}, PARTS])
def test_a_request_that_names_an_instance_opens_a_remediation(body: Json) -> None:
    store = MemoryStore()
    response, jobs = post_to(store, body)
    [opened] = store.remediations()
    assert (response.status_code, document(response)) == (202, shown_document(opened, BUILT_IN))
    assert (opened.instance, jobs) == (INSTANCE, [[SyncJob(opened.id, 1).to_message()]])


def test_a_dry_run_for_an_active_instance_shows_its_remediation_and_does_not_count() -> None:
    store = MemoryStore()
    remediation = document(post_to(store, BY_ID)[0])
    response, jobs = post_to(store, BY_ID, dryRun="true")
    result = document(response)
    assert (result["action"], result["policy"]["code"], jobs) == ("Coalesce", "AlreadyActive", [])
    assert result["remediation"] == remediation == shown_document(store.remediations()[0], BUILT_IN)


def test_a_dry_run_names_the_policy_that_would_drop_the_request() -> None:
    response, _ = post_to(MemoryStore(), BY_ID, settings=Settings(exclude=("*/testvault/*",)), dryRun="true")
    result = document(response)
    assert (result["action"], result["policy"]["code"], result["syncType"]) == ("Drop", "OutOfScope", None)
    assert result["azure"] is None


NOT_FOUND = Refused(404, {"code": "SubscriptionNotFound", "message": "The subscription could not be found."})
FORBIDDEN = TransientFailure({"code": "AuthorizationFailed", "message": "no"}, status=403)
OUTAGE = TransientFailure({"code": "ServiceUnavailable", "message": "busy"}, status=503)


@pytest.mark.parametrize(
    ("shown", "action", "answer", "effect"),
    [
        (read("ProtectionError"), "Open", "Read", "MayHeal"),
        (read("ProtectionConfigured"), "Open", "Read", "NothingToRepair"),
        (NOT_FOUND, "Reject", "NotFound", None),
        (FORBIDDEN, "Reject", "Forbidden", None),
        (OUTAGE, "Open", "Unreachable", None),
    ],
)
def test_a_dry_run_says_what_azure_shows_of_the_instance(
    shown: InstanceResult, action: str, answer: str, effect: str | None
) -> None:
    store = MemoryStore()
    response, jobs = post_to(store, BY_ID, arm=ShownInstance(shown), dryRun="true")
    result = document(response)
    assert (response.status_code, result["action"]) == (200, action)
    assert (result["azure"]["answer"], result["azure"]["effect"]) == (answer, effect)
    assert (result["syncType"] is None) is (action == "Reject")
    assert (jobs, store.remediations()) == ([], [])


@pytest.mark.parametrize(("dry_run", "status", "opened"), [("true", 200, 0), ("false", 202, 1)])
def test_a_list_has_a_result_for_each_item_and_a_dry_run_of_it_writes_nothing(
    dry_run: str, status: int, opened: int
) -> None:
    store = MemoryStore()
    response, jobs = post_to(store, {"items": [BY_ID, {}]}, dryRun=dry_run)
    accepted, refused = document(response)["items"]
    assert (accepted["status"], refused["status"]) == (status, 400)
    assert (accepted.get("action"), refused.get("action")) == ("Open" if dry_run == "true" else None, None)
    assert (len(jobs), len(store.remediations())) == (opened, opened)
    assert (store.latest_pointer(INSTANCE) is not None) is bool(opened)


@pytest.mark.parametrize(
    ("body", "target", "reason"),
    [
        ({}, "backupInstanceId", "give backupInstanceId, or"),
        ({**PARTS, "vaultName": None}, "backupInstanceId", "give backupInstanceId, or"),
        ({**PARTS, "subscriptionId": "x"}, "backupInstanceId", "not a UUID"),
        ({"backupInstanceId": 5}, "backupInstanceId", "string"),
        ({"backupInstanceId": ID.replace("backupInstances", "backupPolicies")}, "backupInstanceId", "expected /"),
        ({**BY_ID, "syncType": "Maybe"}, "syncType", "Default, ForceResync"),
        ({**BY_ID, "reason": 5}, "reason", "string"),
        ({**BY_ID, "reason": "x" * 501}, "reason", "500"),
    ],
)
def test_a_wrong_field_is_named_with_the_reason(body: Json, target: str, reason: str) -> None:
    status, refusal = refused(body)
    assert (status, refusal["target"]) == (400, target)
    assert reason in refusal["message"]


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
    status, refusal = refused(body)
    assert (status, refusal["code"]) == (400, "InvalidJson")
    assert reason in refusal["message"]


def test_many_keys_of_which_the_last_two_are_one_are_read_in_one_go() -> None:
    keys = ",".join(f'"{number}":1' for number in range(20_000))
    assert "stands twice" in refused(f'{{{keys},"x":1,"x":1}}'.encode())[1]["message"]


@pytest.mark.parametrize("field", ["backupInstanceId", "reason"])
@pytest.mark.parametrize("is_ascii", [True, False], ids=["escaped", "raw"])
def test_a_lone_surrogate_is_refused_with_the_field(field: str, is_ascii: bool) -> None:
    body = json.dumps({**BY_ID, field: "\ud800"}, ensure_ascii=is_ascii)
    status, refusal = refused(body.encode(errors="surrogatepass"))
    assert (status, refusal["target"]) == (400, field)


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"]
)
def test_every_json_content_type_is_taken(content_type: str) -> None:
    response, _ = post_to(MemoryStore(), PARTS, {"Content-Type": content_type})
    assert response.status_code == 202


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "json", "image/x+json"])
def test_another_content_type_is_refused(content_type: str) -> None:
    response = post(PARTS, {"content-type": content_type})
    assert response.status_code == 415
    assert content_type in error(response)["message"]


@pytest.mark.parametrize("value", ["yes", "", "1"])
def test_a_dry_run_that_is_neither_true_nor_false_is_refused(value: str) -> None:
    response = post(PARTS, dryRun=value)
    assert (response.status_code, error(response)["target"]) == (400, "dryRun")


@pytest.mark.parametrize("name", ["dry_run", "dry-run", "dryrunn", "x"])
def test_a_dry_run_that_is_misspelt_does_not_do_the_real_thing(name: str) -> None:
    response = post(PARTS, None, **{name: "true"})
    assert (response.status_code, error(response)["target"]) == (400, name)


@pytest.mark.parametrize("items", [[], {}, None, "x", [PARTS] * 101])
def test_a_list_has_1_to_100_items(items: object) -> None:
    status, refusal = refused({"items": items})
    assert (status, refusal["target"]) == (400, "items")


def test_each_item_of_a_list_is_refused_for_itself() -> None:
    response = post({"items": [{}, {**BY_ID, "syncType": "x"}, 5]})
    assert response.status_code == 200
    assert [(result["status"], result["error"]["target"]) for result in document(response)["items"]] == [
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
    status, refusal = refused(b"x" * 1024 * 1024)
    assert (status, refusal["code"]) == (413, "RequestTooLarge")


FIVE = {"items": [{**PARTS, "backupInstanceName": f"testbi{number}"} for number in range(5)]}


def test_where_storage_fails_within_a_list_what_is_opened_is_queued_and_the_rest_says_so() -> None:
    response, jobs = post_to(FailingStore(2), FIVE)
    results = document(response)["items"]
    assert [result["status"] for result in results] == [202, 202, 503, 503, 503]
    assert results[4]["error"]["code"] == "StorageUnavailable"
    assert [len(messages) for messages in jobs] == [2]


def test_where_storage_fails_at_once_the_whole_list_is_to_be_sent_again() -> None:
    response, jobs = post_to(FailingStore(0), FIVE)
    assert (response.status_code, response.headers["Retry-After"], jobs) == (503, "10", [])


values = json_values(nan=False)
objects = st.dictionaries(st.sampled_from(["backupInstanceId", "syncType", "reason", *PARTS]), values)


@given(objects)
def test_any_object_without_an_instance_is_refused(body: Json) -> None:
    assert refused(body)[0] == 400


@given(st.lists(objects | values, min_size=1))
def test_any_list_without_an_instance_is_refused_item_by_item(items: list[object]) -> None:
    response = post({"items": items})
    assert {result["status"] for result in document(response)["items"]} == {400}


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
    post(body, {"x-ms-client-request-id": "call-7"})
    [line] = [json.loads(message) for message in caplog.messages]
    assert (line["event"], line["clientRequestId"]) == ("request.refused", "call-7")
