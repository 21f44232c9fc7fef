"""The hashed form of a cell can be told from how it is shown."""

from hypothesis import given
from hypothesis import strategies as st

from autoheal import _CELL_WITHIN
from shared.domain.csv_cells import csv_cell, hashed_cell


@given(st.text(alphabet="=+-@;\t\r\n \"'x\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH COMMERCIAL AT}", max_size=12))
def test_the_command_finds_what_is_hashed_in_any_cell_that_is_shown(value: str) -> None:
    assert _CELL_WITHIN.sub(r"\1", csv_cell(value)) == hashed_cell(value)


def test_a_seal_of_an_earlier_version_stays_what_it_was() -> None:
    assert [hashed_cell(value) for value in ("x;=1+1", "=1+1")] == ["x;=1+1", "'=1+1"]
