"""The card of incidents on the overview, and the link from a member to it."""

import dataclasses
from datetime import timedelta

from msgspec.structs import replace

from shared.domain import incident
from shared.domain.incident_cause import Cause, ScopeKind
from shared.domain.remediation import Status, new_id
from tests.support import remediations as episodes
from tests.support.dashboard_parts import MARKUP, Page, ParsedPage, detail_page, summary
from tests.support.remediations import NOW, instance_named

CODE = "UserErrorMissingRequiredPermissions"
NAMES = [f"bi-{number}" for number in range(12)]


def page_with_incident(code: str = CODE, healed: int = 2) -> Page:
    page = Page()
    page.store.incidents._now = lambda: NOW
    failures = [new_id(instance_named(name), NOW) for name in NAMES]
    opened = page.store.incidents.count([Cause(code, ScopeKind.VAULT, "/x/vault-a")], failures).incident
    assert opened is not None
    page.summaries = [
        dataclasses.replace(
            summary(name=name), incident_id=opened.id, status=Status.HEALED if number < healed else Status.RUNNING
        )
        for number, name in enumerate(NAMES)
    ]
    return page


def opened_page(page: Page) -> ParsedPage:
    parsed = page.open()
    assert parsed.status == 200
    return parsed


def test_without_incidents_the_page_has_no_card() -> None:
    assert "Incidents" not in Page().open().text


def test_an_incident_is_one_row_with_its_scope_and_what_to_do() -> None:
    text = opened_page(page_with_incident()).text
    assert text.count("vault vault-a") == 1
    assert CODE in text
    assert "2 of 12 healed" in text
    assert "The next attempt is made by itself." in text


def test_its_members_are_below_it_those_that_are_not_healed_first() -> None:
    page = page_with_incident()
    html = page.get().get_body().decode()
    card = html.partition('id="incidents"')[2].partition("</section>")[0]
    assert [f"bi-{number}" for number in range(12) if f">bi-{number}<" in card] == [f"bi-{n}" for n in range(2, 10)]


def test_it_leads_to_the_list_of_its_members() -> None:
    page = page_with_incident()
    [known] = page.store.incidents.page(1)
    assert f"?incident={known.id}" in page.get().get_body().decode()
    assert "Members of an incident" in page.open(incident=known.id).text


def test_one_that_was_over_long_ago_is_shown_no_more() -> None:
    page = page_with_incident()
    [known] = page.store.incidents.page(1)
    page.store.incidents.change(known.id, lambda each: incident.close(each, page.now - timedelta(hours=25)))
    assert "Incidents" not in opened_page(page).text


def test_a_code_with_markup_stays_text() -> None:
    parsed = opened_page(page_with_incident(code=MARKUP))
    assert "img" not in parsed.tags


def test_a_member_says_that_it_is_one() -> None:
    member = replace(episodes.running(), incident_id=episodes.queued().id)
    assert "Members of this incident" in detail_page(member).text


def test_a_member_that_is_held_says_until_when() -> None:
    until = NOW + timedelta(minutes=20)
    waiting = replace(
        episodes.running(),
        status=Status.WAITING_TO_RETRY,
        incident_id=episodes.queued().id,
        held_until=until,
        not_before=until,
    )
    assert "Held back for the canaries" in detail_page(waiting).text
