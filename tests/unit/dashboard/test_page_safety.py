"""The page as attackers see it: foreign text stays text, and the function key stays in the page's own URLs."""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from shared.domain.remediation import Status
from tests.support.dashboard_parts import (
    KEY,
    MANY,
    MARKUP,
    REMEDIATION_ID,
    SYNC,
    Page,
    ParsedPage,
    detail_page,
    failed,
    summary,
    with_queued_remediation,
)
from tests.support.remediations import INSTANCE

PORTAL = "portal.azure.com"


# Foreign text


def pages_with(text: str) -> list[ParsedPage]:
    """Every page that shows foreign text, with this one in all places."""
    shown = replace(summary(Status.FAILED, error_code=text), instance=f"{INSTANCE}{text}")
    error = {"code": text, "message": text, "target": text, "recommendedAction": [text], text: text}
    error["details"] = [dict(error)]  # type: ignore[list-item]
    return [
        Page([shown]).open(text=text),
        detail_page(structs.replace(failed(error), reason=text, source=text, protection_state=text)),
        Page().post({**SYNC, "backupInstanceId": text, "reason": text}),
    ]


def test_markup_stays_text_wherever_it_comes_from() -> None:
    plain, hostile = pages_with("plain"), pages_with(MARKUP.replace("/", ""))
    assert [sorted(page.tags) for page in hostile] == [sorted(page.tags) for page in plain]
    assert all("<script>alert(1)<script>" in page.text for page in hostile)


names = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\?#%"), min_size=1, max_size=20)


@given(names.filter(lambda name: name.strip(".") != ""))
def test_any_name_stays_text(name: str) -> None:
    assert all((page.tags.count("script"), page.tags.count("img")) == (1, 0) for page in pages_with(name))


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
    expected = {"Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    for page in [*every_kind_of_page(), Page().post(SYNC)]:
        assert {name: page.headers[name] for name in expected} == expected


def test_the_content_security_policy_lets_a_browser_load_nothing_and_run_nothing_but_the_pages_own_script() -> None:
    page = Page().open()
    policy = page.headers["Content-Security-Policy"]
    [script] = re.findall("<script>(.*?)</script>", page.html, re.DOTALL)
    own = f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
    assert re.sub(r"(?<=style-src )'sha256-[^']+'", "HASH", policy) == (
        f"default-src 'none'; style-src HASH; script-src {own}; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
