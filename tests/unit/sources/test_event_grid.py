from datetime import UTC, datetime
from typing import Any

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.signal import NoSignal, Signal, SyncType
from shared.sources.event_grid import read_event, read_event_fields
from shared.sources.operation_filter import OperationFilter

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ID = (
    "/subscriptions/04cf684a-d41f-4550-9f70-7708a3a2283b/resourceGroups/testrg"
    "/providers/Microsoft.DataProtection/backupVaults/testvault/backupInstances/testbi"
)
ACTION_FAILURE = "Microsoft.Resources.ResourceActionFailure"
WRITE_FAILURE = "Microsoft.Resources.ResourceWriteFailure"
OUR_APP = "5a7a1b26-0000-4000-8000-000000000000"


def failure(operation: object = "backup/action", resource: object = ID, **data: Any) -> dict[str, Any]:
    name = f"Microsoft.DataProtection/backupVaults/backupInstances/{operation}"
    return {"operationName": name, "resourceUri": resource, "status": "Failed", **data}


@pytest.mark.parametrize(("event_type", "operation"), [(ACTION_FAILURE, "backup/action"), (WRITE_FAILURE, "write")])
def test_a_failed_operation_on_an_instance_is_a_signal(event_type: str, operation: str) -> None:
    signal = read_event_fields(event_type, ID, failure(operation), NOW)
    assert isinstance(signal, Signal)
    assert (str(signal.instance), signal.occurred_at, signal.sync_type) == (ID, NOW, None)


def test_the_subject_names_the_instance_where_the_data_does_not() -> None:
    signal = read_event_fields(ACTION_FAILURE, f"{ID}/backup".upper(), failure(resource=None), NOW)
    assert isinstance(signal, Signal)


@pytest.mark.parametrize(
    ("event_type", "operation"),
    [
        ("Microsoft.Resources.ResourceActionCancel", "backup/action"),
        ("Microsoft.Resources.ResourceWriteCancel", "write"),
    ],
)
def test_a_canceled_operation_on_an_instance_is_a_signal_that_says_so(event_type: str, operation: str) -> None:
    signal = read_event_fields(event_type, ID, failure(operation), NOW)
    assert isinstance(signal, Signal)
    assert signal.reason.endswith("was canceled")


@pytest.mark.parametrize("event_type", ["Microsoft.Resources.ResourceActionSuccess", "Microsoft.Resources.X"])
def test_another_word_of_resource_manager_is_no_signal(event_type: str) -> None:
    assert isinstance(read_event_fields(event_type, ID, failure(), NOW), NoSignal)


def test_types_operations_and_ids_are_read_in_any_casing() -> None:
    data = failure("BACKUP/ACTION", f"{ID}/backup".upper())
    assert isinstance(read_event_fields(ACTION_FAILURE.upper(), None, data, NOW), Signal)


def test_the_subject_names_the_instance_where_the_data_names_something_else() -> None:
    signal = read_event_fields(ACTION_FAILURE, ID, failure(resource=ID.partition("/backupInstances")[0]), NOW)
    assert isinstance(signal, Signal)
    assert str(signal.instance) == ID


def test_a_setting_says_which_failed_operations_count() -> None:
    rules = OperationFilter(counted=("*/backup/action",))
    assert isinstance(read_event_fields(ACTION_FAILURE, ID, failure("backup/action"), NOW, rules), Signal)
    answer = read_event_fields(WRITE_FAILURE, ID, failure("write"), NOW, rules)
    assert isinstance(answer, NoSignal)
    assert "EVENT_OPERATIONS" in answer.reason


def test_no_setting_makes_a_sync_count() -> None:
    rules = OperationFilter(counted=("*",))
    assert isinstance(read_event_fields(ACTION_FAILURE, ID, failure("sync/action"), NOW, rules), NoSignal)


@pytest.mark.parametrize(
    "who",
    [
        {"claims": {"appid": OUR_APP.upper()}},
        {"claims": f'{{"appid": "{OUR_APP}"}}'},
        {"claims": {"azp": OUR_APP}},
    ],
)
def test_what_this_app_did_itself_is_no_signal(who: dict[str, object]) -> None:
    rules = OperationFilter(own_client_id=OUR_APP)
    answer = read_event_fields(ACTION_FAILURE, ID, failure(**who), NOW, rules)
    assert isinstance(answer, NoSignal)
    assert "own doing" in answer.reason


@pytest.mark.parametrize("claims", [None, "", "junk", "[]", 5, {"appid": 5}, {"appid": "somebody-else"}])
@pytest.mark.parametrize("http_request", [None, "{}", {"method": "POST"}])
def test_what_somebody_else_or_nobody_did_is_a_signal(claims: object, http_request: object) -> None:
    rules = OperationFilter(own_client_id=OUR_APP)
    data = failure(claims=claims, httpRequest=http_request)
    assert isinstance(read_event_fields(ACTION_FAILURE, ID, data, NOW, rules), Signal)


