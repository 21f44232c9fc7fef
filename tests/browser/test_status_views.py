"""The status strip, the empty page and the page without storage, in real Chromium at each width, light and dark."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from azure.core.exceptions import ServiceRequestError
from playwright.sync_api import expect

from shared.domain.coverage import Coverage
from shared.storage.queues import SyncJob
from shared.storage.run_store import LastSweep
from tests.browser.conftest import OpenTab, Seen
from tests.browser.test_appearance import serious_violations
from tests.browser.views import small
from tests.support.dashboard_parts import MARKUP, REMEDIATION_ID, Page
from tests.support.memory_queue import MemoryQueue
from tests.support.remediations import NOW

pytestmark = pytest.mark.once

WIDTHS = (360, 768, 1440)
SCHEMES = ("light", "dark")


def no_storage() -> None:
    raise ServiceRequestError("Connection refused by the storage account, which is a long reason to show on a phone")


def watching(page: Page) -> Page:
    """The timers ran, and all is well."""
    page.runs.put_poll_run(0, 0)
    page.runs.put_sweep(LastSweep(NOW - timedelta(minutes=12), coverage=Coverage(3, 3, instances=1_234)))
    return page


def quiet() -> Page:
    """Nothing has failed yet."""
    return watching(Page())


def troubled() -> Page:
    """Each part of the strip says something bad."""
    page = small()
    page.poison = MemoryQueue(SyncJob(REMEDIATION_ID, 1))
    refused = tuple(f"{number}0000000-0000-4000-8000-000000000000" for number in range(1, 4))
    coverage = Coverage(12, 9, refused, 3, 1_234)
    page.runs.put_sweep(LastSweep(NOW - timedelta(hours=3), 2, 5, coverage, NOW, f"AuthorizationFailed: {MARKUP}"))
    return page


def stale() -> Page:
    """Storage does not answer, and the list was read before."""
    page = watching(small())
    page.open()
    page.storage = no_storage
    page.now = NOW + timedelta(minutes=2)
    return page


def unread() -> Page:
    """Storage does not answer, and nothing was read before."""
    return Page(storage=no_storage)


PAGES: dict[str, Callable[[], Page]] = {
    "quiet": quiet,
    "troubled": troubled,
    "stale": stale,
    "unread": unread,
}


def show(open_tab: OpenTab, view: str, width: int, scheme: str) -> Seen:
    seen = open_tab(color_scheme=scheme, viewport={"width": width, "height": 900})
    seen.show(PAGES[view]())
    return seen


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("view", PAGES)
def test_each_view_is_accessible_fits_its_screen_and_leaves_the_console_silent(
    open_tab: OpenTab, view: str, width: int, scheme: str
) -> None:
    seen = show(open_tab, view, width, scheme)
    assert serious_violations(seen) == []
    assert seen.tab.evaluate("document.documentElement.scrollWidth") <= width
    # Chromium itself notes the 503 with which the page says that it knows nothing.
    assert [each for each in seen.problems if "503" not in each] == []


def test_the_strip_stands_above_the_fold_and_is_one_line_on_a_wide_screen(open_tab: OpenTab) -> None:
    box = show(open_tab, "quiet", 1440, "light").tab.get_by_role("region", name="How the app is").bounding_box()
    assert box
    assert box["height"] <= 32
    assert box["y"] < 200


def test_the_empty_page_says_what_is_watched(open_tab: OpenTab) -> None:
    seen = show(open_tab, "quiet", 360, "light")
    expect(seen.tab.get_by_text("Watched: 1,234 instances, 3 subscriptions.")).to_be_visible()


def test_markup_in_the_strip_stays_text(open_tab: OpenTab) -> None:
    seen = show(open_tab, "troubled", 1440, "light")
    expect(seen.tab.get_by_text(MARKUP).first).to_be_visible()
    assert seen.tab.locator("script, img").count() == 1  # the page's own
