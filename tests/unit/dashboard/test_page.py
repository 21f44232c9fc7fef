"""The page: what it shows and says, what its forms do, where its key goes."""

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import azure.functions as func
import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import given
from hypothesis import strategies as st

from shared.dashboard.route_docs import OPERATIONS
from shared.domain import arm_results, state_machine
from shared.domain.remediation import Remediation, Status
from shared.domain.remediation_json import CorruptDocument
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType
from shared.settings import _LONGEST_DAYS, Settings
from tests.support import episodes
from tests.support.dashboard_parts import KEY, Page, summary
from tests.support.episodes import INSTANCE, LATER

MARKUP = "<script>alert(1)<script>\"'&amp;<img src=x onerror=alert(1)>"
REFERENCES = {"href", "src", "action", "formaction", "data", "poster"}


class Read(HTMLParser):
    """A page, taken apart as a browser does."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.values: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in REFERENCES and value is not None:
                self.references.append(value)
            if name == "value" and value is not None:
                self.values.append(value)

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def leaving(self) -> list[str]:
        """References that lead elsewhere than to the page itself."""
        return [each for each in self.references if not each.startswith(("?", "#", "data:"))]


def failed(error: Any, name: str = INSTANCE.name) -> Remediation:
    """A remediation whose only attempt ended with this error of Azure's."""
    running = replace(episodes.running(), instance=replace(INSTANCE, name=name))
    lost = arm_results.OperationFailed("Failed", error, "job-1")
    return state_machine.on_operation_status(running, lost, LATER, 0.0, None)


def shown(remediation: Remediation, **query: str) -> Read:
    """The page of a remediation."""
    page = Page(now=LATER + timedelta(minutes=5))
    # The story's id is that of INSTANCE, whatever its instance is called.
    page.keep(replace(remediation, id=episodes.queued().id))
    response = page.get(id=episodes.queued().id, **query)
    assert response.status_code == 200
    return Read(response.get_body().decode())


def queued(page: Page) -> Remediation:
    return page.keep(episodes.queued())


SYNC = {"do": "sync", "backupInstanceId": str(INSTANCE)}


# The overview


def test_an_empty_page_says_that_all_is_quiet() -> None:
    assert "All is quiet" in Page().html()


def test_each_status_can_be_shown() -> None:
    known = [summary(status, f"bi-{status}") for status in Status]
    read = Read(Page(known).html())
    assert all(f"bi-{status}" in read.text for status in Status)


def test_a_status_is_told_in_words() -> None:
    assert "Waiting to retry" in Page([summary(Status.WAITING_TO_RETRY)]).html()


def test_the_filter_shows_what_it_filters_by() -> None:
    assert "vault7" in Read(Page([summary()]).html(text="vault7")).values


def test_a_filter_that_finds_nothing_says_so() -> None:
    assert "Nothing matches" in Page([summary()]).html(text="vault7")


def test_the_older_page_keeps_the_filter() -> None:
    known = [summary(name=f"bi{number}") for number in range(60)]
    read = Read(Page(sorted(known, key=lambda each: each.id)).html(text="bi"))
    [older] = {each for each in read.references if "after=" in each}
    assert parse_qs(urlsplit(older).query)["text"] == ["bi"]


def test_a_filter_that_cannot_be_understood_is_a_bad_request() -> None:
    response = Page().get(status="Broken")
    assert (response.status_code, b"there is no status" in response.get_body()) == (400, True)


def test_the_filter_is_read_in_any_casing() -> None:
    page = Page([summary(name="bi-healed"), summary(Status.FAILED, "bi-failed")])
    read = Read(page.html(Status="Failed", TEXT="bi"))
    assert ("bi-failed" in read.text, "bi-healed" in read.text, "bi" in read.values) == (True, False, True)


def test_a_remediation_is_named_in_any_casing() -> None:
    page = Page()
    active = queued(page)
    assert "Attempt 1" in page.html(ID=active.id)


def test_a_parameter_that_the_page_does_not_know_is_ignored() -> None:
    assert Page().get(utm_source="mail").status_code == 200


def test_storage_that_cannot_be_reached_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise ServiceRequestError("no route to host")

    page = Page()
    monkeypatch.setattr(page.store, "load", unreachable)
    response = page.get(id=episodes.queued().id)
    assert (response.status_code, b"no route to host" in response.get_body()) == (503, True)
    assert response.headers["Retry-After"] == "10"


