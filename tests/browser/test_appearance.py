"""Appearance and accessibility in real Chromium: light, dark, on a phone, with nothing and with much on the page."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab, Seen
from tests.browser.views import VIEWS, empty, large, small

pytestmark = pytest.mark.once

_OPEN_ALL = "for (const each of document.querySelectorAll('details')) each.open = true"


def show(open_tab: OpenTab, view: str, screen: str) -> Seen:
    """Open a view, with all details expanded."""
    make, query = VIEWS[view]
    seen = open_tab(screen)
    seen.show(make(), **query)
    seen.tab.evaluate(_OPEN_ALL)
    return seen


def serious_violations(seen: Seen) -> list[tuple[str, list[str]]]:
    """The rules that axe-core calls serious or critical, each with the elements that break it."""
    violations = Axe().run(seen.tab).response["violations"]
    serious = [found for found in violations if found["impact"] in ("serious", "critical")]
    return [(found["id"], [node["html"] for node in found["nodes"]]) for found in serious]


@pytest.mark.parametrize(
    ("view", "screen"),
    [
        *[(view, screen) for view in ("empty", "small", "failed", "running") for screen in ("light", "dark", "phone")],
        *[(view, screen) for view in ("groups", "refined") for screen in ("light", "dark", "phone, dark")],
        ("no match", "light"),
        ("not found", "light"),
        ("only to look at", "phone"),
        ("one only to look at", "dark"),
        ("report", "light"),
    ],
)
def test_axe_finds_nothing_serious(open_tab: OpenTab, view: str, screen: str) -> None:
    assert serious_violations(show(open_tab, view, screen)) == []


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_a_phone(open_tab: OpenTab, view: str) -> None:
    seen = show(open_tab, view, "phone")
    assert seen.tab.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("view", ["large", "failed", "running"])
def test_the_console_stays_silent(open_tab: OpenTab, view: str) -> None:
    assert show(open_tab, view, "light").problems == []


def test_a_page_without_remediations_says_so(open_tab: OpenTab) -> None:
    seen = open_tab()
    seen.show(empty())
    expect(seen.tab.get_by_text("No remediations.")).to_be_visible()


def test_the_content_security_policy_allows_the_pages_own_style(open_tab: OpenTab) -> None:
    seen = open_tab()
    seen.show(small())
    assert seen.tab.evaluate("getComputedStyle(document.querySelector('.pill')).borderTopLeftRadius") == "99px"


def test_dark_is_dark_and_light_is_light(open_tab: OpenTab) -> None:
    grounds = []
    for screen in ("light", "dark"):
        seen = open_tab(screen)
        seen.show(small())
        grounds.append(seen.tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(244, 246, 248)", "rgb(14, 18, 23)"]


def test_a_chart_has_its_numbers_in_a_table(open_tab: OpenTab) -> None:
    seen = open_tab()
    seen.show(large(500))
    seen.tab.get_by_text("As a table").first.click()
    table = seen.tab.get_by_role("region", name="Outcomes per day, table").get_by_role("table")
    expect(table.get_by_role("row")).to_have_count(15)


def test_the_keyboard_alone_reaches_the_content_first(open_tab: OpenTab) -> None:
    seen = open_tab()
    seen.show(small())
    seen.tab.keyboard.press("Tab")
    expect(seen.tab.get_by_role("link", name="Skip to content")).to_be_focused()


def test_the_keyboard_alone_opens_the_sync_form(open_tab: OpenTab) -> None:
    seen = open_tab()
    seen.show(empty())
    seen.tab.locator("summary", has_text="Sync now").focus()
    seen.tab.keyboard.press("Enter")
    seen.tab.keyboard.press("Tab")
    expect(seen.tab.get_by_label("Backup instance")).to_be_focused()
