"""The page as its readers see it: overview, one remediation, foreign text, the key in its URLs, its forms."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from shared.api.meta import openapi
from shared.domain import arm_results, state_machine
from shared.domain.remediation import Remediation, Status
from shared.domain.remediation_json import CorruptDocument
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType
from shared.domain.state_machine import Moment
from shared.settings import MAX_DAYS, Settings
from tests.support import remediations as episodes
from tests.support.dashboard_parts import KEY, Page, ParsedPage, newest_first, summary
from tests.support.remediations import INSTANCE, LATER, instance_named

MARKUP = "<script>alert(1)<script>\"'&amp;<img src=x onerror=alert(1)>"
REMEDIATION_ID = episodes.queued().id
SYNC = {"do": "sync", "backupInstanceId": str(INSTANCE)}
PORTAL = "portal.azure.com"
MANY = newest_first([summary(name=f"bi{number}") for number in range(60)])


def failed(error: Any, name: str = INSTANCE.name) -> Remediation:
    """A remediation whose only attempt ended with this error of Azure's."""
    running = structs.replace(episodes.running(), instance=instance_named(name))
    lost = arm_results.OperationFailed("Failed", error, "job-1")
    return state_machine.on_operation_status(running, lost, Moment(LATER, 0.0, None))


def detail_page(remediation: Remediation, **query: str) -> ParsedPage:
    page = Page(now=LATER + timedelta(minutes=5))
    # The id is that of INSTANCE, whatever the remediation's instance is called.
    page.keep(structs.replace(remediation, id=REMEDIATION_ID))
    parsed = page.open(id=REMEDIATION_ID, **query)
    assert parsed.status == 200
    return parsed


def with_queued_remediation() -> Page:
    page = Page()
    page.keep(episodes.queued())
    return page


# The overview


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


def test_the_longest_retention_can_be_shown() -> None:
    settings = Settings.from_environment({"RETENTION_DAYS": str(MAX_DAYS)})
    assert Page(settings=settings).open().status == 200


# Errors


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({"utm_source": "mail"}, 200, ""),
        ({"status": "Broken"}, 400, "there is no status"),
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
    second = state_machine.start_next_attempt(failed({"code": "A", "message": "b"}), SyncType.DEFAULT, LATER)
    text = detail_page(second).text
    assert all(each in text for each in ("Attempt 1", "Attempt 2", "job-1"))


def test_recommended_actions_are_list_items() -> None:
    error = {"code": "A", "message": "b"}
    with_actions = detail_page(failed({**error, "recommendedAction": ["Grant the role.", "Then wait."]}))
    assert with_actions.tags.count("li") > detail_page(failed(error)).tags.count("li")
    assert "Grant the role." in with_actions.text


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
    assert "5 min ago" in detail_page(episodes.healed()).text


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
    assert [each.startswith(portal) for each in page.open(id=REMEDIATION_ID).external] == [True]


def test_a_note_is_one_of_the_pages_own() -> None:
    assert "You were hacked" not in detail_page(episodes.running(), note="You were hacked").text


# Foreign text


def pages_with(text: str) -> list[ParsedPage]:
    """Every page that shows foreign text, with this one in all places."""
    instance = BackupInstanceId(INSTANCE.subscription_id, text, text, text)
    error = {"code": text, "message": text, "target": text, "recommendedAction": [text], text: text}
    error["details"] = [dict(error)]  # type: ignore[list-item]
    return [
        Page([summary(Status.FAILED, instance=instance, error_code=text)]).open(text=text),
        detail_page(structs.replace(failed(error, text), reason=text, source=text, protection_state=text)),
        Page().post({**SYNC, "backupInstanceId": text, "reason": text}),
    ]


def test_markup_stays_text_wherever_it_comes_from() -> None:
    plain, hostile = pages_with("plain"), pages_with(MARKUP.replace("/", ""))
    assert [sorted(page.tags) for page in hostile] == [sorted(page.tags) for page in plain]
    assert all("<script>alert(1)<script>" in page.text for page in hostile)


names = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\?#%"), min_size=1, max_size=20)


@given(names.filter(lambda name: name.strip(".") != ""))
def test_any_name_stays_text(name: str) -> None:
    assert all("script" not in page.tags and "img" not in page.tags for page in pages_with(name))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_any_error_is_shown(value: object) -> None:
    fields = dict.fromkeys(("details", "innerError", "recommendedAction"), value)
    detail_page(failed({"code": "A", "message": "b", **fields}))


def test_a_lone_surrogate_is_shown_as_a_question_mark() -> None:
    assert "a?b" in detail_page(failed({"code": "A", "message": "a\ud800b"})).text


# The key


def every_kind_of_page() -> list[ParsedPage]:
    page = replace(with_queued_remediation(), summaries=MANY)
    return [
        page.open(),
        page.open(text="bi", status="Healed"),
        page.open(id=REMEDIATION_ID),
        page.open(id="nothing"),
        page.open(status="Broken"),
        page.post({"do": "sync"}),
    ]


def assert_all_carry_the_key(page: ParsedPage) -> None:
    assert page.own_queries
    assert {query["code"] for query in page.own_queries} == {KEY}


def test_every_reference_to_the_page_itself_carries_the_key() -> None:
    for page in every_kind_of_page():
        assert_all_carry_the_key(page)


