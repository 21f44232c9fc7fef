"""The page's flows on the running stack: from the portal's function URL on, by clicks."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenTab, Seen
from tests.support.simulator import ENDLESS, VAULT, Simulator

pytestmark = pytest.mark.once

MARKUP = "<script>alert(1)<script>\"'<img src=x onerror=alert(1)>"
QUICK = {"operationSeconds": 0, "retryAfter": 1}

Sync = Callable[..., str]


@pytest.fixture
def seen(open_tab: OpenTab) -> Seen:
    """An open tab."""
    return open_tab()


@pytest.fixture
def sync(dashboard: str, simulator: Simulator) -> Sync:
    """Registers a new backup instance, opens the page and submits its sync form; returns the instance's name."""

    def sync_new(tab: Tab, behaviour: Any = ENDLESS, prefix: str = "bi-", reason: str = "because of a test") -> str:
        name = f"{prefix}{uuid.uuid4()}"
        simulator.put(f"{VAULT}/backupInstances/{name}", behaviour=behaviour)
        tab.goto(dashboard)
        tab.locator("summary", has_text="Sync now").click()
        tab.get_by_label("Backup instance").fill(f"{VAULT}/backupInstances/{name}")
        tab.get_by_label("Sync type").select_option("ForceResync")
        tab.get_by_role("region", name="Sync now").get_by_label("Reason").fill(reason)
        tab.get_by_role("button", name="Sync now").click()
        expect(tab.get_by_role("heading", level=1)).to_have_text(name)
        return name

    return sync_new


def refresh_until(tab: Tab, text: str) -> None:
    """Click Refresh until the page shows this text; the app works meanwhile."""
    for _ in range(60):
        if tab.get_by_role("main").get_by_text(text).count():
            return
        tab.get_by_role("link", name="Refresh", exact=True).click()
        tab.wait_for_timeout(250)
    pytest.fail(f"the page never shows {text!r}: {tab.get_by_role('main').inner_text()}")


def test_the_form_heals_an_instance_and_needs_no_scripts(open_tab: OpenTab, sync: Sync) -> None:
    seen = open_tab(java_script_enabled=False)
    sync(seen.tab, QUICK)
    refresh_until(seen.tab, "The instance was in error, and is protected again.")
    expect(seen.tab.get_by_text("ForceResync", exact=True)).to_be_visible()
    assert seen.problems == []


def test_a_new_remediation_is_in_the_list_and_leads_to_its_page(seen: Seen, sync: Sync) -> None:
    name = sync(seen.tab)
    seen.tab.get_by_role("link", name="All remediations").click()
    seen.tab.get_by_role("link", name=name).click()
    expect(seen.tab.get_by_text("because of a test").first).to_be_visible()


def test_cancelling_ends_a_remediation(seen: Seen, sync: Sync) -> None:
    sync(seen.tab)
    seen.tab.get_by_label("Reason").fill("planned work")
    seen.tab.get_by_role("button", name="Cancel this remediation").click()
    expect(seen.tab.get_by_role("status")).to_contain_text("Cancelled.")
    expect(seen.tab.get_by_text("planned work")).to_be_visible()
    assert seen.problems == []


