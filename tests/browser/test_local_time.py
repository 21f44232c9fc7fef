"""Local time beside UTC, in real Chromium in another time zone."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab, Seen
from tests.browser.views import VIEWS

pytestmark = pytest.mark.once


def show(open_tab: OpenTab, zone: str, view: str = "failed", screen: str = "desktop") -> Seen:
    make, query = VIEWS[view]
    seen = open_tab(screen, timezone_id=zone, locale="en-GB")
    seen.show(make(), **query)
    return seen


def test_local_time_stands_beside_utc(open_tab: OpenTab) -> None:
    seen = show(open_tab, "Asia/Tokyo")
    expect(seen.tab.locator(".as-of time")).to_have_text("2026-01-02 03:04:05 UTC (12:04 GMT+9)")
    expect(seen.tab.locator(".timeline time").first).to_contain_text("2026-01-02 02:04:05 (11:04 GMT+9)")
    assert seen.problems == []


def test_a_local_time_on_another_day_names_its_day(open_tab: OpenTab) -> None:
    seen = show(open_tab, "America/New_York")
    expect(seen.tab.locator(".as-of time")).to_have_text("2026-01-02 03:04:05 UTC (01/01/2026, 22:04 GMT-5)")


def test_in_the_list_it_is_shown_on_hover(open_tab: OpenTab) -> None:
    seen = show(open_tab, "Asia/Tokyo", "small")
    opened = seen.tab.locator("table.remediations time").first
    expect(opened.locator(".local")).to_have_count(0)
    assert "GMT+9" in (opened.get_attribute("title") or "")


def test_where_local_time_is_utc_it_is_not_said_twice(open_tab: OpenTab) -> None:
    expect(show(open_tab, "UTC").tab.locator(".local")).to_have_count(0)


def test_it_fits_a_phone(open_tab: OpenTab) -> None:
    seen = show(open_tab, "America/New_York", "role missing", "phone")
    assert seen.tab.evaluate("document.documentElement.scrollWidth") <= 360
