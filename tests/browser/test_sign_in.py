"""Signing in, in real Chromium at a host with the app in it; what App Service adds to requests, the test adds."""

import uuid

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Route, expect

from dev.stack.stack import Stack
from tests.browser.conftest import OpenTab
from tests.support.easy_auth import principal_header
from tests.support.simulator import ENDLESS, VAULT, Simulator

pytestmark = pytest.mark.once

NAME = "ada@example.com"
SIGNED_IN = {"X-MS-CLIENT-PRINCIPAL": principal_header(NAME)}
ELSEWHERE = "https://evil.test/"


def test_a_person_signs_in_acts_under_their_name_and_no_other_site_acts_for_them(
    open_tab: OpenTab, stack: Stack, simulator: Simulator
) -> None:
    page = f"{stack.host.url}/api/signed-in/dashboard"
    name = f"bi-{uuid.uuid4()}"
    simulator.put(f"{VAULT}/backupInstances/{name}", behaviour=ENDLESS)
    seen = open_tab()
    tab = seen.tab
    tab.set_extra_http_headers(SIGNED_IN)
    tab.goto(page)
    expect(tab.get_by_text(f"{NAME} (Operator)")).to_be_visible()
    tab.locator("summary", has_text="Sync now").click()
    tab.get_by_label("Backup instance").fill(f"{VAULT}/backupInstances/{name}")
    tab.get_by_role("region", name="Sync now").get_by_label("Reason").fill("because of a test")
    tab.get_by_role("button", name="Sync now").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text(name)
    expect(tab.get_by_text(f"because of a test, by {NAME}")).to_be_visible()
    assert tab.url.startswith(f"{page}?")
    assert seen.problems == []

    form = f"<form method=post action='{page}'><input name=do value=pause><button>Win a prize</button></form>"
    tab.route(ELSEWHERE, lambda route: _show(route, form))
    tab.goto(ELSEWHERE)
    tab.get_by_role("button").click()
    expect(tab.get_by_text("403 CrossSiteRequest")).to_be_visible()
    assert Axe().run(tab).violations_count == 0


def test_a_page_that_is_used_after_the_session_has_ended_leads_back_to_sign_in(open_tab: OpenTab, stack: Stack) -> None:
    tab = open_tab().tab
    tab.set_extra_http_headers({"X-MS-CLIENT-PRINCIPAL": principal_header(NAME, ["Reader"])})
    tab.goto(f"{stack.host.url}/api/signed-in/dashboard")
    tab.set_extra_http_headers({"X-MS-CLIENT-PRINCIPAL": ""})
    tab.get_by_role("link", name="Refresh", exact=True).click()
    expect(tab.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert "/.auth/login/aad?post_login_redirect_uri=" in str(
        tab.get_by_role("link", name="Sign in").get_attribute("href")
    )


def _show(route: Route, html: str) -> None:
    route.fulfill(status=200, content_type="text/html", body=html)
