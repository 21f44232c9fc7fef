"""People who sign in, at a host with the app in it; what App Service would add to their requests is in the test's."""

import json
from typing import Any

import pytest
import requests

from dev.stack.stack import Stack
from tests.integration.test_flow import instance, outcome_of
from tests.support.easy_auth import signed_in_headers
from tests.support.simulator import Simulator

__all__ = ["instance"]
NAME = "ada.of.this.test@example.com"


def call(stack: Stack, method: str, path: str, roles: list[str] | None, **options: Any) -> requests.Response:
    """Without a key; with these roles, or as somebody who has not signed in."""
    headers = {} if roles is None else signed_in_headers(NAME, roles)
    url = f"{stack.host.url}/api/signed-in{path}"
    return requests.request(method, url, headers=headers, timeout=30, allow_redirects=False, **options)


def test_an_operator_heals_an_instance_under_their_name_and_no_log_has_it(
    stack: Stack, in_azure: Simulator, instance: str
) -> None:
    accepted = call(stack, "POST", "/sync", ["Operator"], json={"backupInstanceId": instance})
    assert accepted.status_code == 202
    outcome = outcome_of(in_azure, instance)
    location = accepted.headers["Location"]
    assert location.startswith("/api/signed-in/remediations/")
    shown = call(stack, "GET", location.removeprefix("/api/signed-in"), ["Reader"]).json()
    assert (outcome["data"]["status"], shown["history"][0]["by"]) == ("Healed", NAME)
    assert NAME not in stack.host.service.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ["/dashboard", "/remediations", "/report", "/status", "/openapi.json"])
def test_a_reader_may_look_at_everything(stack: Stack, path: str) -> None:
    assert call(stack, "GET", path, ["Reader"]).status_code == 200


def test_the_page_has_the_name_and_no_key(stack: Stack) -> None:
    page = call(stack, "GET", "/dashboard", ["Operator"], params={"code": stack.host.keys["function"]})
    assert NAME in page.text
    assert stack.host.keys["function"] not in page.text


@pytest.mark.parametrize(
    ("method", "path", "roles", "status"),
    [
        ("GET", "/dashboard", None, 401),
        ("POST", "/sync", None, 401),
        ("GET", "/nothing", None, 401),
        ("POST", "/sync", ["Reader"], 403),
        ("GET", "/dashboard", [], 403),
        ("POST", "/alerts", ["Operator"], 404),
        ("GET", "/..%2fsync", ["Operator"], 404),
        ("GET", "/%2e%2e%2fhealth", ["Operator"], 404),
        ("GET", "//dashboard", ["Reader"], 200),
        ("GET", "", ["Reader"], 302),
        ("DELETE", "/sync", ["Operator"], 405),
        ("OPTIONS", "/sync", ["Reader"], 204),
        ("HEAD", "/dashboard", ["Reader"], 200),
    ],
)
def test_the_door_lets_in_by_role(stack: Stack, method: str, path: str, roles: list[str] | None, status: int) -> None:
    assert call(stack, method, path, roles).status_code == status


def test_whoever_has_a_key_takes_no_name_by_a_header(stack: Stack, instance: str) -> None:
    headers = {"x-functions-key": stack.host.keys["function"], **signed_in_headers(NAME)}
    body = {"backupInstanceId": instance}
    accepted = requests.post(f"{stack.host.url}/api/sync", json=body, headers=headers, timeout=30)
    assert [step["by"] for step in accepted.json()["history"]] == [None]


def test_a_host_that_is_told_so_says_that_people_can_sign_in(stack: Stack) -> None:
    assert json.loads(call(stack, "GET", "/health", ["Reader"]).text)["checks"]["signIn"] == {"status": "ok"}