@pytest.mark.parametrize("name", ["CODE", "Code"])
def test_a_key_whose_name_is_in_another_casing_is_passed_on(name: str) -> None:
    assert_all_carry_the_key(Page().open(key="", **{name: KEY}))


def test_the_filter_form_carries_the_key_as_a_field() -> None:
    assert KEY in Page([summary()]).open().values


def test_no_other_reference_leads_anywhere_but_to_the_portal_or_carries_the_key() -> None:
    external = [each for page in every_kind_of_page() for each in page.external]
    assert {urlsplit(each).hostname for each in external if ":" in each or each.startswith("//")} == {PORTAL}
    assert all(KEY not in each and "code=" not in each for each in external)


def test_a_page_opened_by_the_header_has_no_key_in_it() -> None:
    assert "code=" not in Page([summary()]).open(key="").html


def test_a_redirect_leads_to_the_page_itself_with_the_key() -> None:
    redirect = Page().post(SYNC).redirect
    assert (next(iter(redirect)), redirect["code"]) == ("id", KEY)


def test_every_response_keeps_its_address_and_content_private() -> None:
    expected = {"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    for page in [*every_kind_of_page(), Page().post(SYNC)]:
        assert {name: page.headers[name] for name in expected} == expected


def test_the_content_security_policy_lets_a_browser_load_and_run_nothing() -> None:
    policy = Page().open().headers["Content-Security-Policy"]
    assert re.sub(r"'sha256-[^']+'", "HASH", policy) == (
        "default-src 'none'; style-src HASH; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


# The forms


def test_the_sync_form_opens_a_remediation_and_queues_its_job() -> None:
    page = Page()
    response = page.post(SYNC)
    assert (response.status, len(page.jobs), len(page.store.remediations())) == (303, 1, 1)


def test_the_sync_form_gives_sync_type_and_reason() -> None:
    page = Page()
    page.post({**SYNC, "syncType": "ForceResync", "reason": " moved to another vault "})
    [opened] = page.store.remediations()
    assert (opened.attempt.sync_type, opened.reason) == ("ForceResync", "moved to another vault")


def test_a_sync_of_an_instance_that_is_being_healed_joins_its_remediation() -> None:
    page = with_queued_remediation()
    redirect = page.post(SYNC).redirect
    assert (redirect["note"], redirect["id"]) == ("joined", REMEDIATION_ID)
    assert not page.jobs


@pytest.mark.parametrize(
    ("settings", "status", "message"),
    [
        (Settings(exclude=("*",)), 403, "INCLUDE and EXCLUDE leave this instance out"),
        (Settings(cooldown=timedelta(hours=1)), 409, "its cooldown (COOLDOWN) has not passed yet"),
    ],
)
def test_a_sync_that_the_policy_drops_is_explained(settings: Settings, status: int, message: str) -> None:
    page = Page(settings=settings, now=LATER)
    page.keep(episodes.healed())
    response = page.post({**SYNC, "reason": "please"})
    assert (response.status, message in response.text) == (status, True)
    assert "please" in response.values, "what was typed is still there"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"do": "sync"}, "Backup instance: enter"),
        ({"do": "sync", "backupInstanceId": "/subscriptions/x"}, "Backup instance: "),
        ({**SYNC, "syncType": "Maybe"}, "Sync type: "),
        ({**SYNC, "reason": "x" * 501}, "Reason: it has 501"),
        ({"do": "cancel", "id": REMEDIATION_ID, "reason": "x" * 501}, "Reason: it has 501"),
        ({"do": "dance"}, "unknown form"),
        ({}, "unknown form"),
        (b"do=%FF", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"a=b&" * 51, "cannot be read"),
    ],
)
def test_an_invalid_form_is_refused_with_the_reason(fields: dict[str, str] | bytes, message: str) -> None:
    response = with_queued_remediation().post(fields)
    assert (response.status, message in response.text) == (400, True)


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", ""])
def test_another_content_type_is_refused_with_the_expected_one(content_type: str) -> None:
    response = Page().post(b"do=sync", content_type)
    assert (response.status, "expected a form (application/x-www-form-urlencoded)" in response.text) == (415, True)


def test_a_form_that_is_too_large_is_refused_with_the_limit() -> None:
    response = Page().post({**SYNC, "reason": "x" * 20_000})
    assert (response.status, "at most 16384 are allowed" in response.text) == (413, True)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_change_nothing(body: bytes) -> None:
    page = Page()
    assert page.post(body).status == 400
    assert not page.store.remediations()


def test_cancelling_ends_the_remediation_with_the_reason() -> None:
    page = with_queued_remediation()
    response = page.post({"do": "cancel", "id": REMEDIATION_ID, "reason": "planned work"})
    [now] = page.store.remediations()
    assert (response.status, now.status, now.history[-1].reason) == (303, Status.CANCELLED, "planned work")


def test_cancelling_an_ended_remediation_says_that_it_had_ended() -> None:
    page = Page()
    page.keep(episodes.healed())
    assert page.post({"do": "cancel", "id": REMEDIATION_ID}).redirect["note"] == "ended"


def test_cancelling_an_unknown_remediation_is_not_found() -> None:
    assert Page().post({"do": "cancel", "id": "nothing"}).status == 404


def test_opening_the_page_changes_nothing() -> None:
    page = Page()
    page.open(**SYNC)
    assert (page.jobs, page.store.remediations()) == ([], [])
