"""The card that says what to do, and the actions beside it, in real Chromium."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import OWN, OpenTab, Seen
from tests.browser.views import VIEWS

pytestmark = pytest.mark.once


def show(open_tab: OpenTab, screen: str = "desktop", view: str = "role missing", **options: bool) -> Seen:
    make, query = VIEWS[view]
    seen = open_tab(screen, **options)
    seen.show(make(), **query)
    return seen


def test_the_command_is_copied_as_it_is_shown(open_tab: OpenTab) -> None:
    seen = show(open_tab)
    seen.tab.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=OWN)
    seen.tab.get_by_role("button", name="Copy the command").click()
    expect(seen.tab.get_by_role("status")).to_have_text("Copied")
    copied = seen.tab.evaluate("navigator.clipboard.readText()")
    assert copied == seen.tab.locator("#command").text_content()
    assert copied.startswith("az role assignment create")
    assert seen.problems == []


def test_a_command_that_may_not_be_copied_is_selected(open_tab: OpenTab) -> None:
    seen = show(open_tab)
    seen.tab.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('refused')); }")
    seen.tab.get_by_role("button", name="Copy the command").click()
    expect(seen.tab.get_by_role("status")).to_contain_text("Selected")
    assert seen.tab.evaluate("getSelection().toString()").startswith("az role assignment create")


def test_without_a_script_the_command_is_there_and_no_button_that_does_nothing(open_tab: OpenTab) -> None:
    seen = show(open_tab, java_script_enabled=False)
    expect(seen.tab.locator("#command")).to_be_visible()
    expect(seen.tab.get_by_role("button", name="Copy the command")).to_have_count(0)


def test_on_a_phone_the_actions_begin_on_the_first_two_screens(open_tab: OpenTab) -> None:
    box = show(open_tab, "phone").tab.get_by_role("heading", name="Sync again").bounding_box()
    assert box
    assert box["y"] < 1_400


@pytest.mark.parametrize("screen", ["desktop", "desktop, dark", "tablet", "phone", "phone, dark"])
def test_the_view_is_accessible_and_fits_its_screen(open_tab: OpenTab, screen: str) -> None:
    seen = show(open_tab, screen)
    violations = Axe().run(seen.tab).response["violations"]
    assert [(found["id"], found["nodes"][0]["html"]) for found in violations] == []
    assert seen.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
