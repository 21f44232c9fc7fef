"""Rows of Resource Graph: broken instances, or the reason why a row names none; never an exception."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clients.resource_graph import BROKEN_STATES, QUERY, BrokenInstance, read_row, read_rows
from tests.support.json_values import json_values
from tests.support.remediations import INSTANCE

DISK = f"/subscriptions/{INSTANCE.subscription_id}/resourceGroups/data/providers/Microsoft.Compute/disks/d"
ROW = {"id": str(INSTANCE), "protectionState": "ProtectionError"}
VAULT = str(INSTANCE).rpartition("/backupInstances")[0]


@pytest.mark.parametrize("state", BROKEN_STATES)
def test_the_state_of_a_broken_instance_is_read_in_any_casing(state: str) -> None:
    assert read_row(ROW | {"protectionState": state.upper()}) == BrokenInstance(INSTANCE, state)


def test_an_instance_on_two_pages_is_returned_once() -> None:
    assert read_rows([ROW, ROW | {"id": str(INSTANCE).upper()}]) == ([BrokenInstance(INSTANCE, "ProtectionError")], [])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "expected an object, got NoneType"),
        ([], "expected an object, got list"),
        ({}, "id: expected an ARM id as text, got NoneType"),
        (ROW | {"id": 5}, "id: expected an ARM id as text, got int"),
        (ROW | {"id": VAULT}, "is not a backup instance id"),
        (ROW | {"id": f"{VAULT}/backupJobs/x"}, "is not a backup instance id"),
        (ROW | {"id": f"{INSTANCE}/recoveryPoints/x"}, "something below a backup instance"),
        (ROW | {"id": str(INSTANCE).replace("DataProtection", "RecoveryServices")}, "is not a backup instance id"),
        (ROW | {"id": f"{VAULT}/backupInstances/.."}, "ends with a blank or a period"),
        (ROW | {"id": f"{VAULT}/backupInstances/a%2Fb"}, "no name in Resource Manager"),
        (ROW | {"protectionState": "ProtectionConfigured"}, "protectionState: 'ProtectionConfigured' is none of"),
        (ROW | {"protectionState": None}, "protectionState: None is none of"),
        (ROW | {"protectionState": ["ProtectionError"]}, "is none of"),
    ],
)
def test_any_other_row_is_left_out_with_the_reason(row: object, reason: str) -> None:
    result = read_row(row)
    assert isinstance(result, str)
    assert reason in result


def test_a_bad_row_spoils_no_other() -> None:
    instances, unreadable = read_rows([None, ROW, {"id": "\ud800"}])
    assert (len(instances), len(unreadable)) == (1, 2)


anything = json_values()
near_rows = st.fixed_dictionaries(
    {},
    optional={
        "id": anything | st.sampled_from([str(INSTANCE), VAULT, f"{INSTANCE}/backup"]),
        "protectionState": anything | st.sampled_from(BROKEN_STATES),
    },
)


@given(st.lists(anything | near_rows))
def test_every_row_is_an_instance_or_has_a_reason_that_can_be_logged(rows: list[Any]) -> None:
    instances, unreadable = read_rows(rows)
    assert [broken.id for broken in instances] in ([], [INSTANCE])
    assert all(reason.encode() for reason in unreadable)


@pytest.mark.parametrize(
    ("shown", "read"),
    [
        ("2026-01-01T22:00:00.1234567Z", datetime(2026, 1, 1, 22, 0, 0, 123456, tzinfo=UTC)),
        *[(nothing, None) for nothing in ("0001-01-01T00:00:00.0000000Z", "0001-01-01", "", None, 5, "yesterday")],
    ],
)
def test_a_row_says_its_newest_recovery_point_if_there_is_one(shown: object, read: datetime | None) -> None:
    row = read_row(ROW | {"latestRecoveryPoint": shown})
    assert isinstance(row, BrokenInstance)
    assert row.latest_recovery_point == read


@pytest.mark.parametrize(("shown", "read"), [("UserErrorX", "UserErrorX"), (None, ""), (["x"], "")])
def test_a_row_says_the_code_of_its_error(shown: object, read: str) -> None:
    row = read_row(ROW | {"errorCode": shown})
    assert isinstance(row, BrokenInstance)
    assert row.error_code == read


@pytest.mark.parametrize(("shown", "read"), [(DISK, DISK), ("", None), (None, None), ("disk", None), (["x"], None)])
def test_a_row_says_what_the_instance_protects_and_where_its_snapshots_are(shown: object, read: str | None) -> None:
    row = read_row(ROW | {"datasourceId": shown, "snapshotGroupId": shown})
    assert isinstance(row, BrokenInstance)
    assert (row.datasource_id, row.snapshot_group_id) == (read, read)


def test_the_query_can_be_paged() -> None:
    # Rows need an order that lasts, and a column that is not dynamic.
    columns = "id, protectionState, errorCode, latestRecoveryPoint, datasourceId, snapshotGroupId"
    assert QUERY.endswith(f"| project {columns} | order by id asc")
    assert "tostring(properties.currentProtectionState)" in QUERY
