"""HTTP functions: routes, methods, keys, requests and responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.dev.functions_host.processes import Host

APP = """
import json
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("echo/{word}", methods=["GET", "POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method, "url": req.url, "params": dict(req.params), "route": dict(req.route_params),
        "header": req.headers.get("X-Test"), "body": req.get_body().decode(),
    }
    body = json.dumps(seen)
    return func.HttpResponse(body, status_code=203, mimetype="application/json", headers={"X-Out": "o"})


@app.route("items/{id:int}")
async def item(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("item " + req.route_params["id"])


@app.route("items/special")
def special(req: func.HttpRequest) -> str:
    return "the special one"


@app.route("closed", auth_level=func.AuthLevel.FUNCTION)
def closed(req: func.HttpRequest) -> str:
    return "open"


@app.route("admin-only", auth_level=func.AuthLevel.ADMIN)
def admin_only(req: func.HttpRequest) -> str:
    return "open"


@app.route("boom")
def boom(req: func.HttpRequest) -> str:
    raise ValueError("the reason")


@app.route("exit")
def leave(req: func.HttpRequest) -> str:
    raise SystemExit(3)


@app.route("forgot")
def forgot(req: func.HttpRequest) -> func.HttpResponse:
    return None


@app.generic_trigger(arg_name="req", type="httpTrigger", route="silent", authLevel="anonymous")
def silent(req: func.HttpRequest) -> None:
    pass


@app.route("cookie")
def cookie(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("", headers={"Set-Cookie": "a=b; Path=/"})


@app.route("context")
def who(req: func.HttpRequest, context: func.Context) -> str:
    return f"{context.function_name} {len(context.invocation_id)}"
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    running = Host(tmp_path_factory.mktemp("http"), APP)
    try:
        yield running.start()
    finally:
        running.stop()


def echoed(host: Host, **request: Any) -> dict[str, Any]:
    method = request.pop("method", "GET")
    answer = requests.request(method, host.url("/api/echo/hello"), timeout=10, **request)
    document: dict[str, Any] = answer.json()
    return document


def status(host: Host, path: str, method: str = "GET", **request: Any) -> int:
    return requests.request(method, host.url(path), timeout=10, **request).status_code


def test_route_parameter_reaches_the_function(host: Host) -> None:
    assert echoed(host)["route"] == {"word": "hello"}


def test_encoded_slash_stays_within_its_route_parameter(host: Host) -> None:
    assert requests.get(host.url("/api/echo/a%2Fb"), timeout=10).json()["route"] == {"word": "a/b"}


def test_encoded_line_break_stays_within_its_route_parameter(host: Host) -> None:
    assert requests.get(host.url("/api/echo/a%0Ab"), timeout=10).json()["route"] == {"word": "a\nb"}


def test_query_reaches_the_function(host: Host) -> None:
    assert echoed(host, params={"dryRun": "true"})["params"] == {"dryRun": "true"}


def test_header_reaches_the_function_in_any_casing(host: Host) -> None:
    assert echoed(host, headers={"x-test": "1"})["header"] == "1"


def test_body_reaches_the_function(host: Host) -> None:
    assert echoed(host, method="POST", data="ünïcode".encode())["body"] == "ünïcode"


def test_large_body_reaches_the_function_whole(host: Host) -> None:
    assert len(echoed(host, method="POST", data="x" * 2**20)["body"]) == 2**20


def test_function_sees_its_absolute_url(host: Host) -> None:
    assert echoed(host)["url"] == host.url("/api/echo/hello")


def test_function_sets_the_status(host: Host) -> None:
    assert status(host, "/api/echo/x") == 203


def test_function_sets_headers(host: Host) -> None:
    assert requests.get(host.url("/api/echo/x"), timeout=10).headers["X-Out"] == "o"


def test_function_sets_the_content_type(host: Host) -> None:
    assert requests.get(host.url("/api/echo/x"), timeout=10).headers["Content-Type"] == "application/json"


def test_function_sets_cookies(host: Host) -> None:
    assert requests.get(host.url("/api/cookie"), timeout=10).cookies["a"] == "b"


def test_returned_text_is_a_plain_text_response(host: Host) -> None:
    answer = requests.get(host.url("/api/items/special"), timeout=10)
    assert (answer.text, answer.headers["Content-Type"]) == ("the special one", "text/plain; charset=utf-8")


def test_async_function_answers(host: Host) -> None:
    assert requests.get(host.url("/api/items/42"), timeout=10).text == "item 42"


def test_route_matches_in_any_casing(host: Host) -> None:
    assert status(host, "/API/Items/42") == 200


def test_constraint_that_does_not_hold_is_not_found(host: Host) -> None:
    assert status(host, "/api/items/forty-two") == 404


def test_unknown_route_is_not_found(host: Host) -> None:
    assert status(host, "/api/nowhere") == 404


def test_method_that_no_function_takes_is_not_found(host: Host) -> None:
    assert status(host, "/api/echo/x", "DELETE") == 404


def test_function_without_methods_takes_any(host: Host) -> None:
    assert status(host, "/api/items/42", "DELETE") == 200


def test_missing_key_is_refused(host: Host) -> None:
    assert status(host, "/api/closed") == 401


def test_wrong_key_is_refused(host: Host) -> None:
    assert status(host, "/api/closed", params={"code": "wrong"}) == 401


def test_function_key_in_the_query_opens(host: Host) -> None:
    assert status(host, "/api/closed", params={"code": host.key("function")}) == 200


def test_function_key_in_the_header_opens(host: Host) -> None:
    assert status(host, "/api/closed", headers={"x-functions-key": host.key("function")}) == 200


def test_master_key_opens_a_function(host: Host) -> None:
    assert status(host, "/api/closed", params={"code": host.key("master")}) == 200


def test_function_key_does_not_open_admin_level(host: Host) -> None:
    assert status(host, "/api/admin-only", params={"code": host.key("function")}) == 401


def test_master_key_opens_admin_level(host: Host) -> None:
    assert status(host, "/api/admin-only", params={"code": host.key("master")}) == 200


def test_raising_function_answers_500(host: Host) -> None:
    assert status(host, "/api/boom") == 500


def test_raising_function_is_logged_with_its_traceback(host: Host) -> None:
    status(host, "/api/boom")
    host.wait_for_log("ValueError: the reason")


def test_raising_function_does_not_tell_the_caller_why(host: Host) -> None:
    assert requests.get(host.url("/api/boom"), timeout=10).content == b""


def test_host_survives_a_function_that_exits(host: Host) -> None:
    status(host, "/api/exit")
    assert status(host, "/api/items/1") == 200


def test_none_with_an_http_output_fails_as_in_azure(host: Host) -> None:
    assert status(host, "/api/forgot") == 500


def test_none_without_an_output_is_no_content(host: Host) -> None:
    assert status(host, "/api/silent") == 204


def test_context_argument_names_function_and_invocation(host: Host) -> None:
    assert requests.get(host.url("/api/context"), timeout=10).text == "who 36"


def test_invocations_are_logged_in_the_words_of_the_real_host(host: Host) -> None:
    status(host, "/api/items/7")
    host.wait_for_log("Executed 'Functions.item' (Succeeded, Id=")


def test_keys_do_not_reach_the_log(host: Host) -> None:
    status(host, "/api/closed", params={"code": host.key("function")})
    host.wait_for_log("Executed 'Functions.closed' (Succeeded")
    assert host.key("function") not in host.log()
