"""The door for those who have signed in: whom it lets in, to what, and what it says to the others."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.errors import ApiError
from shared.api.principal import Platform
from shared.api.signed_in import Door
from shared.api.signed_in_request import Principal, signed_in_name
from tests.support.api_parts import ADA
from tests.support.bindings import OutputBinding
from tests.support.easy_auth import TENANT, principal_header, signed_in_headers

ON = Platform(is_on=True, tenants=frozenset({TENANT}))
OFF = Platform(is_on=False, tenants=frozenset())
HTML = "text/html,application/xhtml+xml,*/*;q=0.8"
SESSION = signed_in_headers()
READER = signed_in_headers(roles=["Reader"])
TOKEN = {"X-MS-CLIENT-PRINCIPAL": principal_header(), "Authorization": "Bearer secret-token"}


class Behind:
    """The use cases behind the door; keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[func.HttpRequest] = []

    def serve(self, request: func.HttpRequest, jobs: func.Out[list[str]]) -> func.HttpResponse:
        self.asked.append(request)
        jobs.set(["job"])
        return func.HttpResponse("served")


def refusal_page(error: ApiError, principal: Principal | None, sign_in: str) -> func.HttpResponse:
    return func.HttpResponse(f"page: {error.message} {sign_in}", status_code=error.status, mimetype="text/html")


class World:
    """A door, and what it did."""

    def __init__(self, platform: Platform = ON) -> None:
        self.behind = Behind()
        self.jobs = OutputBinding[list[str]]()
        paths = ("/dashboard", "/report", "/remediations", "/remediations/{id}")
        routes = {("GET", path): self.behind.serve for path in paths} | {
            ("POST", path): self.behind.serve for path in ("/dashboard", "/sync", "/remediations/{id}/cancel")
        }
        self._door = Door(platform, routes, refusal_page)

    def request(
        self,
        method: str = "GET",
        path: str = "dashboard",
        headers: Mapping[str, str] = SESSION,
        query: Mapping[str, str] | None = None,
        url: str = "https://app.example/api/signed-in/dashboard",
    ) -> func.HttpResponse:
        asked = func.HttpRequest(
            method, url, headers=headers, params=query or {}, route_params={"path": path}, body=b"body"
        )
        return self._door.answer(asked, self.jobs)


def code_of(response: func.HttpResponse) -> str:
    code: str = json.loads(response.get_body())["error"]["code"]
    return code


def returns_to(response: func.HttpResponse) -> str:
    """The address that the browser returns to once it has signed in."""
    login = urlsplit(response.headers["Location"])
    assert (response.status_code, login.scheme, login.netloc, login.path) == (302, "", "", "/.auth/login/aad")
    [address] = parse_qs(login.query)["post_login_redirect_uri"]
    return address


def test_an_operator_is_served_under_their_name() -> None:
    world = World()
    assert world.request("POST").get_body() == b"served"
    [asked] = world.behind.asked
    assert (signed_in_name(asked), asked.get_body(), asked.method) == (ADA, b"body", "POST")
    assert world.jobs.values == [["job"]], "what is to be queued is queued"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_reader_may_look(method: str) -> None:
    assert World().request(method, headers=READER).get_body() == b"served"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "dashboard"),
        ("POST", "sync"),
        ("POST", "remediations/1/cancel"),
        ("PUT", "dashboard"),
        ("post", "sync"),
    ],
)
def test_a_reader_may_do_nothing_else(method: str, path: str) -> None:
    world = World()
    refused = world.request(method, path, READER)
    assert (refused.status_code, code_of(refused), world.behind.asked) == (403, "ReaderMayNotAct", [])


def test_who_has_no_role_is_told_who_gives_one() -> None:
    world = World()
    refused = world.request(headers=signed_in_headers(roles=[]))
    assert (refused.status_code, code_of(refused), world.behind.asked) == (403, "NoRole", [])
    assert b"infra/sign-in.sh assign" in refused.get_body()


