"""Names of subscriptions beside their ids, as the last sweep has seen them."""

from unittest.mock import Mock

from azure.core.exceptions import ServiceRequestError

from shared.domain.coverage import Coverage
from shared.domain.remediation import Remediation
from shared.storage.run_store import LastSweep
from tests.support import remediations as episodes
from tests.support.dashboard_parts import MARKUP, REMEDIATION_ID, Page, summary
from tests.support.remediations import INSTANCE, LATER, NOW


def swept(name: str, kept: Remediation | None = None) -> Page:
    """A sweep has seen the name of the instance's subscription."""
    page = Page([summary()], now=LATER)
    names = {INSTANCE.subscription_id.lower(): name} if name else {}
    page.runs.put_sweep(LastSweep(NOW, coverage=Coverage(1, 1, instances=1, names=names)))
    page.keep(kept or episodes.queued())
    return page


def test_the_list_shows_the_name_and_without_one_the_id() -> None:
    named, unnamed = swept("Production").open(), swept("").open()
    assert (", Production" in named.text, f", {INSTANCE.subscription_id}" in named.text) == (True, False)
    assert f", {INSTANCE.subscription_id}" in unnamed.text


def test_a_group_of_a_subscription_has_name_and_id() -> None:
    assert f"Production ({INSTANCE.subscription_id})" in swept("Production").open(group="Subscription").text


def test_a_remediation_shows_name_and_id() -> None:
    text = swept("Production").open(id=REMEDIATION_ID).text
    assert ("Production" in text, INSTANCE.subscription_id in text) == (True, True)


def test_the_csv_has_the_name() -> None:
    [_, line] = swept("Production").get(format="csv").get_body().decode().splitlines()
    assert line.endswith(",Production")


def test_the_report_has_name_and_id() -> None:
    text = swept("Production", episodes.healed()).open(report="2026-01").text
    assert f"Production ({INSTANCE.subscription_id})" in text
    assert f", {INSTANCE.subscription_id}" not in text


def test_markup_in_a_name_stays_text() -> None:
    for query in ({}, {"group": "Subscription"}, {"id": REMEDIATION_ID}, {"report": "2026-01"}):
        page = swept(MARKUP, episodes.healed()).open(**query)
        assert (MARKUP in page.text or "<script>alert(1)<script>" in page.text, "img" in page.tags) == (True, False)


def test_where_storage_does_not_tell_the_names_the_page_goes_without() -> None:
    page = swept("Production")
    page.storage = Mock(side_effect=ServiceRequestError("no connection"))
    shown = page.open(id=REMEDIATION_ID)
    assert (shown.status, "Production" in shown.text) == (200, False)