def test_without_an_identity_of_its_own_nothing_is_the_apps_doing() -> None:
    assert isinstance(read_event_fields(ACTION_FAILURE, ID, failure(claims={"appid": OUR_APP}), NOW), Signal)


@pytest.mark.parametrize(
    "operation",
    [
        "sync/action",
        "SYNC/ACTION",
        "sync",
        "restore/action",
        "validateRestore/action",
        "findRestorableTimeRanges/action",
    ],
)
def test_our_own_sync_and_restores_are_no_signal(operation: str) -> None:
    assert isinstance(read_event_fields(ACTION_FAILURE, ID, failure(operation), NOW), NoSignal)


@pytest.mark.parametrize(
    ("event_type", "data", "reason"),
    [
        (None, {}, "no type"),
        (ACTION_FAILURE, [], "not an object"),
        (ACTION_FAILURE, "text", "not an object"),
        (ACTION_FAILURE, {}, "operationName"),
        (ACTION_FAILURE, {"operationName": 5}, "operationName"),
        (
            ACTION_FAILURE,
            {"operationName": "Microsoft.Compute/virtualMachines/start/action"},
            "no operation on a",
        ),
        (ACTION_FAILURE, failure(resource=7), "data.resourceUri"),
        (ACTION_FAILURE, failure(resource=ID.replace("04cf", "nope")), "UUID"),
        ("Contoso.Failed", {}, "backupInstanceId"),
        ("Contoso.Failed", {"backupInstanceId": None}, "data.backupInstanceId"),
        ("Contoso.Failed", {"backupInstanceId": ID, "syncType": "x"}, "data.syncType"),
        ("Contoso.Failed", {"backupInstanceId": ID, "syncType": []}, "data.syncType"),
        ("Contoso.Failed", {"backupInstanceId": ID, "reason": 5}, "data.reason"),
    ],
)
def test_what_is_no_signal_says_why(event_type: object, data: object, reason: str) -> None:
    answer = read_event_fields(event_type, "", data, NOW)
    assert isinstance(answer, NoSignal)
    assert reason in answer.reason


def test_a_custom_event_may_choose_the_sync_and_say_why() -> None:
    data = {"backupInstanceId": ID, "syncType": "forceResync", "reason": "moved"}
    signal = read_event_fields("Contoso.Failed", None, data, NOW)
    assert isinstance(signal, Signal)
    assert (signal.sync_type, signal.reason) == (SyncType.FORCE_RESYNC, "moved")


def test_both_event_schemas_of_the_trigger_are_read() -> None:
    data: dict[str, object] = {"backupInstanceId": ID}
    grid = func.EventGridEvent(
        id="1", data=data, topic="t", subject="s", event_type="A", event_time=NOW, data_version="1"
    )
    cloud = func.CloudEvent(id="1", source="s", type="A", specversion="1.0", data=data, time=NOW)
    assert read_event(grid, NOW) == read_event(cloud, NOW)


def test_a_time_without_an_offset_is_utc() -> None:
    data: dict[str, object] = {"backupInstanceId": ID}
    time = NOW.replace(tzinfo=None)
    cloud = func.CloudEvent(id="1", source="s", type="A", specversion="1.0", data=data, time=time)
    signal = read_event(cloud, NOW)
    assert isinstance(signal, Signal)
    assert signal.occurred_at == NOW


def test_an_event_without_a_time_happened_now() -> None:
    data: dict[str, object] = {"backupInstanceId": ID}
    cloud = func.CloudEvent(id="1", source="s", type="A", specversion="1.0", data=data)
    signal = read_event(cloud, NOW)
    assert isinstance(signal, Signal)
    assert signal.occurred_at == NOW


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.just(ID),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
fields = st.dictionaries(
    st.sampled_from(
        ["operationName", "resourceUri", "backupInstanceId", "syncType", "reason", "claims", "authorization"]
    ),
    json_values | st.just("Microsoft.DataProtection/backupVaults/backupInstances/backup/action"),
)


@given(
    st.sampled_from([ACTION_FAILURE, WRITE_FAILURE, "Contoso.Failed"]) | json_values,
    json_values,
    fields | json_values,
)
def test_any_event_is_a_signal_or_says_why_not(event_type: object, subject: object, data: object) -> None:
    answer = read_event_fields(event_type, subject, data, NOW)
    assert isinstance(answer, Signal) or answer.reason


@given(st.text())
def test_a_reason_in_any_text_can_be_stored(reason: str) -> None:
    answer = read_event_fields("Contoso.Failed", None, {"backupInstanceId": ID, "reason": reason}, NOW)
    assert isinstance(answer, Signal)
    assert answer.reason.encode() is not None
