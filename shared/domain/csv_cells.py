"""Cells of CSV that no spreadsheet takes for a formula. Pure."""

_FORMULA_STARTS = tuple(
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
"""Begins of a cell that make a formula of it (OWASP, "CSV Injection")."""


def csv_cell(value: str) -> str:
    """The value as it may stand in a cell: behind an apostrophe where it could be a formula, and as UTF-8 can write it.

    A lone surrogate, which JSON can bring, is no character of UTF-8.
    """
    text = value.encode(errors="replace").decode()
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text
