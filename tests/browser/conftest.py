"""Real Chromium, and the page in it: that of the running stack, or one with data of the test's own."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Route, sync_playwright
from playwright.sync_api import Page as Tab

from dev.setup.chromium import NAMES, find_chromium
from dev.setup.node import STATE
from dev.stack.stack import Stack
from tests.support.dashboard_parts import Page

SCREENSHOTS = STATE / "screenshots"
"""Ignored by git; each test leaves what it saw last."""
_OPTIONS = [
    "--no-sandbox",  # as root, in a container, there is none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1200, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1200, "height": 900}},
    "desktop": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
    "desktop, dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}},
    "tablet": {"color_scheme": "light", "viewport": {"width": 768, "height": 1024}},
    "phone, dark": {"color_scheme": "dark", "viewport": {"width": 360, "height": 740}, "has_touch": True},
    "phone": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}, "has_touch": True},
}
OWN = "https://app.test"


@dataclass
class Seen:
    """A tab, and what went wrong in it."""

    tab: Tab
    problems: list[str] = field(default_factory=list)
    """Errors and warnings on the console, exceptions, dialogs, requests that failed."""

    def show(self, page: Page, **query: str) -> None:
        """Open this page, served by the page's own code with all its headers; links and forms work."""

        def serve(route: Route) -> None:
            asked = route.request
            sent = dict(parse_qsl(urlsplit(asked.url).query))
            response = page.answer(asked.method, sent, asked.post_data_buffer or b"", asked.headers)
            route.fulfill(
                status=response.status_code,
                headers={**response.headers, "Content-Type": f"{response.mimetype}; charset=utf-8"},
                body=response.get_body(),
            )

        self.tab.route(f"{OWN}/**", serve)
        self.tab.goto(f"{OWN}/api/dashboard?{urlencode({'code': 'key', **query})}")


OpenTab = Callable[..., Seen]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One Chromium for all browser tests. It ends with them: Playwright's event loop would be in the way of others."""
    executable = find_chromium()
    if executable is None:
        # All other tests are worth running without a browser.
        pytest.skip(f"no Chromium on PATH ({', '.join(NAMES)}): the browser tests need one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def open_tab(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[OpenTab]:
    """Opens a tab on this screen; further options are those of Playwright's contexts."""
    contexts: list[BrowserContext] = []
    tabs: list[Tab] = []

    def open_one(screen: str = "light", **options: Any) -> Seen:
        context = chromium.new_context(**{**SCREENS[screen], **options})
        contexts.append(context)
        context.set_default_timeout(10_000)
        seen = Seen(context.new_page())
        tabs.append(seen.tab)
        seen.tab.on("console", lambda message: _note(seen, message.type, message.text))
        seen.tab.on("pageerror", lambda error: seen.problems.append(str(error)))
        seen.tab.on("requestfailed", lambda failed: seen.problems.append(f"{failed.url}: {failed.failure}"))
        # Left to itself, Playwright closes a dialog unseen.
        seen.tab.on("dialog", lambda dialog: _close(seen, dialog))
        return seen

    yield open_one
    for tab in tabs:
        tab.screenshot(path=_screenshot(request.node.name), full_page=True)
    for context in contexts:
        context.close()


@pytest.fixture
def dashboard(stack: Stack) -> str:
    """The function's URL as the portal gives it."""
    return f"{stack.host.url}/api/dashboard?code={stack.host.keys['function']}"


def _note(seen: Seen, kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        seen.problems.append(text)


def _close(seen: Seen, dialog: Dialog) -> None:
    seen.problems.append(f"dialog: {dialog.message}")
    dialog.dismiss()


def _screenshot(test: str) -> Path:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS / f"{re.sub(r'[^a-z0-9]+', '-', test.lower()).strip('-')}.png"
