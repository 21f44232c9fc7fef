"""The card on a remediation's page that says what to do and where to look, and the actions beside it."""

from datetime import timedelta
from unittest.mock import Mock

from azure.core.exceptions import ServiceRequestError
from msgspec.structs import replace

from shared.domain import arm_results, lifecycle, state_machine
from shared.domain.remediation import Remediation
from shared.domain.state_machine import Moment
from tests.support import remediations as episodes
from tests.support.dashboard_parts import REMEDIATION_ID, Page, ParsedPage, detail_page, failed
from tests.support.remediations import INSTANCE, LATER, NOW

ROLE_MISSING = {"code": "UserErrorMissingRequiredPermissions", "message": "no role"}
VAULT = f"https://portal.azure.com/#@/resource{INSTANCE}".rpartition("/backupInstances/")[0]


def with_job(job_id: str) -> Remediation:
    lost = arm_results.OperationFailed("Failed", {"code": "A", "message": "b"}, job_id)
    return state_machine.on_operation_status(episodes.running(), lost, Moment(LATER, 0.0, None))


def with_others(*hours_later: int) -> Page:
    """The store has the remediation, and others of its instance that were opened so much later."""
    page = Page(now=NOW + timedelta(days=2))
    for hours in sorted((0, *hours_later)):
        ended = lifecycle.cancel(episodes.queued(INSTANCE, NOW + timedelta(hours=hours)), "enough", LATER)
        page.keep(replace(ended, due_at=None))
    return page


def shown_others(page: ParsedPage) -> list[str]:
    return [query["id"] for query in page.own_queries if "id" in query and query["id"] != REMEDIATION_ID]


def test_an_error_of_the_catalogue_has_its_meaning_next_step_command_and_article() -> None:
    page = detail_page(failed(ROLE_MISSING))
    assert "The vault's identity lacks its role on the storage account." in page.text
    assert "Somebody has to repair something first" in page.text
    assert "Grant the vault's identity its role on the storage account." in page.text
    assert "az role assignment create" in page.text
    assert any("learn.microsoft.com" in link for link in page.external)


def test_an_error_that_nobody_knows_has_a_next_step_without_a_meaning() -> None:
    page = detail_page(failed({"code": "UserErrorOfTomorrow", "message": "b"}))
    assert "Follow what the error says" in page.text
    assert "Somebody has to repair" not in page.text


def test_what_is_well_has_places_to_look_at_and_nothing_to_do() -> None:
    page = detail_page(episodes.healed())
    assert ("Where to look" in page.text, "What to do" in page.text) == (True, False)
    assert VAULT in page.external


def test_a_job_is_shown_by_its_name_whether_azure_names_it_by_that_or_by_its_whole_id() -> None:
    job = f"{INSTANCE}".rpartition("/backupInstances/")[0] + "/backupJobs/job-7"
    for given in ("job-7", job):
        page = detail_page(with_job(given))
        assert f"{VAULT}/backupJobs/job-7" in page.external
        assert job not in page.text


def test_a_jobs_name_cannot_change_the_link() -> None:
    assert f"{VAULT}/backupJobs/a%3F%23%3Fb" in detail_page(with_job("a?#\ud800b")).external


def test_other_remediations_of_the_instance_are_listed_newest_first() -> None:
    page = with_others(1, 30)
    newest, middle, _ = sorted(each.id for each in page.store.remediations())
    assert shown_others(page.open(id=REMEDIATION_ID)) == [newest, newest, middle]


def test_a_newer_remediation_is_pointed_to() -> None:
    page = with_others(1)
    newest = min(each.id for each in page.store.remediations())
    assert "A newer remediation of this instance" in page.open(id=REMEDIATION_ID).text
    assert "A newer remediation of this instance" not in page.open(id=newest).text


def test_where_storage_tells_nothing_of_the_others_the_page_goes_without() -> None:
    page = with_others(1)
    page.storage = Mock(side_effect=ServiceRequestError("no connection"))
    shown = page.open(id=REMEDIATION_ID)
    assert (shown.status, shown_others(shown)) == (200, [])


def test_actions_come_before_the_error_and_the_history() -> None:
    html = detail_page(failed(ROLE_MISSING)).html
    places = [html.index(f'id="{name}"') for name in ("what-to-do", "actions", "error", "timeline")]
    assert places == sorted(places)
