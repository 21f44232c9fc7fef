"""The page that is loaded anew by itself, in real Chromium: with its script on a clock of the test's, and without."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from shared.dashboard import page as dashboard
from tests.browser.conftest import OpenTab, Seen
from tests.browser.views import large, small
from tests.support.dashboard_parts import Page
from tests.support.remediations import NOW

pytestmark = pytest.mark.once

HALF_A_MINUTE = 30_000
"""Milliseconds."""
LATER = "2026-01-02 03:09:05 UTC"


def show(open_tab: OpenTab, page: Page, **query: str) -> Seen:
    """The page, half a minute before it is loaded anew; what it shows then is as of five minutes later."""
    seen = open_tab("desktop")
    seen.tab.clock.install()
    seen.show(page, **query)
    page.now = NOW + timedelta(minutes=5)
    return seen


def let_half_a_minute_pass(seen: Seen) -> None:
    seen.tab.clock.run_for(HALF_A_MINUTE + 1_000)


def as_of(seen: Seen) -> str:
    return seen.tab.locator(".as-of time").inner_text()


def test_the_page_follows_what_happens(open_tab: OpenTab) -> None:
    seen = show(open_tab, small())
    let_half_a_minute_pass(seen)
    expect(seen.tab.locator(".as-of time")).to_have_text(LATER)
    assert seen.problems == []


def test_without_a_script_the_browser_itself_loads_the_page_anew(
    open_tab: OpenTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "OVERVIEW_REFRESH", 1)
    page = small()
    seen = open_tab("desktop", java_script_enabled=False)
    seen.show(page)
    page.now = NOW + timedelta(minutes=5)
    expect(seen.tab.locator(".as-of time")).to_have_text(LATER)


@pytest.mark.parametrize("use", ["select", "type", "open a form", "mark text"])
def test_it_waits_while_somebody_uses_it(open_tab: OpenTab, use: str) -> None:
    seen = show(open_tab, large(60))
    match use:
        case "select":
            seen.tab.locator("table.remediations input").first.check()
        case "type":
            seen.tab.get_by_label("Name or code").fill("orders")
        case "open a form":
            seen.tab.locator("summary", has_text="Sync now").click()
        case "mark text":
            seen.tab.evaluate("getSelection().selectAllChildren(document.querySelector('h2'))")
    let_half_a_minute_pass(seen)
    assert as_of(seen) != LATER
    if use != "mark text":
        expect(seen.tab.get_by_text("Paused while you use the page")).to_be_visible()


def test_it_is_stopped_and_started_by_a_switch(open_tab: OpenTab) -> None:
    page = small()
    seen = show(open_tab, page)
    seen.tab.get_by_role("link", name="Stop refreshing").click()
    page.now = NOW + timedelta(minutes=9)
    stopped_at = as_of(seen)
    let_half_a_minute_pass(seen)
    assert as_of(seen) == stopped_at
    seen.tab.get_by_role("link", name="Refresh every 30 s").click()
    expect(seen.tab.get_by_text("Refreshes every 30 s")).to_be_visible()
