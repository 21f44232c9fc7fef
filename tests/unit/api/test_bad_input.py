"""Any input to any route: a response below 500, no error in the log, nothing queued."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.meta import Datum
from hypothesis import given
from hypothesis import strategies as st

from shared.sources import event_grid
from tests.support.api_parts import get_remediation, post_cancel, store_with, unserved
from tests.support.remediations import NOW, queued

ID = queued().id
anything = st.text() | st.integers().map(str) | st.sampled_from([ID, ID.upper(), f"{ID}/", "..", "%00", "\ud800", "🛟"])
methods = anything | st.sampled_from(["GET", "POST", "OPTIONS", "PATCH"])


@pytest.fixture(autouse=True, scope="module")
def no_error_in_the_log() -> Iterator[None]:
    """Read at the end: Hypothesis runs each test many times."""
    errors: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            errors.append(record.getMessage())

    listener = Listener(logging.ERROR)
    logging.getLogger().addHandler(listener)
    yield
    logging.getLogger().removeHandler(listener)
    assert errors == []


@given(anything, anything)
def test_any_id_and_any_condition_is_answered(remediation_id: str, if_none_match: str) -> None:
    response = get_remediation(store_with(queued()), remediation_id, **{"If-None-Match": if_none_match})
    assert response.status_code in (200, 304, 404)


@given(anything, st.binary() | anything.map(lambda text: text.encode(errors="replace")))
def test_any_cancel_is_answered(remediation_id: str, body: bytes) -> None:
    assert post_cancel(store_with(queued()), remediation_id, body).status_code in (200, 400, 404, 409)


@given(methods, anything)
def test_any_path_and_method_that_nothing_serves_is_answered(method: str, path: str) -> None:
    assert unserved(method, path).status_code in (204, 404, 405)


@given(
    st.fixed_dictionaries(
        {"id": st.text(), "subject": st.text(), "eventType": st.text(), "dataVersion": st.text()},
        optional={
            "topic": st.text(),
            "data": st.recursive(
                st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=9
            ),
        },
    )
)
def test_any_event_that_the_binding_decodes_is_read(event: dict[str, Any]) -> None:
    decoded: Any = EventGridEventInConverter.decode(Datum(json.dumps(event), "json"), trigger_metadata={})
    assert event_grid.read_event(decoded, NOW)
