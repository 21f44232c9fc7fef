"""HTTP functions: routes, methods, keys, requests and responses."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support.processes import AppHost

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


@app.route("items/{id}")
def item(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("item " + req.route_params["id"])


@app.route("items/special")
def special(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("the special one")


@app.route("closed", auth_level=func.AuthLevel.FUNCTION)
def closed(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("open")


@app.route("admin-only", auth_level=func.AuthLevel.ADMIN)
def admin_only(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("open")


@app.route("boom")
def boom(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("the reason")


@app.route("exit")
def leave(req: func.HttpRequest) -> func.HttpResponse:
    raise SystemExit(3)


@app.route("forgot")
def forgot(req: func.HttpRequest) -> func.HttpResponse:
    return None
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppHost]:
    running = AppHost(tmp_path_factory.mktemp("http"), APP)
    try:
        yield running.run()
    finally:
        running.stop()


def ask(host: AppHost, path: str, method: str = "GET", **request: Any) -> requests.Response:
    return requests.request(method, host.url + path, timeout=10, **request)


def echoed(host: AppHost, path: str = "/api/echo/hello", **request: Any) -> dict[str, Any]:
    document: dict[str, Any] = ask(host, path, **request).json()
    return document


@pytest.mark.parametrize(("path", "word"), [("hello", "hello"), ("a%2Fb", "a/b"), ("a%0Ab", "a\nb")])
def test_route_parameter_reaches_the_function_whole_and_decoded(host: AppHost, path: str, word: str) -> None:
    assert echoed(host, f"/api/echo/{path}")["route"] == {"word": word}


def test_query_reaches_the_function(host: AppHost) -> None:
    assert echoed(host, params={"dryRun": "true"})["params"] == {"dryRun": "true"}


def test_header_reaches_the_function_in_any_casing(host: AppHost) -> None:
    assert echoed(host, headers={"x-test": "1"})["header"] == "1"


def test_body_reaches_the_function(host: AppHost) -> None:
    assert echoed(host, method="POST", data="ünïcode".encode())["body"] == "ünïcode"


def test_large_body_reaches_the_function_whole(host: AppHost) -> None:
    assert len(echoed(host, method="POST", data="x" * 2**20)["body"]) == 2**20


def test_function_sees_its_absolute_url(host: AppHost) -> None:
    assert echoed(host)["url"] == f"{host.url}/api/echo/hello"


def test_function_sets_status_headers_and_content_type(host: AppHost) -> None:
    answer = ask(host, "/api/echo/x")
    assert (answer.status_code, answer.headers["X-Out"]) == (203, "o")
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "text"),
    [("/api/items/42", "item 42"), ("/API/Items/42", "item 42"), ("/api/items/special", "the special one")],
)
def test_most_literal_route_answers_in_any_casing(host: AppHost, path: str, text: str) -> None:
    assert ask(host, path).text == text


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/nowhere"), ("GET", "/api/items/4/2"), ("DELETE", "/api/echo/x")]
)
def test_route_or_method_that_no_function_takes_is_not_found(host: AppHost, method: str, path: str) -> None:
    assert ask(host, path, method).status_code == 404


def test_function_without_methods_takes_any(host: AppHost) -> None:
    assert ask(host, "/api/items/42", "DELETE").status_code == 200


@pytest.mark.parametrize(
    ("path", "level", "status"),
    [
        ("closed", None, 401),
        ("closed", "system", 401),
        ("closed", "function", 200),
        ("closed", "master", 200),
        ("admin-only", "function", 401),
        ("admin-only", "master", 200),
    ],
)
@pytest.mark.parametrize("place", ["query", "header"])
def test_each_level_is_opened_by_its_key_and_by_the_master_key(
    host: AppHost, path: str, level: str | None, status: int, place: str
) -> None:
    key = host.keys[level] if level else ""
    given: dict[str, Any] = {"params": {"code": key}} if place == "query" else {"headers": {"x-functions-key": key}}
    assert ask(host, f"/api/{path}", **given).status_code == status


def test_raising_function_answers_500_and_tells_only_the_log_why(host: AppHost) -> None:
    answer = ask(host, "/api/boom")
    assert (answer.status_code, answer.content) == (500, b"")
    host.wait_for_log("ValueError: the reason")


def test_host_survives_a_function_that_exits(host: AppHost) -> None:
    ask(host, "/api/exit")
    assert ask(host, "/api/items/1").status_code == 200


def test_none_with_an_http_output_fails_as_in_azure(host: AppHost) -> None:
    assert ask(host, "/api/forgot").status_code == 500


def test_invocations_are_logged_in_the_words_of_the_real_host(host: AppHost) -> None:
    ask(host, "/api/items/7")
    host.wait_for_log("Executed 'Functions.item' (Succeeded, Id=")


def test_keys_do_not_reach_the_log(host: AppHost) -> None:
    ask(host, "/api/closed", params={"code": host.keys["function"]})
    host.wait_for_log("Executed 'Functions.closed' (Succeeded")
    assert host.keys["function"] not in host.log()