def test_who_has_no_role_is_told_on_a_page_in_a_browser() -> None:
    refused = World().request(headers={**signed_in_headers(roles=[]), "Accept": HTML})
    assert (refused.status_code, refused.mimetype) == (403, "text/html")


@pytest.mark.parametrize("headers", [SESSION, READER, TOKEN, {}])
@pytest.mark.parametrize("path", ["dashboard", "sync", "", "nothing"])
def test_where_app_service_does_not_sign_in_nobody_is_believed(headers: Mapping[str, str], path: str) -> None:
    world = World(OFF)
    refused = world.request("GET", path, headers)
    assert (refused.status_code, code_of(refused), world.behind.asked) == (503, "SignInNotConfigured", [])
    assert b"AUTOHEAL_SIGN_IN_CLIENT_ID" in refused.get_body()


@pytest.mark.parametrize("header", ["junk", f"{principal_header()}, {principal_header()}", "A" * 1024 * 1024])
def test_a_principal_that_cannot_be_read_is_refused_and_not_sent_round_in_circles(header: str) -> None:
    world = World()
    refused = world.request(headers={"X-MS-CLIENT-PRINCIPAL": header, "Accept": HTML})
    assert (refused.status_code, world.behind.asked) == (403, [])


def test_an_account_of_another_tenant_is_refused() -> None:
    header = principal_header(tenant="11111111-0000-0000-0000-000000000000")
    assert code_of(World().request(headers={"X-MS-CLIENT-PRINCIPAL": header})) == "UnknownPrincipal"


# Nobody has signed in.


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("path", ["dashboard", "sync", "", "nothing", "..%2fsync"])
def test_a_program_that_has_not_signed_in_learns_how(method: str, path: str) -> None:
    world = World()
    refused = world.request(method, path, {})
    assert (refused.status_code, code_of(refused), world.behind.asked) == (401, "NotSignedIn", [])
    assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_a_name_alone_signs_nobody_in() -> None:
    forged = {"X-MS-CLIENT-PRINCIPAL-NAME": ADA, "X-MS-CLIENT-PRINCIPAL-ID": "1", "X-MS-CLIENT-PRINCIPAL-IDP": "aad"}
    assert World().request(headers=forged).status_code == 401


def test_a_browser_is_sent_to_sign_in_and_comes_back_to_what_it_asked_for() -> None:
    query = {"id": "a b&c", "code": "key", "clientId": "default"}
    back = returns_to(World().request(headers={"Accept": HTML}, query=query))
    assert back == "/api/signed-in/dashboard?id=a+b%26c"


@pytest.mark.parametrize(
    ("path", "back"),
    [
        ("", "/api/signed-in/dashboard"),
        ("report", "/api/signed-in/report"),
        ("REPORT/", "/api/signed-in/report"),
        ("remediations/1", "/api/signed-in/remediations/1"),
        ("sync", "/api/signed-in/dashboard"),
        ("/evil.example", "/api/signed-in/dashboard"),
        ("//evil.example", "/api/signed-in/dashboard"),
        ("\\evil.example", "/api/signed-in/dashboard"),
        ("https://evil.example", "/api/signed-in/dashboard"),
        ("../../.auth/logout", "/api/signed-in/dashboard"),
        ("remediations/\\evil", "/api/signed-in/remediations/%5Cevil"),
        ("remediations/a\r\nSet-Cookie: x", "/api/signed-in/remediations/a%0D%0ASet-Cookie%3A%20x"),
        ("remediations/" + "x" * 5000, "/api/signed-in/dashboard"),
    ],
)
def test_a_browser_comes_back_to_a_page_of_the_app_only(path: str, back: str) -> None:
    assert returns_to(World().request(path=path, headers={"Accept": HTML})) == back


