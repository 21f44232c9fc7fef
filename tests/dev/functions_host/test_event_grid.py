"""The Event Grid webhook: handshakes, deliveries, answers that make Event Grid deliver again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.dev.functions_host.processes import Host

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
def what_was_seen(req: func.HttpRequest) -> str:
    return json.dumps(seen)
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    running = Host(tmp_path_factory.mktemp("eventgrid"), APP)
    try:
        yield running.start()
    finally:
        running.stop()


def grid_event(identity: str | None = None) -> dict[str, Any]:
    return {
        "id": identity or str(uuid.uuid4()),
        "topic": "/subscriptions/s",
        "subject": "/a/subject",
        "eventType": "Sample.Failed",
        "eventTime": "2026-11-23T20:00:00.1234567Z",
        "data": {"n": 1},
        "dataVersion": "2",
    }


def cloud_event(identity: str | None = None) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": identity or str(uuid.uuid4()),
        "source": "/s",
        "type": "Sample.Cloud",
        "subject": "/a/subject",
        "time": "2026-11-23T20:00:00Z",
        "data": {"n": 1},
    }


def send(
    host: Host,
    body: Any,
    kind: str | None = "Notification",
    *,
    content_type: str = "application/json",
    method: str = "POST",
    function: str = "on_event",
    key: str | None = None,
    path: str = "/runtime/webhooks/EventGrid",
    headers: dict[str, str] | None = None,
) -> requests.Response:
    sent = {"Content-Type": content_type, **({"aeg-event-type": kind} if kind else {}), **(headers or {})}
    return requests.request(
        method,
        host.url(path),
        params={"functionName": function, "code": host.key("system") if key is None else key},
        data=body if isinstance(body, (str, bytes)) else json.dumps(body),
        headers=sent,
        timeout=10,
    )


def seen(host: Host, identity: str) -> list[list[str]]:
    return [event for event in requests.get(host.url("/api/seen"), timeout=10).json() if event[0] == identity]


def test_notification_is_accepted(host: Host) -> None:
    assert send(host, [grid_event()]).status_code == 202


def test_grid_event_reaches_the_function(host: Host) -> None:
    event = grid_event()
    send(host, [event])
    assert seen(host, event["id"]) == [[event["id"], "EventGridEvent", "Sample.Failed", "/a/subject"]]


def test_each_event_of_a_batch_is_one_invocation(host: Host) -> None:
    events = [grid_event() for _ in range(3)]
    send(host, events)
    assert [len(seen(host, event["id"])) for event in events] == [1, 1, 1]


def test_cloud_event_reaches_the_function(host: Host) -> None:
    event = cloud_event()
    send(host, event, None, content_type="application/cloudevents+json; charset=utf-8")
    assert seen(host, event["id"]) == [[event["id"], "CloudEvent", "Sample.Cloud", "/a/subject"]]


def test_batch_of_cloud_events_is_one_invocation_each(host: Host) -> None:
    events = [cloud_event(), cloud_event()]
    send(host, events, None, content_type="application/cloudevents-batch+json")
    assert [len(seen(host, event["id"])) for event in events] == [1, 1]


def test_one_failing_event_makes_the_delivery_fail(host: Host) -> None:
    assert send(host, [grid_event(), grid_event("bad")]).status_code == 500


def test_events_beside_a_failing_one_still_run(host: Host) -> None:
    good = grid_event()
    send(host, [grid_event("bad"), good])
    assert len(seen(host, good["id"])) == 1


def test_subscription_validation_answers_the_code(host: Host) -> None:
    event = grid_event() | {"data": {"validationCode": "abc", "validationUrl": "https://example.test"}}
    assert send(host, [event], "SubscriptionValidation").json() == {"validationResponse": "abc"}


def test_subscription_validation_calls_no_function(host: Host) -> None:
    event = grid_event() | {"data": {"validationCode": "abc"}}
    send(host, [event], "SubscriptionValidation")
    assert seen(host, event["id"]) == []


def test_subscription_validation_of_a_cloud_events_subscription(host: Host) -> None:
    event = cloud_event() | {"data": json.dumps({"validationCode": "abc"})}
    assert send(host, event, "SubscriptionValidation").json() == {"validationResponse": "abc"}


def test_subscription_validation_without_a_code_is_a_bad_request(host: Host) -> None:
    assert send(host, [grid_event()], "SubscriptionValidation").status_code == 400


def test_cloud_events_handshake_allows_the_origin(host: Host) -> None:
    answer = send(host, "", None, method="OPTIONS", headers={"WebHook-Request-Origin": "eventgrid.azure.net"})
    assert (answer.status_code, answer.headers["WebHook-Allowed-Origin"]) == (200, "eventgrid.azure.net")


def test_cloud_events_handshake_without_origin_is_a_bad_request(host: Host) -> None:
    assert send(host, "", None, method="OPTIONS").status_code == 400


def test_unsubscribe_is_accepted(host: Host) -> None:
    assert send(host, [], "Unsubscribe").status_code == 202


def test_path_matches_in_lower_case(host: Host) -> None:
    assert send(host, [grid_event()], path="/runtime/webhooks/eventgrid").status_code == 202


def test_other_webhook_is_not_found(host: Host) -> None:
    assert send(host, [grid_event()], path="/runtime/webhooks/blobs").status_code == 404


def test_missing_key_is_refused(host: Host) -> None:
    assert send(host, [grid_event()], key="").status_code == 401


def test_function_key_does_not_open_the_webhook(host: Host) -> None:
    assert send(host, [grid_event()], key=host.key("function")).status_code == 401


def test_unknown_function_is_not_found(host: Host) -> None:
    assert send(host, [grid_event()], function="nobody").status_code == 404


@pytest.mark.parametrize("body", ["{not json", b"\xff\xfe", "5", '["text"]', ""])
def test_body_that_is_no_events_is_a_bad_request(host: Host, body: str | bytes) -> None:
    assert send(host, body).status_code == 400


def test_plain_json_without_an_event_type_header_is_a_bad_request(host: Host) -> None:
    assert send(host, [grid_event()], None).status_code == 400
