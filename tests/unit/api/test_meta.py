"""The API about itself: it serves its description, and what it does not serve it refuses in words."""

import json
from pathlib import Path

import pytest

import shared.api
from tests.support.api_parts import META, described, document, error, http_request, unserved


def test_the_description_is_the_committed_file() -> None:
    response = described(META.describe(http_request("GET", "/openapi.json")), "GET", "/openapi.json")
    committed = Path(shared.api.__path__[0], "openapi.json")
    assert document(response) == json.loads(committed.read_text(encoding="utf-8"))


def test_a_description_that_the_caller_has_already_is_not_sent_again() -> None:
    etag = META.describe(http_request("GET", "/openapi.json")).headers["ETag"]
    again = META.describe(http_request("GET", "/openapi.json", headers={"If-None-Match": etag}))
    assert described(again, "GET", "/openapi.json").status_code == 304


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "sync", "OPTIONS, POST"),
        ("DELETE", "remediations", "GET, HEAD, OPTIONS"),
        ("PUT", "Remediations/x/", "GET, HEAD, OPTIONS"),
        ("GET", "remediations/x/cancel", "OPTIONS, POST"),
        ("TRACE", "openapi.json", "GET, HEAD, OPTIONS"),
        ("PUT", "dashboard", "GET, HEAD, OPTIONS, POST"),
    ],
)
def test_a_wrong_method_is_answered_with_those_that_fit(method: str, path: str, allow: str) -> None:
    response = unserved(method, path)
    assert (response.status_code, response.headers["Allow"]) == (405, allow)
    assert error(response)["code"] == "MethodNotAllowed"


def test_options_tells_the_methods() -> None:
    response = unserved("OPTIONS", "sync")
    assert (response.status_code, response.headers["Allow"], response.get_body()) == (204, "OPTIONS, POST", b"")


@pytest.mark.parametrize("path", ["", "x", "remediations/x/y", "openapi-json", "sync/x"])
def test_what_does_not_exist_is_not_found(path: str) -> None:
    response = unserved("GET", path)
    assert (response.status_code, error(response)["code"]) == (404, "NotFound")
