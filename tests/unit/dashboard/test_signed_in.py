"""The page of those who have signed in: their name, a way out, no key, and only what their role allows."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from shared.api.errors import ApiError
from shared.api.signed_in_request import Principal, Role
from shared.dashboard.refusal import refusal_page
from shared.domain.mode import Mode
from tests.support.api_parts import ADA
from tests.support.dashboard_parts import MARKUP, Page, ParsedPage, summary
from tests.support.remediations import LATER, rejected, running

OPERATOR, READER = Principal(ADA, Role.OPERATOR), Principal(ADA, Role.READER)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pages(principal: Principal | None) -> list[ParsedPage]:
    """Overview with list and a pause, groups, what has ended and needs attention, and what goes on."""
    page = Page([summary()], now=LATER)
    ended, goes_on = page.keep(rejected()), Page(now=LATER)
    page.post({"do": "pause", "scope": "*/vault-1/*", "days": "1"})
    active = goes_on.keep(running())
    page.principal = goes_on.principal = principal
    return [page.open(), page.open(group="Code"), page.open(id=ended.id), goes_on.open(id=active.id)]


def test_the_page_says_who_has_signed_in_and_how_to_sign_out() -> None:
    for page in pages(OPERATOR):
        assert f"{ADA} (Operator)" in page.text
        assert "/.auth/logout" in page.external


def test_a_page_that_a_key_opened_has_nothing_to_sign_out_of() -> None:
    assert all("/.auth/logout" not in page.html for page in pages(None))


def test_no_link_and_no_form_carries_a_key_or_leads_out_of_the_door() -> None:
    for page in pages(OPERATOR):
        assert [query for query in page.own_queries if "code" in query] == []
        assert 'name="code"' not in page.html
        assert {each for each in page.external if not urlsplit(each).scheme} == {"/.auth/logout"}


def test_an_operator_has_the_forms_that_a_key_gives() -> None:
    assert [page.tags.count("form") for page in pages(OPERATOR)] == [page.tags.count("form") for page in pages(None)]


def test_a_reader_has_no_form_that_acts_and_is_told_why() -> None:
    overview, groups, ended, active = pages(READER)
    assert all('method="post"' not in page.html for page in (overview, groups, ended, active))
    assert '<input type="checkbox"' not in overview.html
    assert all("Your role, Reader, may only look" in page.text for page in (overview, ended, active))


def test_a_form_of_every_page_names_its_site_to_app_service_and_to_no_other() -> None:
    assert {page.headers["Referrer-Policy"] for page in (*pages(OPERATOR), *pages(None))} == {"same-origin"}


def test_a_name_stays_text() -> None:
    [plain, hostile] = [pages(Principal(name, Role.OPERATOR))[0] for name in ("plain", MARKUP)]
    assert sorted(hostile.tags) == sorted(plain.tags)


# Refusals


def refused(status: int, sign_in: str = "", principal: Principal | None = None) -> ParsedPage:
    error = ApiError(status, "Code", f"why not {MARKUP}")
    return ParsedPage(refusal_page(error, principal, sign_in, Mode.HEAL, NOW))


def test_who_is_signed_out_finds_the_way_in() -> None:
    page = refused(401, "/.auth/login/aad?post_login_redirect_uri=%2Fapi%2Fsigned-in%2Fdashboard")
    assert "/.auth/login/aad?post_login_redirect_uri=%2Fapi%2Fsigned-in%2Fdashboard" in page.external
    assert (page.status, "You are signed out" in page.text) == (401, True)


@pytest.mark.parametrize("status", [403, 503])
def test_who_may_not_come_in_is_told_why_and_can_sign_out(status: int) -> None:
    page = refused(status, principal=Principal(ADA, None))
    assert (page.status, "why not" in page.text, ADA in page.text) == (status, True, True)
    assert "/.auth/logout" in page.external
    assert page.tags.count("script") == 1


def test_a_refusal_has_the_headers_of_every_page() -> None:
    page = refused(403)
    assert page.headers["Cache-Control"] == "no-store"
    assert "form-action 'self'" in page.headers["Content-Security-Policy"]
