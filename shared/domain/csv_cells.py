"""Cells of CSV that no spreadsheet takes for a formula. Pure."""

import re

from shared.domain.utf8 import as_utf8

_FORMULA_STARTS = (
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
"""Begins of a cell that make a formula of it (OWASP, "CSV Injection")."""
_CELL_WITHIN = re.compile(rf"([;\t\r\n])(?=[ \"']*[{re.escape(_FORMULA_STARTS)}])")
"""Where a formula begins in a spreadsheet whose list separator is a semicolon, or which divides at tabs, as well: to
such a one the quotes that CSV puts around the whole cell are no quotes, as they do not stand where its own begins."""


def csv_cell(value: str) -> str:
    """The value as it may stand in a cell: as it is hashed, and behind an apostrophe where a cell within could begin.

    The apostrophes within can be taken away again, which gives what is hashed (`autoheal.py verify`).
    """
    return _CELL_WITHIN.sub(r"\1'", hashed_cell(value))


def hashed_cell(value: str) -> str:
    """The value as the hash over outcomes has it: in UTF-8, and behind an apostrophe where it could be a formula."""
    text = as_utf8(value)
    return f"'{text}" if text.lstrip(" ").startswith(tuple(_FORMULA_STARTS)) else text
