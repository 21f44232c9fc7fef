"""Who asked for something: a name that App Service vouches for is in the history, and in no log line."""

import json
from datetime import timedelta

import azure.functions as func
import pytest

from shared.api.pauses import PausesApi
from shared.api.remediations import RemediationsApi
from shared.api.signed_in_request import Principal, Role, operator_name, signed_in_name
from shared.api.sync import SyncApi
from shared.clock import to_iso
from shared.settings import Settings
from tests.support.api_parts import (
    ADA,
    cancel,
    document,
    dry_run,
    http_request,
    intake,
    pausing,
    signed_in,
    store_with,
    unexpected,
)
from tests.support.bindings import OutputBinding
from tests.support.dashboard_parts import SYNC, Page
from tests.support.memory_store import MemoryStore
from tests.support.remediations import INSTANCE, LATER, NOW, healed, queued, rejected

BODY = {"backupInstanceId": str(INSTANCE), "reason": "repaired"}
PRINCIPAL = Principal(ADA, Role.OPERATOR)
FORGED = {"x-ms-client-principal-name": ADA, "X-MS-CLIENT-PRINCIPAL": "e30=", "X-MS-CLIENT-PRINCIPAL-ID": "1"}


def sync(request: func.HttpRequest, store: MemoryStore) -> func.HttpResponse:
    parts = intake(store, Settings(cooldown=timedelta(0)))
    return SyncApi(lambda: parts, lambda: dry_run(store), lambda: NOW).sync(request, OutputBinding())


def test_no_header_of_a_caller_says_who_they_are() -> None:
    request = http_request("POST", "/sync", BODY, FORGED)
    assert (signed_in_name(request), operator_name(request)) == (None, "an operator")


def test_the_history_of_a_request_with_a_key_has_no_name() -> None:
    store = MemoryStore()
    sync(http_request("POST", "/sync", BODY, FORGED), store)
    assert [step.by for each in store.remediations() for step in each.history] == [None]


@pytest.mark.parametrize("force", [False, True])
def test_the_history_names_who_asked_for_a_sync(force: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    response = sync(signed_in(http_request("POST", "/sync", {**BODY, "force": force})), MemoryStore())
    assert (response.status_code, document(response)["history"][0]["by"]) == (202, ADA)
    assert "remediation.transition" in caplog.text
    assert ADA not in caplog.text


def test_a_request_that_joins_a_remediation_leaves_no_name_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    sync(signed_in(http_request("POST", "/sync", {**BODY, "force": True})), store_with(queued()))
    assert "signal.coalesced" in caplog.text
    assert ADA not in caplog.text


def test_the_history_names_who_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    store = store_with(queued())
    request = signed_in(http_request("POST", "/remediations/{id}/cancel", id=queued().id))
    api = RemediationsApi(
        lambda: cancel(store), unexpected, unexpected, unexpected, lambda: NOW, subscription_names=dict
    )
    assert document(api.cancel(request))["history"][-1]["by"] == ADA
    assert ADA not in caplog.text


def test_a_pause_names_who_began_it_and_the_log_does_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    store = MemoryStore()
    pauses = pausing(store)
    api = PausesApi(lambda: pauses, lambda: LATER)
    body = {"scope": "*", "reason": "maintenance", "until": to_iso(LATER + timedelta(days=1))}
    [begun] = json.loads(api.begin(signed_in(http_request("POST", "/pauses/begin", body))).get_body())["value"]
    api.end(signed_in(http_request("POST", "/pauses/end", {"scope": "*"})))
    assert begun["by"] == ADA
    assert {"pause.begun", "pause.ended"} <= {json.loads(each.getMessage())["event"] for each in caplog.records}
    assert ADA not in caplog.text
    assert ADA not in str(pauses.pauses()), "over"


def test_what_is_dropped_for_a_pause_leaves_no_name_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    page = Page(now=LATER, principal=PRINCIPAL)
    page.post({"do": "pause", "scope": "*", "days": "1", "reason": "maintenance"})
    shown = page.open().text
    pause = pausing(page.store)(INSTANCE)
    assert f"by {ADA}" in shown
    assert "* is paused until" in str(pause)
    assert ADA not in str(pause) + caplog.text


def test_the_page_names_who_asked_in_the_history(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    page = Page(principal=PRINCIPAL)
    opened = page.post({**SYNC, "reason": "repaired"}).redirect
    page.post({"do": "cancel", "id": opened["id"]})
    shown = page.open(id=opened["id"]).text
    assert f"repaired, by {ADA}" in shown
    assert f"cancelled on the dashboard, by {ADA}" in shown
    assert ADA not in caplog.text


def test_the_page_names_who_acknowledged_several() -> None:
    page = Page(now=LATER, principal=PRINCIPAL)
    kept = page.keep(rejected())
    page.post({"do": "acknowledge", "id": kept.id, "days": "7"})
    assert f"Acknowledged by {ADA}" in page.open(id=kept.id).text


def test_a_request_of_somebody_who_signed_in_carries_no_key() -> None:
    query = {"code": "key", "ClientId": "default", "id": healed().id}
    request = signed_in(http_request("GET", "/dashboard", query=query))
    assert dict(request.params) == {"id": healed().id}
