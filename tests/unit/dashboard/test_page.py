"""The page as its readers see it: overview, errors, one remediation."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from azure.core.exceptions import ServiceRequestError
from msgspec import structs

from shared.api.meta import openapi
from shared.domain import lifecycle
from shared.domain.attention import Acknowledgement
from shared.domain.finding import Finding, FindingKind
from shared.domain.mode import Mode
from shared.domain.remediation import Remediation, Status
from shared.domain.remediation_json import CorruptDocument
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType
from shared.setting_values import MAX_DAYS
from shared.settings import Settings
from shared.storage.finding_store import FindingsSummary
from tests.support import remediations as episodes
from tests.support.dashboard_parts import (
    MANY,
    MARKUP,
    REMEDIATION_ID,
    Page,
    ParsedPage,
    detail_page,
    failed,
    summary,
    with_queued_remediation,
)
from tests.support.remediations import LATER


def test_a_page_without_remediations_says_so() -> None:
    assert "No remediations." in Page().open().text


def test_each_status_is_listed() -> None:
    text = Page([summary(status, f"bi-{status}") for status in Status]).open().text
    assert all(f"bi-{status}" in text for status in Status)


def test_the_filter_shows_what_it_filters_by() -> None:
    assert "vault7" in Page([summary()]).open(text="vault7").values


def test_a_filter_without_matches_says_so() -> None:
    assert "No remediation matches" in Page([summary()]).open(text="vault7").text


def test_the_link_to_older_ones_keeps_the_filter() -> None:
    [older] = [query for query in Page(MANY).open(text="bi").own_queries if "after" in query]
    assert older["text"] == "bi"


@pytest.mark.parametrize("query", [{"Status": "Failed", "TEXT": "bi"}, {"status": "NeedsAPerson"}])
def test_the_filter_is_read_in_any_casing_and_from_bookmarks(query: dict[str, str]) -> None:
    page = Page([summary(name="bi-healed"), summary(Status.FAILED, "bi-failed")]).open(**query)
    assert ("bi-failed" in page.text, "bi-healed" in page.text) == (True, False)
    assert {*query.values()} <= {*page.values}


def test_what_needs_attention_comes_first() -> None:
    text = Page([summary(name="bi-newest"), summary(Status.FAILED, "bi-failed", LATER - timedelta(days=3))]).open().text
    assert text.index("bi-failed") < text.index("bi-newest")


def test_the_list_comes_before_charts_and_forms() -> None:
    text = Page([summary(name="bi-healed")]).open().text
    assert text.index("bi-healed") < min(text.index("Sync now"), text.index("Outcomes per day"))


@pytest.mark.parametrize("query", [{"group": "Code"}, {"group": "Vault"}, {"group": "Subscription"}])
def test_a_group_leads_to_the_list_of_what_is_in_it(query: dict[str, str]) -> None:
    page = Page([summary(Status.FAILED, error_code="UserErrorDisk")])
    [within] = [each for each in page.open(**query).own_queries if {"error", "vault", "subscription"} & each.keys()]
    assert "testbi" in page.open(**within).text


@pytest.mark.parametrize("headers", [{}, {"Accept": "text/csv"}])
def test_the_list_can_be_had_as_csv(headers: dict[str, str]) -> None:
    query = {} if headers else {"format": "csv"}
    response = Page(MANY).answer("GET", {"text": "bi5", **query}, b"", headers)
    assert (response.mimetype, len(response.get_body().splitlines())) == ("text/csv", 12)


def test_the_link_to_the_csv_keeps_the_filter() -> None:
    [link] = [query for query in Page(MANY).open(text="bi", sort="Oldest").own_queries if "format" in query]
    assert (link["text"], link["sort"]) == ("bi", "Oldest")


def test_the_longest_retention_can_be_shown() -> None:
    settings = Settings.from_environment({"RETENTION_DAYS": str(MAX_DAYS)})
    assert Page(settings=settings).open().status == 200


@pytest.mark.parametrize(("mode", "shown"), [(Mode.HEAL, False), (Mode.OBSERVE, True)])
def test_the_page_says_that_the_app_observes_and_what_it_would_heal(mode: Mode, shown: bool) -> None:
    page = Page([summary(Status.WOULD_HEAL)], settings=Settings(mode=mode)).open()
    assert ("The app observes." in page.text) is shown
    assert any(query.get("status") == "WouldHeal" for query in page.own_queries) is shown


def test_what_was_observed_is_shown_with_the_sync_and_the_error_of_the_instance() -> None:
    text = detail_page(episodes.observed()).text
    assert "the instance is ProtectionError: a Default sync would have been made" in text
    assert ("Error of the instance" in text, "withheld" in text, "Why it did not heal" in text) == (True, True, False)


# Errors


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({"utm_source": "mail"}, 200, ""),
        ({"status": "Broken"}, 400, "there is no status"),
        ({"format": "null"}, 400, "there is no format"),
        *[({"id": unknown}, 404, "Not found") for unknown in ("", "nothing", "../etc", MARKUP, f"{0:012}-{0:016}")],
    ],
)
def test_the_query_decides_the_status(query: dict[str, str], status: int, message: str) -> None:
    page = Page().open(**query)
    assert (page.status, message in page.text) == (status, True)


@pytest.mark.parametrize(
    ("failure", "status", "message", "retry_after"),
    [
        (ServiceRequestError("no route to host"), 503, "no route to host", "10"),
        (CorruptDocument("no status"), 500, "cannot be read: no status", None),
    ],
)
def test_a_remediation_that_cannot_be_loaded_is_an_error(
    failure: Exception, status: int, message: str, retry_after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page()
    monkeypatch.setattr(page.store, "load", Mock(side_effect=failure))
    answer = page.open(id=REMEDIATION_ID)
    assert (answer.status, message in answer.text) == (status, True)
    assert answer.headers.get("Retry-After") == retry_after


def test_a_page_without_error_has_no_retry_after() -> None:
    assert "Retry-After" not in Page().open().headers


@pytest.mark.parametrize(("method", "statuses"), [("GET", {400, 404, 500, 503}), ("POST", {413, 415, 500, 503})])
def test_the_errors_are_described(method: str, statuses: set[int]) -> None:
    described = openapi()["paths"]["/dashboard"][method.lower()]["responses"]
    assert statuses <= {int(status) for status in described}


# One remediation


def test_the_parameter_id_is_read_in_any_casing() -> None:
    assert "Attempt 1" in with_queued_remediation().open(ID=REMEDIATION_ID).text


def test_each_attempt_is_shown_with_its_job() -> None:
    second = lifecycle.start_next_attempt(failed({"code": "A", "message": "b"}), SyncType.DEFAULT, LATER)
    text = detail_page(second).text
    assert all(each in text for each in ("Attempt 1", "Attempt 2", "job-1"))


def test_recommended_actions_are_list_items() -> None:
    error = {"code": "A", "message": "b"}
    with_actions = detail_page(failed({**error, "recommendedAction": ["Grant the role.", "Then wait."]}))
    assert with_actions.tags.count("li") > detail_page(failed(error)).tags.count("li")
    assert "Grant the role." in with_actions.text


def test_advice_from_anywhere_in_the_error_stands_at_its_top_and_once() -> None:
    nested = {"details": [{"message": "b", "innerError": {"recommendedAction": ["Grant the role."]}}]}
    page = detail_page(failed({"code": "A", "message": "b", **nested}))
    assert page.text.count("Grant the role.") == 2  # the remediation's error, and the attempt's
    assert page.text.index("Grant the role.") < page.text.index("Details")


@pytest.mark.parametrize(
    "fields",
    [
        {"details": [{"code": "c", "message": "needle"}]},
        {"details": [{"details": [{"message": "needle"}]}]},
        {"innerError": {"code": "c", "innererror": {"code": "needle"}}},
        {"details": {"message": "needle"}},
        {"details": ["needle"]},
        {"additionalInfo": [{"type": "T", "info": {"why": "needle"}}]},
        {"recommendedAction": "needle"},
        {"recommendedAction": {"text": "needle"}},
        {"message": {"value": "needle"}},
        {"target": "needle"},
        json.loads('{"details": [' * 60 + '"needle"' + "]}" * 60),
    ],
)
def test_no_field_of_an_azure_error_is_left_out(fields: Any) -> None:
    assert "needle" in detail_page(failed({"code": "A", "message": "b", **fields})).text


def test_a_healed_remediation_shows_no_error() -> None:
    assert "Why it did not heal" not in detail_page(episodes.healed()).text


@pytest.mark.parametrize(
    ("remediation", "can_cancel", "can_sync"), [(episodes.running(), True, False), (episodes.healed(), False, True)]
)
def test_an_active_remediation_can_be_cancelled_and_an_ended_one_synced_again(
    remediation: Remediation, can_cancel: bool, can_sync: bool
) -> None:
    values = detail_page(remediation).values
    assert ("cancel" in values, "sync" in values) == (can_cancel, can_sync)


def test_times_are_relative_to_when_the_page_is_opened() -> None:
    assert "5 minutes ago" in detail_page(episodes.healed()).text


@pytest.mark.parametrize(
    ("endpoint", "portal"),
    [
        ("https://management.azure.com", "https://portal.azure.com/#@/resource/subscriptions/"),
        ("https://management.usgovcloudapi.net", "https://portal.azure.us/#@/resource/subscriptions/"),
        ("https://management.chinacloudapi.cn", "https://portal.azure.cn/#@/resource/subscriptions/"),
    ],
)
def test_the_portal_link_leads_to_the_portal_of_the_cloud(endpoint: str, portal: str) -> None:
    page = replace(with_queued_remediation(), settings=Settings(arm_endpoint=endpoint))
    assert [each.startswith(portal) for each in page.open(id=REMEDIATION_ID).external] == [True, True]


def test_a_note_is_one_of_the_pages_own() -> None:
    assert "You were hacked" not in detail_page(episodes.running(), note="You were hacked").text


def page_with_findings(*findings: Finding) -> ParsedPage:
    page = Page(settings=replace(Settings(), stale_after=timedelta(hours=6)))
    for finding in findings:
        page.findings.report(finding, None)
    page.findings.put_summary(FindingsSummary(LATER, {"Stale": len(findings)}, is_complete=True))
    return page.open()


def stale(instance: BackupInstanceId, code: str | None = None) -> Finding:
    return Finding(instance, FindingKind.JOB_FAILED, LATER, None, None, "job-1", code)


def test_without_the_setting_the_page_has_no_findings() -> None:
    assert "Well, but not backed up" not in Page().open().text


def test_the_page_lists_instances_that_are_well_but_whose_backups_are_not() -> None:
    page = page_with_findings(stale(episodes.INSTANCE, "UserErrorSnapshotLimit"))
    assert "Well, but not backed up" in page.text
    assert "testbi" in page.text
    assert "the last scheduled backup failed with UserErrorSnapshotLimit" in page.text


def test_of_very_many_findings_the_page_lists_the_newest() -> None:
    page = page_with_findings(*(stale(episodes.instance_named(f"tardy-{number}")) for number in range(60)))
    assert "60 found" in page.text
    assert page.text.count("tardy-") == 50


def test_without_findings_the_page_says_so() -> None:
    assert "Every instance that is well has the recovery point" in page_with_findings().text


def test_a_finding_with_markup_stays_text() -> None:
    page = page_with_findings(stale(episodes.INSTANCE, MARKUP))
    assert "img" not in page.tags
    assert "<script>" in page.text


@pytest.mark.parametrize(
    ("remediation", "meaning"),
    [
        (episodes.healed(), "The instance is protected again."),
        (episodes.recovering(), "a recovery point newer than the failure is awaited."),
        (episodes.recovered(), "and has a recovery point newer than the failure."),
        (episodes.after(episodes.verifying(), episodes.read("ProtectionStopped")), "Somebody has stopped or suspended"),
    ],
)
def test_the_first_sentence_says_how_it_stands(remediation: Remediation, meaning: str) -> None:
    assert meaning in detail_page(remediation).text


def test_a_recovery_says_after_what_time_the_instance_was_healed() -> None:
    text = detail_page(episodes.recovered()).text
    assert ("Healed after 1 minute" in text, "Ended after" in text) == (True, False)


def test_what_was_acknowledged_says_so_first_and_until_when() -> None:
    until = LATER + timedelta(days=6)
    known = Acknowledgement(at=LATER, by="an operator", reason="the owner is told", until=until)
    needing = episodes.rejected()
    assert needing.attention
    acknowledged = structs.replace(needing, attention=structs.replace(needing.attention, acknowledgement=known))
    text = " ".join(detail_page(acknowledged).text.split())
    assert "Acknowledged by an operator until 2026-01-08 03:05:05 (in 5 days): the owner is told" in text
    assert "This instance needs attention, and somebody knows, since" in text