def test_a_page_without_trouble_names_no_time_to_come_again() -> None:
    assert "Retry-After" not in Page().get().headers


def test_the_longest_retention_can_be_shown() -> None:
    settings = Settings.from_environment({"RETENTION_DAYS": str(_LONGEST_DAYS)})
    assert Page(settings=settings).get().status_code == 200


def test_a_record_that_cannot_be_read_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def corrupt(*_: object) -> None:
        raise CorruptDocument("no status")

    page = Page()
    monkeypatch.setattr(page.store, "load", corrupt)
    response = page.get(id=episodes.queued().id)
    assert (response.status_code, "cannot be read: no status" in response.get_body().decode()) == (500, True)


@pytest.mark.parametrize(("method", "statuses"), [("GET", {400, 404, 500, 503}), ("POST", {413, 415, 500, 503})])
def test_the_refusals_are_described(method: str, statuses: set[int]) -> None:
    [operation] = [each for each in OPERATIONS if each.method == method]
    assert statuses <= operation.answers.keys()


# One remediation


def test_a_story_tells_each_attempt_with_its_job() -> None:
    read = shown(state_machine.start_next_attempt(failed({"code": "A", "message": "b"}), SyncType.DEFAULT, LATER))
    assert "Attempt 1" in read.text
    assert "Attempt 2" in read.text
    assert "job-1" in read.text


def test_what_azure_recommends_is_shown() -> None:
    error = {"code": "A", "message": "b", "recommendedAction": ["Grant the role.", "Then wait."]}
    assert shown(failed(error)).tags.count("li") > shown(failed({"code": "A", "message": "b"})).tags.count("li")
    assert "Grant the role." in shown(failed(error)).text


@pytest.mark.parametrize(
    "error",
    [
        {"code": "A", "message": "b", "details": [{"code": "c", "message": "told"}]},
        {"code": "A", "message": "b", "details": [{"details": [{"message": "told"}]}]},
        {"code": "A", "message": "b", "innerError": {"code": "c", "innererror": {"code": "told"}}},
        {"code": "A", "message": "b", "details": {"message": "told"}},
        {"code": "A", "message": "b", "details": ["told"]},
        {"code": "A", "message": "b", "additionalInfo": [{"type": "T", "info": {"why": "told"}}]},
        {"code": "A", "message": "b", "recommendedAction": "told"},
        {"code": "A", "message": {"value": "told"}},
        {"code": "A", "message": "b", "target": "told"},
    ],
)
def test_nothing_that_azure_says_is_left_out(error: Any) -> None:
    assert "told" in shown(failed(error)).text


def test_an_error_of_any_depth_is_shown() -> None:
    error: Any = {"message": "told"}
    for _ in range(60):
        error = {"code": "A", "message": "b", "details": [error]}
    assert "told" in shown(failed(error)).text


def test_a_healed_one_has_no_why() -> None:
    assert "Why it did not heal" not in shown(episodes.healed()).text


def test_an_active_one_can_be_cancelled_and_not_synced() -> None:
    read = shown(episodes.running())
    assert ("cancel" in read.values, "sync" in read.values) == (True, False)


def test_an_ended_one_can_be_synced_again_and_not_cancelled() -> None:
    read = shown(episodes.healed())
    assert ("cancel" in read.values, "sync" in read.values) == (False, True)


@pytest.mark.parametrize("remediation_id", ["", "nothing", "../etc", MARKUP, "0" * 12 + "-" + "0" * 16])
def test_an_unknown_remediation_is_not_found(remediation_id: str) -> None:
    assert Page().get(id=remediation_id).status_code == 404


@pytest.mark.parametrize(
    ("endpoint", "portal"),
    [
        ("https://management.azure.com", "https://portal.azure.com/#@/resource/subscriptions/"),
        ("https://management.usgovcloudapi.net", "https://portal.azure.us/#@/resource/subscriptions/"),
        ("https://management.chinacloudapi.cn", "https://portal.azure.cn/#@/resource/subscriptions/"),
    ],
)
def test_the_way_to_the_portal_is_that_of_the_cloud(endpoint: str, portal: str) -> None:
    page = Page(settings=Settings(arm_endpoint=endpoint))
    read = Read(page.html(id=queued(page).id))
    assert [each.startswith(portal) for each in read.leaving] == [True]


