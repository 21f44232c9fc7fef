"""The list as a place to work from, in real Chromium: heights, filters, groups, and several at once."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab, Seen
from tests.browser.views import large, small, stored_failures
from tests.support.dashboard_parts import Page

pytestmark = pytest.mark.once

_TALLEST_ROW = "Math.max(...[...document.querySelectorAll('#list tbody tr')].map(row => row.offsetHeight))"
_FIRST_ROW = "document.querySelector('#list tbody tr').getBoundingClientRect().top"


@pytest.mark.parametrize("make", [small, large], ids=["small", "large"])
@pytest.mark.parametrize(
    ("screen", "limit"), [("desktop", 48), ("desktop, dark", 48), ("tablet", 48), ("phone", 96), ("phone, dark", 96)]
)
def test_no_row_is_taller_than_two_lines_or_four_on_a_phone(
    open_tab: OpenTab, make: Callable[[], Page], screen: str, limit: int
) -> None:
    seen = open_tab(screen)
    seen.show(make())
    assert seen.tab.evaluate(_TALLEST_ROW) <= limit


@pytest.mark.parametrize("make", [small, large], ids=["small", "large"])
def test_the_list_begins_above_the_fold(open_tab: OpenTab, make: Callable[[], Page]) -> None:
    seen = open_tab("desktop")
    seen.show(make())
    assert seen.tab.evaluate(_FIRST_ROW) + 48 < 900


@pytest.mark.parametrize("screen", ["tablet", "phone"])
@pytest.mark.parametrize("query", [{}, {"group": "Code"}, {"group": "Vault", "source": "Event"}])
def test_the_list_is_as_wide_as_its_screen(open_tab: OpenTab, screen: str, query: dict[str, str]) -> None:
    seen = open_tab(screen)
    seen.show(large(300), **query)
    assert seen.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_group_leads_to_its_remediations(open_tab: OpenTab) -> None:
    seen = open_tab("desktop")
    seen.show(large(300))
    seen.tab.get_by_label("Groups").select_option("Code")
    seen.tab.get_by_role("button", name="Filter").click()
    seen.tab.get_by_role("link", name="UserErrorDiskNotFound").click()
    codes = seen.tab.locator("table.remediations .code")
    assert set(codes.all_inner_texts()) == {"UserErrorDiskNotFound"}
    expect(seen.tab.get_by_label("Error code")).to_have_value("UserErrorDiskNotFound")


def test_filters_are_joined_and_can_be_taken_away_again(open_tab: OpenTab) -> None:
    seen = open_tab("desktop")
    seen.show(large(300))
    seen.tab.get_by_text("More filters").click()
    seen.tab.get_by_label("Source", exact=True).select_option("Sweep")
    seen.tab.get_by_label("Resource type").select_option("Microsoft.Compute/disks")
    seen.tab.get_by_label("Order", exact=True).select_option("Instance")
    seen.tab.get_by_role("button", name="Filter").click()
    names = seen.tab.locator("table.remediations .name a").all_inner_texts()
    assert names == sorted(names)
    assert all(name.startswith("disk-") for name in names)
    seen.tab.get_by_role("link", name="Show all").click()
    expect(seen.tab.get_by_text("1\N{EN DASH}50 of 300")).to_be_visible()


def test_the_next_page_is_reached_and_left(open_tab: OpenTab) -> None:
    seen = open_tab("desktop")
    seen.show(large(120))
    seen.tab.get_by_role("link", name="Next page").click()
    expect(seen.tab.get_by_text("51\N{EN DASH}100 of 120")).to_be_visible()
    seen.tab.get_by_role("link", name="First page").click()
    expect(seen.tab.get_by_text("1\N{EN DASH}50 of 120")).to_be_visible()


def select(seen: Seen, *names: str) -> None:
    for name in names:
        seen.tab.get_by_label(f"Select {name}").check()


@pytest.mark.parametrize("screen", ["desktop", "phone"])
def test_selected_instances_are_synced_without_a_script_and_each_is_told(open_tab: OpenTab, screen: str) -> None:
    page = stored_failures(4)
    seen = open_tab(screen, java_script_enabled=False)
    seen.show(page)
    select(seen, "pgflex-0", "pgflex-2")
    seen.tab.get_by_role("button", name="Sync", exact=True).click()
    expect(seen.tab.get_by_role("heading", name="2 of 2 done")).to_be_visible()
    expect(seen.tab.get_by_text("The sync is queued.")).to_have_count(2)
    seen.tab.get_by_role("link", name="Back to the list").click()
    expect(seen.tab.get_by_role("heading", name="Remediations")).to_be_visible()
    assert len(page.jobs) == 2
    assert seen.problems == []


def test_all_that_match_are_acknowledged_and_each_is_told(open_tab: OpenTab) -> None:
    seen = open_tab("desktop")
    seen.show(stored_failures(3), status="NeedsAPerson")
    seen.tab.get_by_label("All 3 that match").check()
    seen.tab.get_by_label("Reason").first.fill("the owner is told")
    seen.tab.get_by_role("button", name="Acknowledge").click()
    expect(seen.tab.get_by_role("heading", name="3 of 3 done")).to_be_visible()
    violations = Axe().run(seen.tab).response["violations"]
    assert [found["id"] for found in violations] == []


def test_what_can_be_done_stays_in_sight_once_something_is_selected(open_tab: OpenTab) -> None:
    seen = open_tab("desktop")
    seen.show(large(120))
    button = seen.tab.get_by_role("button", name="Sync", exact=True)
    expect(button).not_to_be_in_viewport()
    seen.tab.locator("table.remediations input").first.check()
    expect(button).to_be_in_viewport()


def test_the_list_has_no_violation_at_all(open_tab: OpenTab) -> None:
    seen = open_tab("desktop")
    seen.show(large(300))
    violations = Axe().run(seen.tab).response["violations"]
    assert [(found["id"], found["nodes"][0]["html"]) for found in violations] == []
