"""The status strip and the empty page: what is said of each state of the app, and that foreign text stays text."""

from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.dashboard.status_strip import Strip, strip_of
from shared.domain.arm_results import TransientFailure, new_error
from shared.domain.coverage import Coverage
from shared.domain.mode import Mode
from shared.settings import Settings
from shared.storage.queues import SyncJob
from shared.storage.run_store import LastSweep
from tests.support.dashboard_parts import MARKUP, REMEDIATION_ID, Page, summary
from tests.support.memory_queue import MemoryQueue
from tests.support.remediations import NOW

REFUSED = "20000000-0000-4000-8000-000000000000"
SEEN = Coverage(3, 3, instances=1_234)


def strip(page: Page, now: Any = NOW, sweep_schedule: str | None = "0 7 * * * *") -> Strip:
    return strip_of(page.status.document(), now, sweep_schedule)


def texts(found: Strip) -> dict[str, str]:
    return {item.name: item.text for item in found.items}


def bad(found: Strip) -> set[str]:
    return {item.name for item in found.items if item.is_bad}


def swept(sweep: LastSweep) -> Page:
    page = Page()
    page.runs.put_poll_run(0, 0)
    page.runs.put_sweep(sweep)
    return page


def test_all_is_well() -> None:
    found = strip(swept(LastSweep(NOW - timedelta(minutes=12), coverage=SEEN)))
    assert texts(found) == {
        "App": "heals",
        "Last poll": "just now",
        "Last sweep": "12 minutes ago",
        "Watched": "1,234 instances, 3 subscriptions",
        "Queue": "empty",
        "Reachable": "Azure and storage",
    }
    assert (bad(found), found.problems) == (set(), ())


def test_before_the_first_runs_nothing_is_wrong() -> None:
    found = strip(Page())
    assert (texts(found)["Last poll"], texts(found)["Last sweep"]) == ("not yet", "not yet")
    assert (texts(found)["Watched"], bad(found)) == ("not known", set())


@pytest.mark.parametrize(("mode", "said"), [(Mode.OBSERVE, "observes"), (Mode.PAUSED, "paused")])
def test_the_mode_is_said(mode: Mode, said: str) -> None:
    assert texts(strip(Page(settings=Settings(mode=mode))))["App"] == said


def test_a_subscription_that_cannot_be_read_is_named() -> None:
    found = strip(swept(LastSweep(NOW, coverage=Coverage(3, 2, (REFUSED,), 1, 40))))
    assert (texts(found)["Watched"], bad(found)) == ("40 instances, 2 of 3 subscriptions", {"Watched"})
    assert found.problems[-1] == ("Subscriptions that the app's identity cannot read:", REFUSED)


def test_an_identity_without_a_role_is_bad() -> None:
    found = strip(swept(LastSweep(NOW, coverage=Coverage(0, 0, instances=0))))
    assert (texts(found)["Watched"], bad(found)) == ("0 instances, 0 subscriptions", {"Watched"})


def test_a_failed_sweep_says_why() -> None:
    found = strip(swept(LastSweep(NOW - timedelta(hours=2), failed_at=NOW, failure="AuthorizationFailed: no")))
    assert (texts(found)["Last sweep"], bad(found)) == ("2 hours ago, then failed", {"Last sweep"})
    assert ("Sweep:", "the last sweep failed: AuthorizationFailed: no.") in found.problems


def test_a_timer_that_does_not_run_is_bad() -> None:
    page = swept(LastSweep(NOW, coverage=SEEN))
    assert "Last poll" in bad(strip(page, NOW + timedelta(minutes=11)))


def test_jobs_that_the_queue_gave_up_are_counted() -> None:
    found = strip(Page(poison=MemoryQueue(SyncJob(REMEDIATION_ID, 1))))
    assert (texts(found)["Queue"], bad(found)) == ("empty, 1 given up", {"Queue"})


def test_azure_that_does_not_answer_is_bad() -> None:
    found = strip(Page(reached=TransientFailure(new_error("NoResponse", "silence"))))
    assert (texts(found)["Not reachable"], bad(found)) == ("Azure", {"Not reachable"})
    assert found.problems == (("Azure:", "NoResponse: silence."),)


def no_storage() -> None:
    raise ServiceRequestError("no connection")


def test_where_storage_is_away_what_was_known_is_shown_with_its_age() -> None:
    page = swept(LastSweep(NOW, coverage=SEEN))
    strip(page)
    page.storage = no_storage
    page.now = NOW + timedelta(minutes=5)
    found = strip(page, page.now)
    assert (texts(found)["Last poll"], texts(found)["Watched"]) == ("5 minutes ago", "1,234 instances, 3 subscriptions")
    assert found.problems == (
        (
            "Storage, Poll runs, Sweep:",
            "ServiceRequestError: no connection. What is shown was known 5 minutes ago.",
        ),
    )


def test_where_storage_was_never_read_nothing_is_called_not_yet() -> None:
    page = Page(storage=no_storage)
    assert (texts(strip(page))["Last poll"], texts(strip(page))["Last sweep"]) == ("not known", "not known")


def test_the_empty_page_says_what_is_watched_and_when_it_was_looked_at() -> None:
    text = " ".join(swept(LastSweep(NOW - timedelta(minutes=12), coverage=SEEN)).open().text.split())
    assert "Watched: 1,234 instances, 3 subscriptions." in text
    assert "The last sweep for broken instances ended 12 minutes ago and found nothing broken." in text
    assert "What is being healed was last followed just now." in text


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("0 7 * * * *", "No sweep has looked for broken instances yet."),
        (None, "No sweep looks for broken instances by itself (SWEEP_SCHEDULE is off)"),
    ],
)
def test_before_the_first_sweep_the_empty_page_says_so(schedule: str | None, said: str) -> None:
    assert any(sentence.startswith(said) for sentence in strip(Page(), sweep_schedule=schedule).watched)


def test_markup_in_a_reason_stays_text() -> None:
    page = swept(LastSweep(NOW, failed_at=NOW, failure=MARKUP, coverage=Coverage(1, 0, (MARKUP,), 1, 0))).open()
    assert page.tags.count("script") + page.tags.count("img") == 1  # the page's own
    assert page.text.count(MARKUP) == 2


def test_where_storage_is_away_the_page_shows_the_list_as_it_was_known() -> None:
    page = Page([summary(name="known")])
    page.open()
    page.storage = no_storage
    shown = page.open()
    assert (shown.status, "known" in shown.text) == (200, True)
    assert "Storage does not answer." in shown.text


def test_where_storage_was_never_read_the_page_counts_nothing() -> None:
    shown = Page(storage=no_storage).open()
    assert (shown.status, shown.headers["Retry-After"]) == (503, "10")
    assert "Needs attention" not in shown.text
    assert "What is being healed is not known now" in shown.text
