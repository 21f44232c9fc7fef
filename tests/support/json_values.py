"""JSON values of any kind, for Hypothesis."""

from typing import Any

from hypothesis import strategies as st


def json_values(*leaves: st.SearchStrategy[Any], nan: bool = True) -> st.SearchStrategy[Any]:
    """Any JSON value, with or without NaN and infinities; `leaves` are further values that may stand in it."""
    floats = st.floats(allow_nan=nan, allow_infinity=nan)
    return st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), floats, st.text(), *leaves),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