# Foreign text


def every_view(text: str) -> list[Read]:
    """Wherever foreign text goes."""
    instance = BackupInstanceId(INSTANCE.subscription_id, text, text, text)
    error = {"code": text, "message": text, "target": text, "recommendedAction": [text], text: text}
    error["details"] = [dict(error)]  # type: ignore[list-item]
    return [
        Read(Page([summary(Status.FAILED, instance=instance, error_code=text)]).html(text=text)),
        shown(replace(failed(error, text), reason=text, source=text, protection_state=text)),
        Read(Page().post({**SYNC, "backupInstanceId": text, "reason": text}).get_body().decode()),
    ]


def test_markup_stays_text_wherever_it_comes_from() -> None:
    plain, hostile = every_view("plain"), every_view(MARKUP.replace("/", ""))
    assert [sorted(read.tags) for read in hostile] == [sorted(read.tags) for read in plain]
    assert all("<script>alert(1)<script>" in read.text for read in hostile)


names = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\?#%"), min_size=1, max_size=20)


@given(names.filter(lambda name: name.strip(".") != ""))
def test_any_name_stays_text(name: str) -> None:
    assert all("script" not in read.tags and "img" not in read.tags for read in every_view(name))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_any_error_is_shown(anything: object) -> None:
    shown(
        failed(
            {"code": "A", "message": "b", "details": anything, "innerError": anything, "recommendedAction": anything}
        )
    )


def test_a_lone_surrogate_is_shown_as_a_question_mark() -> None:
    assert "a?b" in shown(failed({"code": "A", "message": "a\ud800b"})).text


# The key


def views() -> list[func.HttpResponse]:
    """Every kind of answer."""
    page = Page([summary(name=f"bi{number}") for number in range(60)])
    remediation = queued(page)
    return [
        page.get(),
        page.get(text="bi", status="Healed"),
        page.get(id=remediation.id),
        page.get(id="nothing"),
        page.get(status="Broken"),
        page.post({"do": "sync"}),
    ]


def test_every_reference_to_the_page_itself_carries_the_key() -> None:
    for response in views():
        own = [each for each in Read(response.get_body().decode()).references if each.startswith("?")]
        assert own
        assert all(parse_qs(urlsplit(each).query)["code"] == [KEY] for each in own)


def test_a_form_that_asks_carries_the_key_as_a_field() -> None:
    assert KEY in Read(Page([summary()]).html()).values


def test_no_reference_that_leaves_carries_the_key() -> None:
    leaving = [each for response in views() for each in Read(response.get_body().decode()).leaving]
    assert all(KEY not in each and "code=" not in each for each in leaving)


def test_no_reference_has_a_host_but_the_portals() -> None:
    leaving = [each for response in views() for each in Read(response.get_body().decode()).leaving]
    assert {urlsplit(each).hostname for each in leaving if ":" in each or each.startswith("//")} == {"portal.azure.com"}


def test_a_page_opened_by_the_header_has_no_key_in_it() -> None:
    page = Page([summary()])
    assert "code=" not in page.get(key="").get_body().decode()


@pytest.mark.parametrize("name", ["CODE", "Code"])
def test_a_key_whose_name_is_in_another_casing_is_passed_on(name: str) -> None:
    own = [each for each in Read(Page().html(key="", **{name: KEY})).references if each.startswith("?")]
    assert own
    assert all(parse_qs(urlsplit(each).query)["code"] == [KEY] for each in own)


def test_a_redirect_leads_to_the_page_itself() -> None:
    location = Page().post(SYNC).headers["Location"]
    assert location.startswith("?id=")
    assert parse_qs(location[1:])["code"] == [KEY]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
    ],
)
def test_every_answer_has_its_headers(name: str, expected: str) -> None:
    assert {response.headers[name] for response in [*views(), Page().post(SYNC)]} == {expected}


