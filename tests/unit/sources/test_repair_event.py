import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.repair import Repair
from shared.domain.signal import NoSignal, Signal
from shared.sources.event_grid import read_event_fields
from shared.sources.operation_filter import OperationFilter
from shared.sources.repair_event import GRANTS, RESOURCE_SUCCESSES, WRITES
from tests.support.json_values import json_values
from tests.support.remediations import NOW

SUBSCRIPTION = "/subscriptions/04cf684a-d41f-4550-9f70-7708a3a2283b"
ROLE = f"{SUBSCRIPTION}/resourceGroups/Data/providers/Microsoft.Authorization/roleAssignments/1"
WRITE_SUCCESS = "Microsoft.Resources.ResourceWriteSuccess"
OWN = "5a7a1b26-0000-4000-8000-000000000000"


def success(operation: object = GRANTS[0], resource: object = ROLE, **data: Any) -> dict[str, Any]:
    return {"operationName": operation, "resourceUri": resource, "status": "Succeeded", **data}


def read(data: object, event_type: str = WRITE_SUCCESS, subject: str = "") -> Signal | NoSignal | Repair:
    return read_event_fields(event_type, subject, data, NOW, OperationFilter(own_ids=lambda: [OWN]))


@pytest.mark.parametrize("event_type", [*RESOURCE_SUCCESSES, WRITE_SUCCESS.upper()])
@pytest.mark.parametrize("operation", [*GRANTS, *WRITES, GRANTS[0].upper()])
def test_a_change_that_may_have_mended_a_failure_is_a_repair(event_type: str, operation: str) -> None:
    repair = read(success(operation), event_type)
    assert isinstance(repair, Repair)
    assert (repair.scope, repair.occurred_at) == (f"{SUBSCRIPTION}/resourcegroups/data", NOW)
    assert repair.acts_below is (operation.lower() in {name.lower() for name in GRANTS})


def test_the_subject_names_the_resource_where_the_data_does_not() -> None:
    assert isinstance(read(success(resource=None), subject=ROLE), Repair)


@pytest.mark.parametrize("claims", [{"appid": OWN.upper()}, json.dumps({"azp": OWN})])
def test_the_apps_own_writes_repair_nothing(claims: object) -> None:
    nothing = read(success(claims=claims))
    assert isinstance(nothing, NoSignal)
    assert "own doing" in nothing.reason


@pytest.mark.parametrize(
    "data",
    [
        success("Microsoft.DataProtection/backupVaults/backupInstances/sync/action"),
        success("Microsoft.Authorization/roleAssignments/delete"),
        success("Microsoft.Authorization/locks/write"),
        success(None),
        success(resource="/providers/Microsoft.Management/managementGroups/mg"),
        success(resource=5),
        success(resource="/subscriptions/no-uuid/resourceGroups/x"),
    ],
)
def test_any_other_success_is_nothing(data: object) -> None:
    assert isinstance(read(data), NoSignal)


fields = st.dictionaries(
    st.sampled_from(["operationName", "resourceUri", "claims"]),
    json_values(st.just(ROLE)) | st.just(GRANTS[0]),
)


@given(json_values(st.just(ROLE)), fields)
def test_any_event_of_success_is_a_repair_or_says_why_not(subject: Any, data: object) -> None:
    result = read(data, subject=subject)
    assert isinstance(result, Repair) or (isinstance(result, NoSignal) and result.reason)
