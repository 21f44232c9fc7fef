"""The API about itself: its description fits its routes, and what it does not serve it refuses in words."""

import json
from dataclasses import replace
from functools import cache
from typing import Any, cast

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

import function_app
from shared.api import openapi
from shared.api.health import Health
from shared.api.meta import API_ROUTES, HttpApi
from shared.dashboard import route_docs as page

OPERATIONS = (*API_ROUTES, *page.OPERATIONS)
Json = dict[str, Any]
CATCH_ALL = "unserved_request"


@cache
def triggers() -> dict[str, Json]:
    """The HTTP trigger of each function, as the host is told."""
    functions: list[Any] = [each for each in function_app.app.get_functions() if each.is_http_function()]
    return {each.get_function_name(): each.get_trigger().get_dict_repr() for each in functions}


def routes() -> dict[str, tuple[str, frozenset[str]]]:
    """Path and methods of each HTTP function; no methods are all."""
    return {
        name: (trigger["route"], frozenset(method.value for method in trigger.get("methods") or ()))
        for name, trigger in triggers().items()
    }


def described() -> Json:
    nobody: Any = None
    return cast(Json, json.loads(HttpApi(nobody, OPERATIONS).describe(request("GET", "openapi.json")).get_body()))


def request(method: str, path: str, **headers: str) -> func.HttpRequest:
    url = f"https://app.example/api/{path}"
    return func.HttpRequest(method, url, headers=headers, route_params={"path": path}, body=b"")


def unserved(method: str, path: str) -> func.HttpResponse:
    nobody: Any = None
    return HttpApi(nobody, OPERATIONS).unserved(request(method, path))


def error_of(response: func.HttpResponse) -> Json:
    return cast(Json, json.loads(response.get_body())["error"])


def test_the_description_is_valid_openapi() -> None:
    assert list(OpenAPIV31SpecValidator(described()).iter_errors()) == []


def test_every_route_is_described() -> None:
    promised: dict[str, tuple[str, frozenset[str]]] = {}
    for each in OPERATIONS:
        _, methods = promised.get(each.name, ("", frozenset()))
        promised[each.name] = each.path, methods | {each.method}
    served = {name: (path, methods - {"HEAD"}) for name, (path, methods) in routes().items() if name != CATCH_ALL}
    assert promised == served


def test_a_function_of_two_methods_is_described_with_two_ids() -> None:
    own = next(each for each in OPERATIONS if each.name == "get_health")
    twice = openapi.document([own, replace(own, method="POST")])
    assert list(OpenAPIV31SpecValidator(twice).iter_errors()) == []
    assert twice["paths"]["/health"]["post"]["operationId"] == "get_health_post"


def test_every_route_wants_a_key() -> None:
    assert {trigger["authLevel"] for trigger in triggers().values()} == {func.AuthLevel.FUNCTION}


def test_the_catch_all_is_the_last_that_the_host_tries() -> None:
    assert max(routes()) == CATCH_ALL
    assert routes()[CATCH_ALL] == ("{*path}", frozenset())


def test_the_parameters_are_those_of_the_model_that_reads_them() -> None:
    names = [parameter["name"] for parameter in described()["paths"]["/remediations"]["get"]["parameters"]]
    assert names == [
        "status",
        "backupInstanceId",
        "subscriptionId",
        "since",
        "top",
        "continuation",
        "If-None-Match",
    ]


def test_a_description_that_the_caller_has_already_is_not_sent_again() -> None:
    nobody: Any = None
    etag = HttpApi(nobody, OPERATIONS).describe(request("GET", "openapi.json")).headers["ETag"]
    again = HttpApi(nobody, OPERATIONS).describe(request("GET", "openapi.json", **{"If-None-Match": etag}))
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "sync", "OPTIONS, POST"),
        ("DELETE", "remediations", "GET, HEAD, OPTIONS"),
        ("PUT", "Remediations/x/", "GET, HEAD, OPTIONS"),
        ("GET", "remediations/x/cancel", "OPTIONS, POST"),
        ("TRACE", "openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_answered_with_those_that_fit(method: str, path: str, allow: str) -> None:
    response = unserved(method, path)
    assert (response.status_code, response.headers["Allow"]) == (405, allow)
    assert error_of(response)["code"] == "MethodNotAllowed"


def test_options_tells_the_methods() -> None:
    response = unserved("OPTIONS", "sync")
    assert (response.status_code, response.headers["Allow"], response.get_body()) == (204, "OPTIONS, POST", b"")


@pytest.mark.parametrize("path", ["", "x", "remediations/x/y", "openapi-json", "sync/x"])
def test_what_does_not_exist_is_not_found(path: str) -> None:
    response = unserved("GET", path)
    assert (response.status_code, error_of(response)["code"]) == (404, "NotFound")


@given(st.text(), st.sampled_from(["GET", "POST", "OPTIONS", "PATCH"]))
def test_any_other_path_is_answered(path: str, method: str) -> None:
    assert unserved(method, path).status_code in (204, 404, 405)


def test_a_part_that_is_not_well_makes_the_answer_503() -> None:
    class Ill(Health):
        def check(self) -> tuple[bool, Json]:
            return False, {"status": "unavailable", "checks": {}}

    ill: Any = Ill.__new__(Ill)
    response = HttpApi(ill, OPERATIONS).healthy()
    assert (response.status_code, response.headers["Cache-Control"]) == (503, "no-store")


def test_the_document_is_the_same_each_time() -> None:
    assert openapi.document(OPERATIONS) == openapi.document(OPERATIONS)
