"""What people do with the page: from the portal's function URL on, by clicks, on the running stack."""

import uuid
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenTab
from tests.support.simulator import ENDLESS, VAULT, Simulator

pytestmark = pytest.mark.once

MARKUP = "<script>alert(1)<script>\"'<img src=x onerror=alert(1)>"
QUICK = {"operationSeconds": 0, "retryAfter": 1}


def new_name() -> str:
    return f"bi-{uuid.uuid4()}"


def sync(tab: Tab, dashboard: str, name: str, reason: str = "because of a test") -> None:
    """Open the page and send its form."""
    tab.goto(dashboard)
    tab.locator("summary", has_text="Sync now").click()
    tab.get_by_label("Backup instance").fill(f"{VAULT}/backupInstances/{name}")
    tab.get_by_label("Sync type").select_option("ForceResync")
    tab.get_by_label("Reason").fill(reason)
    tab.get_by_role("button", name="Sync now").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text(name)


def refresh_until(tab: Tab, text: str) -> None:
    """Click Refresh until this is said; the app works meanwhile."""
    for _ in range(60):
        if tab.get_by_role("main").get_by_text(text).count():
            return
        tab.get_by_role("link", name="Refresh").click()
        tab.wait_for_timeout(250)
    pytest.fail(f"the page never says {text!r}: {tab.get_by_role('main').inner_text()}")


def test_the_form_heals_an_instance_and_needs_no_scripts(
    open_tab: OpenTab, dashboard: str, simulator: Simulator
) -> None:
    name = new_name()
    simulator.put(f"{VAULT}/backupInstances/{name}", behaviour=QUICK)
    seen = open_tab(java_script_enabled=False)
    sync(seen.tab, dashboard, name)
    refresh_until(seen.tab, "The instance is protected again.")
    expect(seen.tab.get_by_text("ForceResync", exact=True)).to_be_visible()
    assert seen.problems == []


def test_a_new_one_stands_in_the_list_and_leads_to_its_story(
    open_tab: OpenTab, dashboard: str, simulator: Simulator
) -> None:
    name = new_name()
    simulator.put(f"{VAULT}/backupInstances/{name}", behaviour=ENDLESS)
    seen = open_tab()
    sync(seen.tab, dashboard, name)
    seen.tab.get_by_role("link", name="All remediations").click()
    seen.tab.get_by_role("link", name=name).click()
    expect(seen.tab.get_by_text("because of a test").first).to_be_visible()


def test_cancelling_ends_a_remediation(open_tab: OpenTab, dashboard: str, simulator: Simulator) -> None:
    name = new_name()
    simulator.put(f"{VAULT}/backupInstances/{name}", behaviour=ENDLESS)
    seen = open_tab()
    sync(seen.tab, dashboard, name)
    seen.tab.get_by_label("Reason").fill("planned work")
    seen.tab.get_by_role("button", name="Cancel this remediation").click()
    expect(seen.tab.get_by_role("status")).to_contain_text("Cancelled.")
    expect(seen.tab.get_by_text("planned work")).to_be_visible()
    assert seen.problems == []


def test_the_filter_finds_by_name_and_status(open_tab: OpenTab, dashboard: str, simulator: Simulator) -> None:
    names = [new_name(), new_name()]
    seen = open_tab()
    for name in names:
        simulator.put(f"{VAULT}/backupInstances/{name}", behaviour=ENDLESS)
        sync(seen.tab, dashboard, name)
    seen.tab.goto(dashboard)
    seen.tab.get_by_label("Instance, vault or subscription").fill(names[0])
    seen.tab.get_by_label("Status").select_option("Active")
    seen.tab.get_by_role("button", name="Filter").click()
    rows = seen.tab.locator("table.list tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(names[0])


def test_an_instance_that_is_not_to_be_synced_now_is_refused_in_plain_words(
    open_tab: OpenTab, dashboard: str, simulator: Simulator
) -> None:
    name = new_name()
    simulator.put(f"{VAULT}/backupInstances/{name}", behaviour=ENDLESS)
    seen = open_tab()
    sync(seen.tab, dashboard, name)
    seen.tab.get_by_role("button", name="Cancel this remediation").click()
    seen.tab.get_by_role("button", name="Sync now").click()
    expect(seen.tab.get_by_role("alert")).to_contain_text("left alone for a while")


def test_markup_in_a_name_and_in_an_error_stays_text(open_tab: OpenTab, dashboard: str, simulator: Simulator) -> None:
    name = f"{MARKUP}{uuid.uuid4()}"
    error = {"code": "UserError<b>Bold</b>", "message": f"no {MARKUP}", "recommendedAction": [f"do {MARKUP}"]}
    behaviour = {**QUICK, "finalStatus": "Failed", "finalError": error}
    simulator.put(f"{VAULT}/backupInstances/{name}", behaviour=behaviour)
    seen = open_tab()
    sync(seen.tab, dashboard, name, reason=MARKUP)
    refresh_until(seen.tab, f"do {MARKUP}")
    seen.tab.get_by_role("link", name="All remediations").click()
    expect(seen.tab.get_by_role("link", name=name)).to_be_visible()
    assert seen.tab.locator("script, img, b").count() == 0
    assert seen.problems == []


def test_the_way_to_the_portal_tells_nothing_of_the_key(
    open_tab: OpenTab, dashboard: str, simulator: Simulator
) -> None:
    name = new_name()
    simulator.put(f"{VAULT}/backupInstances/{name}", behaviour=ENDLESS)
    seen = open_tab()
    told: list[str] = []

    def portal(route: Route) -> None:
        told.append(f"{route.request.url} {route.request.all_headers()}")
        route.fulfill(body="the portal")

    seen.tab.route("https://portal.azure.com/**", portal)
    sync(seen.tab, dashboard, name)
    seen.tab.get_by_role("link", name="Open the instance in the Azure portal").click()
    expect(seen.tab.get_by_text("the portal")).to_be_visible()
    [key] = parse_qs(urlsplit(dashboard).query)["code"]
    assert told
    assert all(key not in each and "referer" not in each.lower() for each in told)