def test_the_policy_lets_a_browser_load_and_run_nothing() -> None:
    policy = Page().get().headers["Content-Security-Policy"]
    assert re.sub(r"'sha256-[^']+'", "HASH", policy) == (
        "default-src 'none'; style-src HASH; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


# The forms


def test_the_form_opens_a_remediation_and_queues_its_job() -> None:
    page = Page()
    response = page.post(SYNC)
    assert (response.status_code, len(page.jobs.messages), len(page.store.remediations())) == (303, 1, 1)


def test_the_form_says_what_is_to_be_done_and_why() -> None:
    page = Page()
    page.post({**SYNC, "syncType": "ForceResync", "reason": " moved to another vault "})
    [opened] = page.store.remediations()
    assert (opened.attempt.sync_type, opened.reason) == ("ForceResync", "moved to another vault")


def test_an_instance_that_is_being_healed_is_joined() -> None:
    page = Page()
    active = queued(page)
    response = page.post(SYNC)
    assert parse_qs(response.headers["Location"][1:])["note"] == ["joined"]
    assert parse_qs(response.headers["Location"][1:])["id"] == [active.id]
    assert not page.jobs.messages


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        (Settings(exclude=("*",)), 403, "leave it out"),
        (Settings(cooldown=timedelta(hours=1)), 409, "left alone for a while"),
    ],
)
def test_what_the_policy_refuses_is_told_in_plain_words(settings: Settings, status: int, words: str) -> None:
    page = Page(settings=settings, now=LATER)
    page.keep(episodes.healed())
    response = page.post({**SYNC, "reason": "please"})
    read = Read(response.get_body().decode())
    assert (response.status_code, words in read.text) == (status, True)
    assert "please" in read.values, "what was typed is still there"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"do": "sync"}, "Backup instance: give"),
        ({"do": "sync", "backupInstanceId": "/subscriptions/x"}, "Backup instance: "),
        ({**SYNC, "syncType": "Maybe"}, "Sync type: "),
        ({**SYNC, "reason": "x" * 501}, "Reason: it has 501"),
        ({"do": "dance"}, "there is no form"),
        ({}, "there is no form"),
        ({"do": "cancel", "id": "REMEDIATION", "reason": "x" * 501}, "Reason: it has 501"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(fields: dict[str, str], said: str) -> None:
    page = Page()
    active = queued(page)
    response = page.post({name: value.replace("REMEDIATION", active.id) for name, value in fields.items()})
    assert (response.status_code, said in Read(response.get_body().decode()).text) == (400, True)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"do=%FF", "application/x-www-form-urlencoded"),
        (b"\xff", "application/x-www-form-urlencoded"),
        (b"a=b&" * 51, "application/x-www-form-urlencoded"),
    ],
)
def test_what_is_no_form_of_the_page_is_a_bad_request(body: bytes, content_type: str) -> None:
    assert Page().post(body, content_type).status_code == 400


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", ""])
def test_another_content_type_is_told_which_one_is_expected(content_type: str) -> None:
    response = Page().post(b"do=sync", content_type)
    read = Read(response.get_body().decode())
    assert (response.status_code, "expected a form (application/x-www-form-urlencoded)" in read.text) == (415, True)


def test_a_form_that_is_too_large_is_told_how_large_it_may_be() -> None:
    response = Page().post({**SYNC, "reason": "x" * 20_000})
    assert (response.status_code, "at most 16384 are read" in Read(response.get_body().decode()).text) == (413, True)


@given(st.binary(max_size=200))
def test_any_bytes_change_nothing(body: bytes) -> None:
    page = Page()
    assert page.post(body).status_code == 400
    assert not page.store.remediations()


def test_cancelling_ends_it_with_the_reason() -> None:
    page = Page()
    active = queued(page)
    response = page.post({"do": "cancel", "id": active.id, "reason": "planned work"})
    [now] = page.store.remediations()
    assert (response.status_code, now.status, now.history[-1].reason) == (303, Status.CANCELLED, "planned work")


def test_cancelling_what_has_ended_says_so() -> None:
    page = Page()
    response = page.post({"do": "cancel", "id": page.keep(episodes.healed()).id})
    assert parse_qs(response.headers["Location"][1:])["note"] == ["ended"]


def test_cancelling_what_never_was_is_not_found() -> None:
    assert Page().post({"do": "cancel", "id": "nothing"}).status_code == 404


def test_a_note_is_one_of_the_pages_own() -> None:
    assert "You were hacked" not in shown(episodes.running(), note="You were hacked").text


def test_opening_a_page_changes_nothing() -> None:
    page = Page()
    page.get(**SYNC)
    assert (page.jobs.messages, page.store.remediations()) == ([], [])


def test_the_story_counts_time_from_when_it_is_read() -> None:
    assert "5 min ago" in shown(episodes.healed()).text