def test_the_filter_finds_by_name_and_status(seen: Seen, sync: Sync, dashboard: str) -> None:
    names = [sync(seen.tab), sync(seen.tab)]
    seen.tab.goto(dashboard)
    seen.tab.get_by_label("Name or code").fill(names[0])
    seen.tab.get_by_label("Status").select_option("Active")
    seen.tab.get_by_role("button", name="Filter").click()
    rows = seen.tab.locator("table.remediations tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(names[0])


def test_the_list_can_be_downloaded_with_its_filter(seen: Seen, sync: Sync, dashboard: str) -> None:
    name = sync(seen.tab)
    sync(seen.tab)
    seen.tab.goto(f"{dashboard}&text={name}")
    with seen.tab.expect_download() as started:
        seen.tab.get_by_role("link", name="Download as CSV").click()
    _, *lines = Path(started.value.path()).read_text(encoding="utf-8").splitlines()
    assert (started.value.suggested_filename, len(lines)) == ("remediations.csv", 1)
    assert name in lines[0]


def test_several_are_synced_and_acknowledged_without_scripts(open_tab: OpenTab, sync: Sync, dashboard: str) -> None:
    seen = open_tab(java_script_enabled=False)
    prefix = f"bi-{uuid.uuid4()}-"
    failing = {
        **QUICK,
        "finalStatus": "Failed",
        "finalError": {"code": "UserErrorManagedDiskNotFound", "message": "no"},
    }
    for _ in range(2):
        sync(seen.tab, failing, prefix)
    seen.tab.goto(f"{dashboard}&text={prefix}&status=NeedsAPerson")
    for _ in range(120):
        if seen.tab.get_by_text("of 2 that match").count():
            break
        seen.tab.wait_for_timeout(250)
        seen.tab.get_by_role("link", name="Refresh", exact=True).click()
    seen.tab.get_by_label("All 2 that match").check()
    seen.tab.get_by_role("button", name="Acknowledge").click()
    expect(seen.tab.get_by_role("heading", name="2 of 2 done")).to_be_visible()
    seen.tab.goto(f"{dashboard}&text={prefix}")
    seen.tab.get_by_label("All 2 that match").check()
    seen.tab.get_by_role("button", name="Sync", exact=True).click()
    expect(seen.tab.get_by_text("The sync is queued.")).to_have_count(2)
    assert seen.problems == []


def test_an_instance_that_needs_attention_is_acknowledged(seen: Seen, sync: Sync) -> None:
    error = {"code": "UserErrorManagedDiskNotFound", "message": "no"}
    sync(seen.tab, {**QUICK, "finalStatus": "Failed", "finalError": error})
    refresh_until(seen.tab, "This instance needs attention")
    form = seen.tab.get_by_role("region", name="Acknowledge")
    form.get_by_label("Reason").fill("the owner is told")
    form.get_by_label("For").select_option("7")
    form.get_by_role("button", name="Acknowledge").click()
    expect(seen.tab.get_by_role("status")).to_contain_text("Acknowledged.")
    expect(seen.tab.get_by_text("the owner is told")).to_be_visible()
    assert seen.problems == []


def test_a_scope_is_paused_and_resumed(seen: Seen, sync: Sync, dashboard: str) -> None:
    scope = f"*/backupInstances/{uuid.uuid4()}-*"
    seen.tab.goto(dashboard)
    seen.tab.locator("summary", has_text="Pause").click()
    form = seen.tab.get_by_role("region", name="Pause")
    form.get_by_label("Instances").fill(scope)
    form.get_by_label("Reason").fill("maintenance")
    form.get_by_role("button", name="Pause").click()
    notice = seen.tab.locator(".notice", has_text=scope)
    expect(notice).to_contain_text("maintenance")
    notice.get_by_role("button", name="Resume").click()
    expect(notice).to_have_count(0)
    assert seen.problems == []


def test_a_sync_after_a_cancel_begins_at_once(seen: Seen, sync: Sync) -> None:
    sync(seen.tab)
    seen.tab.get_by_role("button", name="Cancel this remediation").click()
    seen.tab.get_by_role("button", name="Sync now").click()
    expect(seen.tab.get_by_role("status")).to_contain_text("The sync is queued")


def test_markup_in_a_name_and_in_an_error_stays_text(seen: Seen, sync: Sync) -> None:
    error = {"code": "UserError<b>Bold</b>", "message": f"no {MARKUP}", "recommendedAction": [f"do {MARKUP}"]}
    behaviour = {**QUICK, "finalStatus": "Failed", "finalError": error}
    name = sync(seen.tab, behaviour, prefix="it's (1); onerror=alert(1) ", reason=MARKUP)
    refresh_until(seen.tab, f"do {MARKUP}")
    seen.tab.get_by_role("link", name="All remediations").click()
    expect(seen.tab.get_by_role("link", name=name)).to_be_visible()
    assert seen.tab.locator("script, img, b").count() == 1  # the page's own
    assert seen.problems == []


def test_the_portal_learns_nothing_of_the_key(seen: Seen, sync: Sync, dashboard: str) -> None:
    requests: list[str] = []

    def portal(route: Route) -> None:
        requests.append(f"{route.request.url} {route.request.all_headers()}")
        route.fulfill(body="the portal")

    seen.tab.route("https://portal.azure.com/**", portal)
    sync(seen.tab)
    seen.tab.get_by_role("link", name="Instance", exact=True).click()
    expect(seen.tab.get_by_text("the portal")).to_be_visible()
    [key] = parse_qs(urlsplit(dashboard).query)["code"]
    assert requests
    assert all(key not in each and "referer" not in each.lower() for each in requests)