@given(st.text(max_size=40), st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3))
def test_no_path_and_no_query_lead_to_another_site(path: str, query: dict[str, str]) -> None:
    location = World().request(path=path, headers={"Accept": HTML}, query=query).headers["Location"]
    assert location.isascii()
    assert not set("\r\n\\ ") & set(location)
    [back] = parse_qs(urlsplit(location).query)["post_login_redirect_uri"]
    assert back.startswith("/api/signed-in/")
    assert "\\" not in back


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_form_that_is_sent_after_the_session_has_ended_is_answered_with_a_page_that_leads_to_sign_in(
    method: str,
) -> None:
    headers = {"Accept": HTML, "Sec-Fetch-Site": "same-origin", "Origin": "https://app.example"}
    answered = World().request(method, headers=headers)
    assert (answered.status_code, answered.mimetype) == (401, "text/html")
    assert b"/.auth/login/aad?post_login_redirect_uri=%2Fapi%2Fsigned-in%2Fdashboard" in answered.get_body()


def link_to_sign_in(referer: str | None, method: str = "POST") -> str:
    """Where the page leads back to that answers a form whose session has ended."""
    headers = {"Accept": HTML, "Sec-Fetch-Site": "same-origin"} | ({} if referer is None else {"Referer": referer})
    page = World().request(method, headers=headers).get_body().decode()
    [address] = parse_qs(urlsplit(page.rsplit(" ", 1)[1]).query)["post_login_redirect_uri"]
    return address


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        ("https://app.example/api/signed-in/dashboard?id=a+b%26c&code=key", "/api/signed-in/dashboard?id=a+b%26c"),
        ("https://APP.example/api/signed-in/report?month=2026-01", "/api/signed-in/report?month=2026-01"),
        ("http://app.example/api/signed-in/remediations/a%20b", "/api/signed-in/remediations/a%20b"),
        (None, "/api/signed-in/dashboard"),
        ("", "/api/signed-in/dashboard"),
        ("http://[", "/api/signed-in/dashboard"),
        ("/api/signed-in/dashboard?id=1", "/api/signed-in/dashboard"),
        ("https://evil.example/api/signed-in/dashboard?id=1", "/api/signed-in/dashboard"),
        ("https://app.example:8443/api/signed-in/dashboard?id=1", "/api/signed-in/dashboard"),
        ("https://app.example/api/dashboard?id=1", "/api/signed-in/dashboard"),
        ("https://app.example/.auth/logout?id=1", "/api/signed-in/dashboard"),
        ("https://app.example/api/signed-in//evil.example", "/api/signed-in/dashboard"),
        ("https://app.example/api/signed-in/dashboard?id=" + "x" * 5000, "/api/signed-in/dashboard"),
    ],
)
def test_a_form_whose_session_has_ended_leads_back_to_the_page_that_it_was_on(referer: str | None, back: str) -> None:
    assert link_to_sign_in(referer) == back


def test_what_is_read_leads_back_to_itself_and_not_to_where_it_was_asked_from() -> None:
    assert link_to_sign_in("https://app.example/api/signed-in/dashboard?id=1", "GET") == "/api/signed-in/dashboard"


@given(st.text(max_size=40), st.text(max_size=20))
def test_no_page_that_a_form_was_on_leads_to_another_site(path: str, query: str) -> None:
    for referer in (path, f"https://app.example/api/signed-in/{path}?{query}"):
        back = link_to_sign_in(referer)
        assert back.startswith("/api/signed-in/")
        assert not set("\r\n\\ ") & set(back)


# Other sites.


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "https://app.example.evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "https://app.example:8443"},
        {"Cookie": "AppServiceAuthSession=secret"},
        {"Cookie": "AppServiceAuthSession=secret", "Referer": "https://app.example/api/signed-in/dashboard"},
    ],
)
def test_what_another_site_may_have_sent_is_refused(headers: Mapping[str, str]) -> None:
    world = World()
    refused = world.request("POST", headers={"X-MS-CLIENT-PRINCIPAL": principal_header(), **headers})
    assert (refused.status_code, code_of(refused), world.behind.asked) == (403, "CrossSiteRequest", [])


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Cookie": "x=y", "Origin": "https://app.example"},
        {"Origin": "https://APP.example", "Cookie": "x=y"},
        {"Origin": "http://app.example", "Cookie": "x=y"},
        {"Authorization": "Bearer token"},
    ],
)
def test_what_the_own_page_or_a_program_sends_is_served(headers: Mapping[str, str]) -> None:
    principal = {"X-MS-CLIENT-PRINCIPAL": principal_header()}
    assert World().request("POST", headers={**principal, **headers}).status_code == 200


