"""Cells of CSV that no spreadsheet takes for a formula. Pure."""

from shared.domain.utf8 import as_utf8

_FORMULA_STARTS = tuple(
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
"""Begins of a cell that make a formula of it (OWASP, "CSV Injection")."""


def csv_cell(value: str) -> str:
    """The value as it may stand in a cell: in UTF-8, and behind an apostrophe where it could be a formula."""
    text = as_utf8(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text
