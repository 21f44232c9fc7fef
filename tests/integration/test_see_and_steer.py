"""The HTTP API in a host with the app in it: lists, cancelling, health, keys, methods."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from dev.stack.stack import Stack
from tests.integration.test_flow import accepted, instance, outcome_of
from tests.support.simulator import Simulator

__all__ = ["instance"]
Json = dict[str, Any]
ROUTES = [
    ("POST", "sync"),
    ("POST", "alerts"),
    ("POST", "sweep"),
    ("GET", "dashboard"),
    ("POST", "dashboard"),
    ("GET", "remediations"),
    ("GET", "remediations/x"),
    ("POST", "remediations/x/cancel"),
    ("GET", "incidents"),
    ("POST", "instances/acknowledge"),
    ("GET", "pauses"),
    ("POST", "pauses/begin"),
    ("POST", "pauses/end"),
    ("GET", "error-codes"),
    ("GET", "status"),
    ("GET", "report"),
    ("GET", "health"),
    ("GET", "openapi.json"),
    ("DELETE", "sync"),
    ("GET", "nothing"),
]
SCHEMA = Path(__file__).parents[2] / "docs" / "events" / "outcome.schema.json"


def get(stack: Stack, path: str, **headers: str) -> requests.Response:
    """As the portal's function URL has it: with the key in the query."""
    return requests.get(
        f"{stack.host.url}/api/{path}", params={"code": stack.host.keys["function"]}, headers=headers, timeout=30
    )


@pytest.mark.parametrize("key", [None, "wrong"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_function_key_every_route_answers_401(stack: Stack, method: str, path: str, key: str | None) -> None:
    headers = {"x-functions-key": key} if key else {}
    response = requests.request(method, f"{stack.host.url}/api/{path}", headers=headers, timeout=30)
    assert (response.status_code, response.content) == (401, b"")


def test_every_route_of_the_app_is_among_those(stack: Stack) -> None:
    described = get(stack, "openapi.json").json()["paths"]
    assert {path.replace("{id}", "x") for path in described} <= {f"/{path}" for _, path in ROUTES}


def test_the_webhook_wants_its_system_key(stack: Stack) -> None:
    url = f"{stack.host.url}/runtime/webhooks/EventGrid?functionName=on_backup_failure"
    for code in ("", stack.host.keys["function"]):
        response = requests.post(f"{url}&code={code}", json=[], headers={"aeg-event-type": "Notification"}, timeout=30)
        assert response.status_code == 401


def test_what_was_asked_for_stands_first_in_the_list(stack: Stack, instance: str) -> None:
    opened = accepted(stack, {"backupInstanceId": instance})
    page = get(stack, f"remediations?backupInstanceId={instance}").json()
    assert ([each["id"] for each in page["value"]], page["nextLink"]) == ([opened["id"]], None)


def test_next_links_lead_through_the_list_and_hold_no_key(stack: Stack, instance: str) -> None:
    for number in range(5):
        accepted(stack, {"backupInstanceId": f"{instance}-{number}"})
    seen, answer = [], get(stack, "remediations?top=2").json()
    for _ in range(2):
        seen += [each["id"] for each in answer["value"]]
        assert stack.host.keys["function"] not in answer["nextLink"]
        headers = {"x-functions-key": stack.host.keys["function"]}
        answer = requests.get(answer["nextLink"], headers=headers, timeout=30).json()
    assert len(seen) == 4
    assert seen == sorted(set(seen))


def test_an_etag_spares_the_body(stack: Stack) -> None:
    first = get(stack, "openapi.json")
    again = get(stack, "openapi.json", **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_head_answers_as_get_without_the_body(stack: Stack) -> None:
    headers = {"x-functions-key": stack.host.keys["function"]}
    response = requests.head(f"{stack.host.url}/api/remediations", headers=headers, timeout=30)
    assert (response.status_code, response.content, bool(response.headers["ETag"])) == (200, b"", True)


def test_an_operator_cancels_and_the_outcome_says_so(stack: Stack, simulator: Simulator, instance: str) -> None:
    simulator.put(instance, behaviour={"operationSeconds": 3600, "retryAfter": 60})
    opened = accepted(stack, {"backupInstanceId": instance})
    cancelled = stack.host.call("POST", f"/api/remediations/{opened['id']}/cancel", {"reason": "by hand"})
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "Cancelled")
    assert outcome_of(simulator, instance)["type"] == "BackupAutoheal.Remediation.Cancelled"


def test_what_has_healed_cannot_be_cancelled(stack: Stack, simulator: Simulator, instance: str) -> None:
    opened = accepted(stack, {"backupInstanceId": instance})
    outcome_of(simulator, instance)
    refused = stack.host.call("POST", f"/api/remediations/{opened['id']}/cancel")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "AlreadyEnded")


def test_a_real_outcome_event_is_of_the_schema(stack: Stack, simulator: Simulator, instance: str) -> None:
    accepted(stack, {"backupInstanceId": instance})
    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [problem.message for problem in validator.iter_errors(outcome_of(simulator, instance))] == []


def test_all_is_well(stack: Stack, instance: str) -> None:
    response = get(stack, "health")
    checks = response.json()["checks"]
    assert (response.status_code, {check["status"] for check in checks.values()}) == (200, {"ok"})
    assert set(checks) == {"storage", "queue", "token", "resourceManager", "poller", "sweep", "signIn"}


@pytest.mark.parametrize(
    ("method", "path", "allow"), [("GET", "sync", "OPTIONS, POST"), ("PATCH", "remediations/x", "GET, HEAD, OPTIONS")]
)
def test_a_wrong_method_is_answered_with_those_that_fit(stack: Stack, method: str, path: str, allow: str) -> None:
    response = stack.host.call(method, f"/api/{path}")
    assert (response.status_code, response.headers["Allow"]) == (405, allow)