def test_a_request_without_an_address_of_its_own_is_of_no_site() -> None:
    headers = {"X-MS-CLIENT-PRINCIPAL": principal_header(), "Origin": "null"}
    assert World().request("POST", headers=headers, url="/api/signed-in/dashboard").status_code == 403


# Paths and methods.


def test_the_door_itself_leads_to_the_page() -> None:
    response = World().request(path="")
    assert (response.status_code, response.headers["Location"]) == (302, "/api/signed-in/dashboard")


@pytest.mark.parametrize("path", ["nothing", "..%2fsync", "%2e%2e/sync", "../sync", "alerts", "dashboard/x", "a\x00"])
def test_another_path_is_not_found(path: str) -> None:
    world = World()
    refused = world.request(path=path)
    assert (refused.status_code, code_of(refused), world.behind.asked) == (404, "NotFound", [])


@pytest.mark.parametrize("path", ["dashboard", "/dashboard", "dashboard/", "DashBoard"])
def test_a_path_is_found_as_the_routes_with_keys_are(path: str) -> None:
    assert World().request(path=path).status_code == 200


def test_an_id_in_the_path_is_handed_on_as_it_came() -> None:
    world = World()
    world.request(path="remediations/AbC")
    assert dict(world.behind.asked[0].route_params) == {"id": "AbC"}


def test_another_method_is_told_which_there_are() -> None:
    refused = World().request("DELETE")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS, POST")


def test_the_methods_of_a_path_can_be_asked_for() -> None:
    response = World().request("OPTIONS", headers=READER)
    assert (response.status_code, response.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")


# What gets on.


def test_neither_key_nor_cookie_nor_token_gets_on() -> None:
    world = World()
    credentials = {"X-MS-TOKEN-AAD-ID-TOKEN": "secret", "x-functions-key": "secret", "X-ZUMO-AUTH": "secret"}
    world.request(headers={**TOKEN, **SESSION, **credentials, "Accept": "*/*"}, query={"code": "secret", "id": "1"})
    [asked] = world.behind.asked
    assert dict(asked.params) == {"id": "1"}
    assert {name.lower() for name in asked.headers} == {"sec-fetch-site", "accept"}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"headers": signed_in_headers(roles=[])},
        {"method": "POST", "headers": READER},
        {"method": "POST", "headers": {**SESSION, "Sec-Fetch-Site": "cross-site"}},
        {"headers": {"X-MS-CLIENT-PRINCIPAL": principal_header(provider="github")}},
        {"path": "nothing"},
    ],
)
def test_neither_name_nor_token_nor_cookie_gets_into_the_log(
    change: Mapping[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    headers = {"Authorization": "Bearer secret-token", **change.get("headers", SESSION)}
    World().request(**{**change, "headers": headers})
    assert not [word for word in (ADA, "secret", principal_header()) if word in caplog.text]


@pytest.mark.parametrize(("platform", "code"), [(ON, "NotSignedIn"), (OFF, "SignInNotConfigured")], ids=["on", "off"])
def test_who_has_not_signed_in_writes_nothing_into_the_log(
    platform: Platform, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    refused = World(platform).request(headers={"x-ms-client-request-id": "x" * 100})
    assert (code_of(refused), caplog.records) == (code, [])


def test_why_somebody_is_refused_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    World().request(headers=signed_in_headers(roles=[]))
    [record] = caplog.records
    assert json.loads(record.getMessage())["code"] == "NoRole"
