"""`/api/pauses`: begun, listed and ended."""

import json
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest

from shared.api.pauses import PausesApi
from shared.clock import to_iso
from shared.domain.mode import Mode
from tests.support.api_parts import described, http_request, pausing
from tests.support.memory_store import MemoryStore
from tests.support.memory_table import damage
from tests.support.remediations import LATER

SCOPE = "*/resourceGroups/rg-demo/*"
TOMORROW = to_iso(LATER + timedelta(days=1))
BODY = {"scope": SCOPE, "reason": "maintenance", "until": TOMORROW}
SHOWN = {"scope": SCOPE, "by": "an operator", "reason": "maintenance", "until": TOMORROW}


def begin(store: MemoryStore, body: Any) -> func.HttpResponse:
    request = http_request("POST", "/pauses/begin", body)
    return described(api(store).begin(request), "POST", "/pauses/begin")


def end(store: MemoryStore, scope: str) -> func.HttpResponse:
    request = http_request("POST", "/pauses/end", {"scope": scope})
    return described(api(store).end(request), "POST", "/pauses/end")


def listed(store: MemoryStore, mode: Mode = Mode.HEAL) -> Any:
    response = described(api(store, mode).list(http_request("GET", "/pauses")), "GET", "/pauses")
    return json.loads(response.get_body())["value"]


def api(store: MemoryStore, mode: Mode = Mode.HEAL) -> PausesApi:
    pauses = pausing(store, mode)
    return PausesApi(lambda: pauses, lambda: LATER)


def test_a_pause_is_listed_until_it_is_ended() -> None:
    store = MemoryStore()
    assert json.loads(begin(store, BODY).get_body())["value"] == [SHOWN]
    assert listed(store) == [SHOWN]
    end(store, SCOPE.upper())
    assert listed(store) == []


def test_a_pause_of_the_same_scope_replaces_the_first() -> None:
    store = MemoryStore()
    begin(store, BODY)
    begin(store, {**BODY, "scope": SCOPE.lower(), "reason": "longer"})
    assert [pause["reason"] for pause in listed(store)] == ["longer"]


def test_the_mode_is_a_pause_without_an_end() -> None:
    [pause] = listed(MemoryStore(), Mode.PAUSED)
    assert (pause["scope"], pause["until"]) == ("*", None)


def test_a_row_that_cannot_be_read_keeps_no_other_pause_from_acting() -> None:
    store = MemoryStore()
    begin(store, BODY)
    damage(store.table, "pauses", "x", Scope="*")
    assert listed(store) == [SHOWN]


@pytest.mark.parametrize(
    "change",
    [{"scope": ""}, {"scope": " x"}, {"scope": "x\n"}, {"scope": "x" * 1001}, {"reason": ""}],
)
def test_a_body_that_cannot_be_used_is_refused(change: Any) -> None:
    assert begin(MemoryStore(), {**BODY, **change}).status_code == 400
