"""Lists as CSV: what is in it, and that no spreadsheet takes a cell for a formula."""

import csv
import re
from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.api.csv_export import COLUMNS, accepts_csv, csv_of
from shared.domain.remediation import Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.summary import Summary
from shared.domain.summary_list import Listing, Order
from tests.support.dashboard_parts import summary
from tests.support.remediations import INSTANCE

NAMES = {INSTANCE.subscription_id.lower(): "Production"}


def lines(*rows: Summary) -> list[list[str]]:
    listing = Listing(rows, frozenset(row.id for row in rows if row.attention_from), Order.NEWEST)
    return [*csv.reader(StringIO(csv_of(listing, NAMES).decode(), newline=""))]


def instance_in(subscription_id: str) -> BackupInstanceId:
    return BackupInstanceId(subscription_id, INSTANCE.resource_group, INSTANCE.vault, INSTANCE.name)


def cells(row: Summary) -> dict[str, str]:
    header, values = lines(row)
    return dict(zip(header, values, strict=True))


def test_the_first_line_names_the_columns() -> None:
    assert lines() == [[*COLUMNS]]


def test_a_line_says_what_the_remediation_is() -> None:
    failed = cells(summary(Status.FAILED, error_code="UserErrorDisk", source="Sweep", datasource_type="A.B/c"))
    assert failed["backupInstanceId"] == str(INSTANCE)
    assert (failed["vaultName"], failed["resourceGroupName"]) == (INSTANCE.vault, INSTANCE.resource_group)
    assert (failed["status"], failed["needsAttention"], failed["errorCode"]) == ("Failed", "true", "UserErrorDisk")
    assert (failed["source"], failed["resourceType"]) == ("Sweep", "A.B/c")
    assert failed["openedAt"].endswith("Z")


def test_a_line_has_the_name_of_the_subscription_where_it_is_known() -> None:
    other = instance_in("00000000-0000-0000-0000-00000000000f")
    assert [cells(row)["subscriptionName"] for row in (summary(), summary(instance=other))] == ["Production", ""]


def test_a_subscription_is_known_in_any_casing() -> None:
    assert cells(summary(instance=instance_in(INSTANCE.subscription_id.upper())))["subscriptionName"] == "Production"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\N{FULLWIDTH EQUALS SIGN}"])
def test_a_cell_that_could_be_a_formula_begins_with_an_apostrophe(start: str) -> None:
    hostile = f'{start}HYPERLINK("https://evil.example")'
    assert cells(summary(Status.FAILED, error_code=hostile))["errorCode"] == f"'{hostile}"


@given(st.text(max_size=40))
def test_any_code_stays_in_its_cell(code: str) -> None:
    row = summary(Status.FAILED, error_code=code)
    shown = cells(row)["errorCode"]
    assert shown.replace("'", "") == code.replace("'", "")


@given(st.text(alphabet="=+-@;\t\r\n \"',x\N{FULLWIDTH EQUALS SIGN}", max_size=12))
@example(";=1+1")
@example(';"=1+1')
@example("\n=1+1")
def test_nor_is_any_a_formula_to_a_spreadsheet_that_divides_at_semicolons_or_tabs(name: str) -> None:
    row = summary(Status.FAILED, error_code=name)
    listing = Listing([row], frozenset(), Order.NEWEST)
    text = csv_of(listing, {INSTANCE.subscription_id.lower(): name}).decode()
    begins = [cell.lstrip(' "')[:1] for cell in re.split(r"[;\t\r\n]", text)]
    assert not {*"=+-@\N{FULLWIDTH EQUALS SIGN}"}.intersection(begins)


def test_a_lone_surrogate_does_no_harm() -> None:
    assert cells(summary(Status.FAILED, error_code="a\ud800b"))["errorCode"] == "a?b"


def test_a_name_that_could_be_a_formula_is_told_as_one() -> None:
    row = replace(summary(), instance=f"{INSTANCE.vault_id}/backupInstances/=1+1")
    assert cells(row)["backupInstanceName"] == "'=1+1"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/csv", True),
        ("text/csv; charset=utf-8, application/json", True),
        ("application/json, text/csv", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("text/csv;q=0", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_csv_is_answered_where_it_is_accepted(accept: str, expected: bool) -> None:
    assert accepts_csv({"Accept": accept}) is expected
