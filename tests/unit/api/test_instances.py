"""`POST /api/instances/acknowledge`: what it notes, and what it refuses."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest

from shared.api.instances import InstancesApi
from shared.clock import to_iso
from shared.domain.error_codes import BUILT_IN
from tests.support.api_parts import ADA, acknowledge, described, http_request, signed_in, store_with
from tests.support.memory_store import MemoryStore
from tests.support.remediations import INSTANCE, LATER, healed, rejected

TOMORROW = to_iso(LATER + timedelta(days=1))
BODY = {"backupInstanceId": str(INSTANCE), "reason": "order 4711", "until": TOMORROW}


def post(
    store: MemoryStore, body: Any, *, is_signed_in: bool = False, headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    api = InstancesApi(lambda: acknowledge(store), BUILT_IN, lambda: LATER)
    request = http_request("POST", "/instances/acknowledge", body, headers)
    request = signed_in(request) if is_signed_in else request
    return described(api.acknowledge(request), "POST", "/instances/acknowledge")


def note(response: func.HttpResponse) -> Any:
    return json.loads(response.get_body())["attention"]["acknowledgement"]


def test_it_notes_who_knows_of_the_instance_why_and_until_when() -> None:
    response = post(store_with(rejected()), BODY, is_signed_in=True)
    expected = {"at": to_iso(LATER), "by": ADA, "reason": "order 4711", "until": TOMORROW}
    assert (response.status_code, note(response)) == (200, expected)


def test_a_key_does_not_say_who_uses_it() -> None:
    assert note(post(store_with(rejected()), BODY))["by"] == "an operator"


def test_who_has_a_key_cannot_take_a_name() -> None:
    forged = {"x-ms-client-principal-name": ADA, "x-ms-client-principal": "eyJjbGFpbXMiOltdfQ=="}
    assert note(post(store_with(rejected()), BODY, headers=forged))["by"] == "an operator"


def test_no_name_gets_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    post(store_with(rejected()), BODY, is_signed_in=True)
    assert "attention.acknowledged" in caplog.text
    assert ADA not in caplog.text


def test_a_later_note_replaces_the_first() -> None:
    store = store_with(rejected())
    post(store, BODY)
    assert note(post(store, {**BODY, "reason": "still waiting"}))["reason"] == "still waiting"


def test_a_healed_instance_cannot_be_acknowledged() -> None:
    assert post(store_with(healed()), BODY).status_code == 409


def test_an_instance_without_a_remediation_is_not_found() -> None:
    assert post(MemoryStore(), BODY).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"reason": ""},
        {"reason": None},
        {"until": to_iso(LATER + timedelta(days=91))},
        {"until": "tomorrow"},
        {"until": 5},
        {"backupInstanceId": "/subscriptions/x"},
    ],
)
def test_a_body_that_cannot_be_used_is_refused(change: Any) -> None:
    assert post(store_with(rejected()), {**BODY, **change}).status_code == 400


def test_an_end_that_has_passed_is_a_conflict() -> None:
    assert post(store_with(rejected()), {**BODY, "until": to_iso(LATER)}).status_code == 409
