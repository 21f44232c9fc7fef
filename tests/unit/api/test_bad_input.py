"""Any input to any route: a response below 500, no error in the log, nothing queued."""

import json
import logging
from collections.abc import Iterator

import azure.functions as func
import pytest
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.meta import Datum
from hypothesis import given
from hypothesis import strategies as st

from shared.api.event_binding import event_text, hand_over_text
from shared.domain.signal import Signal
from shared.sources.event_grid import read_event
from tests.support.api_parts import get_remediation, post_cancel, store_with, unserved
from tests.support.json_values import json_values
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


@given(anything | json_values().map(json.dumps), st.sampled_from(["json", "string"]))
def test_any_event_comes_through_the_binding(text: str, kind: str) -> None:
    hand_over_text()
    event = EventGridEventInConverter.decode(Datum(text, kind), trigger_metadata={})
    assert read_event(event_text(event), NOW)


def test_what_the_library_decodes_itself_is_read_all_the_same() -> None:
    data: dict[str, object] = {"backupInstanceId": str(queued().instance)}
    grid = func.EventGridEvent(
        id="1", topic="t", event_type="A", event_time=NOW, data_version="1", subject="s", data=data
    )
    cloud = func.CloudEvent(id="1", source="s", specversion="1.0", type="A", time=NOW, data=data)
    assert isinstance(read_event(event_text(grid), NOW), Signal)
    assert read_event(event_text(grid), NOW) == read_event(event_text(cloud), NOW)
