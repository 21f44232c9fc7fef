"""The Event Grid webhook: handshake, deliveries, answers that make Event Grid deliver again."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support.processes import AppHost

APP = """
import json
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
seen = []


@app.event_grid_trigger(arg_name="event")
def on_event(event: func.EventGridEvent) -> None:
    if event.id.startswith("bad"):
        raise ValueError("cannot")
    kind = getattr(event, "event_type", None) or event.type
    seen.append([event.id, type(event).__name__, kind, event.subject])


@app.route("seen")
def get_seen(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppHost]:
    running = AppHost(tmp_path_factory.mktemp("eventgrid"), APP)
    try:
        yield running.run()
    finally:
        running.stop()


def grid_event(identity: str | None = None, **data: str) -> dict[str, Any]:
    return {
        "id": identity or str(uuid.uuid4()),
        "topic": "/subscriptions/s",
        "subject": "/a/subject",
        "eventType": "Sample.Failed",
        "eventTime": "2026-11-23T20:00:00.1234567Z",
        "data": data,
        "dataVersion": "2",
    }


def cloud_event() -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/s",
        "type": "Sample.Cloud",
        "subject": "/a/subject",
        "time": "2026-11-23T20:00:00Z",
        "data": {"n": 1},
    }


def send(
    host: AppHost,
    body: Any,
    kind: str = "Notification",
    *,
    function: str = "on_event",
    key: str | None = None,
    path: str = "/runtime/webhooks/EventGrid",
) -> requests.Response:
    return requests.post(
        host.url + path,
        params={"functionName": function, "code": host.keys["system"] if key is None else key},
        data=body if isinstance(body, (str, bytes)) else json.dumps(body),
        headers={"aeg-event-type": kind},
        timeout=10,
    )


def seen(host: AppHost, event: dict[str, Any]) -> list[list[str]]:
    return [each for each in requests.get(f"{host.url}/api/seen", timeout=10).json() if each[0] == event["id"]]


@pytest.mark.parametrize(
    ("event", "kind"),
    [(grid_event(), ["EventGridEvent", "Sample.Failed"]), (cloud_event(), ["CloudEvent", "Sample.Cloud"])],
)
def test_event_of_either_schema_is_accepted_and_reaches_the_function(
    host: AppHost, event: dict[str, Any], kind: list[str]
) -> None:
    assert send(host, event).status_code == 202
    assert seen(host, event) == [[event["id"], *kind, "/a/subject"]]


def test_each_event_of_a_batch_is_one_invocation(host: AppHost) -> None:
    events = [grid_event() for _ in range(3)]
    send(host, events)
    assert [len(seen(host, event)) for event in events] == [1, 1, 1]


def test_one_failing_event_makes_the_delivery_fail_and_those_beside_it_still_run(host: AppHost) -> None:
    good = grid_event()
    assert send(host, [grid_event("bad"), good]).status_code == 500
    assert len(seen(host, good)) == 1


def test_subscription_validation_answers_the_code_and_calls_no_function(host: AppHost) -> None:
    event = grid_event(validationCode="abc")
    assert send(host, [event], "SubscriptionValidation").json() == {"validationResponse": "abc"}
    assert seen(host, event) == []


@pytest.mark.parametrize("events", [[grid_event()], []])
def test_subscription_validation_without_a_code_is_a_bad_request(host: AppHost, events: list[Any]) -> None:
    assert send(host, events, "SubscriptionValidation").status_code == 400


@pytest.mark.parametrize(("path", "status"), [("/runtime/webhooks/eventgrid", 202), ("/runtime/webhooks/blobs", 404)])
def test_path_matches_in_any_casing_and_no_other_does(host: AppHost, path: str, status: int) -> None:
    assert send(host, [grid_event()], path=path).status_code == status


@pytest.mark.parametrize("level", [None, "function"])
def test_no_other_key_opens_the_webhook(host: AppHost, level: str | None) -> None:
    assert send(host, [grid_event()], key=host.keys[level] if level else "").status_code == 401


def test_unknown_function_is_not_found(host: AppHost) -> None:
    assert send(host, [grid_event()], function="nobody").status_code == 404


@pytest.mark.parametrize(
    "body", ["{not json", b"\xff\xfe", "5", '["text"]', "", '{"data":' * 100_000, b'{"id": "gr\xfcn"}']
)
def test_body_that_is_no_events_is_a_bad_request(host: AppHost, body: str | bytes) -> None:
    assert send(host, body).status_code == 400


def test_request_without_an_event_type_is_a_bad_request(host: AppHost) -> None:
    assert send(host, [grid_event()], "").status_code == 400
