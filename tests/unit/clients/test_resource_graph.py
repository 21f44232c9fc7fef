"""Rows of Resource Graph's answer: findings, or nothing with a reason; never an exception."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clients.resource_graph import BROKEN, QUERY, Finding, NoFinding, read_row, read_rows
from tests.support.episodes import INSTANCE

ROW = {"id": str(INSTANCE), "protectionState": "ProtectionError"}
VAULT = str(INSTANCE).rpartition("/backupInstances")[0]


def test_a_broken_instance_is_a_finding() -> None:
    assert read_row(ROW) == Finding(INSTANCE, "ProtectionError")


@pytest.mark.parametrize("state", BROKEN)
def test_the_state_is_read_in_any_casing(state: str) -> None:
    assert read_row(ROW | {"protectionState": state.upper()}) == Finding(INSTANCE, state)


def test_an_instance_on_two_pages_is_one_finding() -> None:
    findings, rest = read_rows([ROW, ROW | {"id": str(INSTANCE).upper()}])
    assert (len(findings), rest) == (1, [])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "expected an object, got NoneType"),
        ([], "expected an object, got list"),
        ({}, "id: expected an ARM id as text, got NoneType"),
        (ROW | {"id": 5}, "id: expected an ARM id as text, got int"),
        (ROW | {"id": VAULT}, "names no backup instance|is not a backup instance id"),
        (ROW | {"id": f"{VAULT}/backupJobs/x"}, "is not a backup instance id"),
        (ROW | {"id": f"{INSTANCE}/recoveryPoints/x"}, "something below a backup instance"),
        (ROW | {"id": str(INSTANCE).replace("DataProtection", "RecoveryServices")}, "is not a backup instance id"),
        (ROW | {"id": f"{VAULT}/backupInstances/.."}, "is not a name"),
        (ROW | {"id": f"{VAULT}/backupInstances/a%2Fb"}, "no ARM name"),
        (ROW | {"protectionState": "ProtectionConfigured"}, "protectionState: 'ProtectionConfigured' is none of"),
        (ROW | {"protectionState": None}, "protectionState: None is none of"),
        (ROW | {"protectionState": ["ProtectionError"]}, "is none of"),
    ],
)
def test_any_other_row_is_left_out_with_the_reason(row: object, reason: str) -> None:
    nothing = read_row(row)
    assert isinstance(nothing, NoFinding)
    assert any(part in nothing.reason for part in reason.split("|"))


def test_a_bad_row_spoils_no_other() -> None:
    findings, rest = read_rows([None, ROW, {"id": "\ud800"}])
    assert (len(findings), len(rest)) == (1, 2)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
near_rows = st.fixed_dictionaries(
    {},
    optional={
        "id": anything | st.sampled_from([str(INSTANCE), VAULT, f"{INSTANCE}/backup"]),
        "protectionState": anything | st.sampled_from(BROKEN),
    },
)


@given(st.lists(anything | near_rows))
def test_every_row_is_a_finding_or_has_a_reason_that_can_be_logged(rows: list[Any]) -> None:
    findings, rest = read_rows(rows)
    assert len(findings) <= 1
    assert all(nothing.reason.encode() for nothing in rest)
    assert all(str(finding.instance).lower() == str(INSTANCE).lower() for finding in findings)


def test_the_query_can_be_paged() -> None:
    # Rows need an order that lasts, and a column that is not dynamic.
    assert QUERY.endswith("| project id, protectionState | order by id asc")
    assert "tostring(properties.currentProtectionState)" in QUERY
