"""Which events are signals, and why others are none."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.repair import Repair
from shared.domain.signal import NoSignal, Signal, SyncType
from shared.sources.event_grid import read_event, read_event_fields
from shared.sources.operation_filter import OperationFilter
from tests.support.json_values import json_values

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ID = (
    "/subscriptions/04cf684a-d41f-4550-9f70-7708a3a2283b/resourceGroups/testrg"
    "/providers/Microsoft.DataProtection/backupVaults/testvault/backupInstances/testbi"
)
ACTION_FAILURE = "Microsoft.Resources.ResourceActionFailure"
WRITE_FAILURE = "Microsoft.Resources.ResourceWriteFailure"
OWN_CLIENT_ID = "5a7a1b26-0000-4000-8000-000000000000"
ALL_OPERATIONS = OperationFilter()
OF_OTHERS = OperationFilter(own_ids=lambda: [OWN_CLIENT_ID])
CUSTOM: dict[str, object] = {"backupInstanceId": ID}


def failure(operation: object = "backup/action", resource: object = ID, **data: Any) -> dict[str, Any]:
    name = f"Microsoft.DataProtection/backupVaults/backupInstances/{operation}"
    return {"operationName": name, "resourceUri": resource, "status": "Failed", **data}


def signal_of(
    event_type: str, data: object, subject: str | None = ID, operation_filter: OperationFilter = ALL_OPERATIONS
) -> Signal:
    signal = read_event_fields(event_type, subject, data, NOW, operation_filter)
    assert isinstance(signal, Signal), signal
    assert str(signal.instance).lower() == ID.lower()
    return signal


def reason_of(event_type: object, data: object, operation_filter: OperationFilter = ALL_OPERATIONS) -> str:
    nothing = read_event_fields(event_type, "", data, NOW, operation_filter)
    assert isinstance(nothing, NoSignal), nothing
    return nothing.reason


@pytest.mark.parametrize(
    ("event_type", "operation", "outcome"),
    [
        (ACTION_FAILURE, "backup/action", "failed"),
        (WRITE_FAILURE, "write", "failed"),
        ("Microsoft.Resources.ResourceActionCancel", "backup/action", "was canceled"),
        ("Microsoft.Resources.ResourceWriteCancel", "write", "was canceled"),
    ],
)
def test_a_failed_or_canceled_operation_on_an_instance_is_a_signal(
    event_type: str, operation: str, outcome: str
) -> None:
    signal = signal_of(event_type, failure(operation))
    assert (str(signal.instance), signal.occurred_at, signal.sync_type) == (ID, NOW, None)
    assert signal.reason.endswith(f"{operation} {outcome}")


@pytest.mark.parametrize("resource", [None, ID.partition("/backupInstances")[0]])
def test_the_subject_names_the_instance_where_the_data_does_not(resource: str | None) -> None:
    signal_of(ACTION_FAILURE, failure(resource=resource), f"{ID}/backup".upper())


def test_types_operations_and_ids_are_read_in_any_casing() -> None:
    signal_of(ACTION_FAILURE.upper(), failure("BACKUP/ACTION", f"{ID}/backup".upper()), None)


@pytest.mark.parametrize("event_type", ["Microsoft.Resources.ResourceActionSuccess", "Microsoft.Resources.X"])
def test_another_event_of_resource_manager_is_no_signal(event_type: str) -> None:
    assert reason_of(event_type, failure())


def test_a_setting_says_which_failed_operations_count() -> None:
    backups = OperationFilter(names=("*/backup/action",))
    signal_of(ACTION_FAILURE, failure("backup/action"), operation_filter=backups)
    assert "EVENT_OPERATIONS" in reason_of(WRITE_FAILURE, failure("write"), backups)


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
def test_no_setting_makes_syncs_and_restores_count(operation: str) -> None:
    assert "says nothing about" in reason_of(ACTION_FAILURE, failure(operation), OperationFilter(names=("*",)))


@pytest.mark.parametrize(
    "claims",
    [
        {"appid": OWN_CLIENT_ID.upper()},
        f'{{"appid": "{OWN_CLIENT_ID}"}}',
        {"azp": OWN_CLIENT_ID},
        {"appid": "", "oid": OWN_CLIENT_ID},
        {"http://schemas.microsoft.com/identity/claims/objectidentifier": OWN_CLIENT_ID},
    ],
)
def test_what_this_app_did_itself_is_no_signal(claims: object) -> None:
    assert "own doing" in reason_of(ACTION_FAILURE, failure(claims=claims), OF_OTHERS)


@pytest.mark.parametrize("claims", [None, "", "junk", "[]", 5, {"appid": 5}, {"appid": "somebody-else"}])
@pytest.mark.parametrize("http_request", [None, "{}", {"method": "POST"}])
def test_what_somebody_else_or_nobody_did_is_a_signal(claims: object, http_request: object) -> None:
    signal_of(ACTION_FAILURE, failure(claims=claims, httpRequest=http_request), operation_filter=OF_OTHERS)


def test_without_an_identity_of_its_own_nothing_is_the_apps_doing() -> None:
    signal_of(ACTION_FAILURE, failure(claims={"appid": OWN_CLIENT_ID}))


@pytest.mark.parametrize(
    ("event_type", "data", "reason"),
    [
        (None, {}, "no type"),
        (ACTION_FAILURE, [], "not an object"),
        (ACTION_FAILURE, "text", "not an object"),
        (ACTION_FAILURE, {}, "operationName"),
        (ACTION_FAILURE, {"operationName": 5}, "operationName"),
        (ACTION_FAILURE, {"operationName": "Microsoft.Compute/virtualMachines/start/action"}, "no operation on a"),
        (ACTION_FAILURE, failure(resource=7), "data.resourceUri"),
        (ACTION_FAILURE, failure(resource=ID.replace("04cf", "nope")), "UUID"),
        ("Contoso.Failed", {}, "backupInstanceId"),
        ("Contoso.Failed", {"backupInstanceId": None}, "data.backupInstanceId"),
        ("Contoso.Failed", {**CUSTOM, "syncType": "x"}, "data.syncType"),
        ("Contoso.Failed", {**CUSTOM, "syncType": []}, "data.syncType"),
        ("Contoso.Failed", {**CUSTOM, "reason": 5}, "data.reason"),
    ],
)
def test_what_is_no_signal_says_why(event_type: object, data: object, reason: str) -> None:
    assert reason in reason_of(event_type, data)


def test_a_custom_event_may_choose_the_sync_and_say_why() -> None:
    signal = signal_of("Contoso.Failed", {**CUSTOM, "syncType": "forceResync", "reason": "moved"}, None)
    assert (signal.sync_type, signal.reason) == (SyncType.FORCE_RESYNC, "moved")


FIELDS = "operationName resourceUri backupInstanceId syncType reason claims authorization"
values = json_values(st.just(ID))
fields = st.dictionaries(st.sampled_from(FIELDS.split()), values | st.just(failure()["operationName"]))


@given(st.sampled_from([ACTION_FAILURE, WRITE_FAILURE, "Contoso.Failed"]) | values, values, fields | values)
def test_any_event_is_a_signal_or_says_why_not(event_type: object, subject: object, data: object) -> None:
    result = read_event_fields(event_type, subject, data, NOW)
    assert isinstance(result, Signal) or (isinstance(result, NoSignal) and result.reason)


@given(st.text())
def test_a_reason_in_any_text_can_be_stored(reason: str) -> None:
    assert signal_of("Contoso.Failed", {**CUSTOM, "reason": reason}).reason.encode() is not None


def json_texts() -> st.SearchStrategy[str]:
    """Events and anything else, as text."""
    schema = st.sampled_from(["eventType", "type", "eventTime", "time", "subject", "data", "specversion", "id"])
    known = st.sampled_from([ACTION_FAILURE, "2026-01-02T03:04:05+99:99", "0001-01-01T00:00:00+23:59", "\ud800"])
    events = st.dictionaries(schema, values | fields | known)
    return st.text() | (events | values).map(json.dumps)


@given(json_texts())
def test_any_text_is_a_signal_or_says_why_not(text: str) -> None:
    result = read_event(text, NOW)
    assert not isinstance(result, Repair)
    assert isinstance(result, Signal) or result.reason.encode()


@pytest.mark.parametrize("text", ["[" * 1_000_000, '{"data":' * 100_000, "\ufeff" * 3, "9" * 5_000])
def test_a_text_that_no_reader_of_json_takes_is_no_signal(text: str) -> None:
    nothing = read_event(text, NOW)
    assert isinstance(nothing, NoSignal)
    assert nothing.reason.startswith("the event is not JSON")
