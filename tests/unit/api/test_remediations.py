"""`/api/remediations`: what a query is read as, what is refused, and what is shown."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import azure.functions as func
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.paging import continuation
from shared.api.remediations import RemediationsApi
from shared.clock import to_iso
from shared.domain import arm_results
from shared.domain.error_codes import BUILT_IN
from shared.domain.remediation import Remediation, Status, new_id
from shared.domain.remediation_json import shown_document
from shared.domain.summary import Summary, summarize
from shared.domain.summary_list import Order
from shared.healing.remediation_search import RemediationSearch
from shared.storage.remediation_list import Filters, Page, RemediationReader
from shared.storage.table_rows import DueEntry, Stored
from tests.support.api_parts import (
    Json,
    described,
    document,
    error,
    get_remediation,
    http_request,
    post_cancel,
    store_with,
    unexpected,
)
from tests.support.json_values import json_values
from tests.support.memory_store import MemoryStore
from tests.support.remediations import (
    ERROR,
    INSTANCE,
    LATER,
    NOW,
    after,
    ended,
    healed,
    instance_named,
    queued,
    rejected,
    running,
    verifying,
)

ID = queued().id
UNKNOWN_ID = "0" * 12 + "-" + "0" * 16
Asked = tuple[Filters, int, str | None]


class Reader(RemediationReader):
    """Finds this page, and keeps what it was asked for."""

    def __init__(self, *found: Remediation, after: str | None = None) -> None:
        self._page = Page(tuple(Stored(each, "e", DueEntry(each.id, NOW)) for each in found), after)
        self.asked: list[Asked] = []

    def page(self, filters: Filters, top: int, after: str | None = None) -> Page:
        self.asked.append((filters, top, after))
        return self._page


def get_list(
    reader: Reader, query: Json, headers: dict[str, str] | None = None, names: Mapping[str, str] | None = None
) -> func.HttpResponse:
    request = http_request("GET", "/remediations", headers=headers, query=query)
    parts = (unexpected, unexpected, lambda: reader, unexpected, lambda: NOW)
    response = RemediationsApi(*parts, subscription_names=lambda: names or {}).list(request)
    return described(response, "GET", "/remediations")


def asked(**query: str) -> Asked:
    """Filters, page size and continuation that the query is read as."""
    reader = Reader()
    assert get_list(reader, query).status_code == 200
    return reader.asked[0]


def refused(**query: str) -> Json:
    """The error that the query is refused with."""
    response = get_list(Reader(), query)
    assert response.status_code == 400
    return error(response)


@pytest.fixture
def store() -> MemoryStore:
    """With one queued remediation."""
    return store_with(queued())


def end_well(store: MemoryStore) -> None:
    stored = store.load(ID)
    assert stored is not None
    store.save(stored, healed())


def test_without_a_query_the_newest_fifty_are_asked_for() -> None:
    assert asked() == (Filters(), 50, None)


@pytest.mark.parametrize("status", ["Failed,TimedOut", "failed, TIMEDOUT", "Failed,Failed,TimedOut"])
def test_several_statuses_in_any_casing_are_one_filter(status: str) -> None:
    assert asked(status=status)[0].statuses == {Status.FAILED, Status.TIMED_OUT}


def test_a_parameter_is_known_in_any_casing() -> None:
    assert asked(BACKUPINSTANCEID=str(INSTANCE).upper())[0].instance == INSTANCE


@pytest.mark.parametrize(
    "since",
    ["2026-01-02T03:04:05Z", "2026-01-02t03:04:05z", "2026-01-02T04:04:05+01:00", "2026-01-02T04:04:05 01:00"],
)
def test_a_time_may_have_an_offset_with_or_without_its_plus_encoded(since: str) -> None:
    assert asked(since=since)[0].since == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("key", ["code", "Code", "clientId"])
def test_the_function_key_is_no_filter(key: str) -> None:
    assert asked(**{key: "secret"}) == (Filters(), 50, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", ""),
        ("status", "Ended"),
        ("status", "Failed,"),
        ("backupInstanceId", "disk-1"),
        ("subscriptionId", "production"),
        ("since", "yesterday"),
        ("since", ""),
        ("since", "0001-01-01T00:00:00+23:59"),
        ("since", "2026-01-02,2026-01-03"),
        ("top", "0"),
        ("top", "201"),
        ("top", "5.0"),
        ("top", "-1"),
        ("top", "٣"),
        ("top", "9" * 5000),
        ("continuation", ""),
        ("continuation", "!"),
        ("continuation", ID),
        ("continuation", urlsafe_b64encode(b"' or true").decode()),
        ("continuation", continuation(ID) + "="),
        ("continuation", continuation(UNKNOWN_ID)),
        ("filter", "x"),
        ("$top", "5"),
    ],
)
def test_a_wrong_parameter_is_named(name: str, value: str) -> None:
    assert refused(**{name: value})["target"] == name


def test_an_unknown_parameter_is_answered_with_those_that_there_are() -> None:
    assert "status, backupInstanceId, subscriptionId, since" in refused(state="x")["message"]


@given(st.dictionaries(st.sampled_from(["status", "since", "top", "continuation", "subscriptionId", "x"]), st.text()))
def test_any_query_is_taken_or_refused(query: dict[str, str]) -> None:
    assert get_list(Reader(), query).status_code in (200, 400)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_any_place_comes_back_from_its_continuation(opened_at: datetime) -> None:
    place = new_id(INSTANCE, opened_at)
    assert asked(continuation=continuation(place))[2] == place


@given(st.text(alphabet="ABCDEFabcdef0123456789_-", min_size=39, max_size=39))  # pragma: allowlist secret
def test_a_continuation_that_somebody_made_up_is_refused(made_up: str) -> None:
    assert refused(continuation=made_up)["target"] == "continuation"


# Searches: what storage cannot filter or sort by


class SearchReader(Reader):
    """Has these remediations, in short and whole."""

    def __init__(self, *kept: Remediation) -> None:
        super().__init__()
        self._kept = {each.id: each for each in sorted(kept, key=lambda each: each.id)}

    def summaries(self, opened_since: datetime) -> list[Summary]:
        return [summarize(each) for each in self._kept.values()]

    def load(self, remediation_ids: Sequence[str]) -> tuple[Stored, ...]:
        return tuple(Stored(self._kept[each], "e", DueEntry(each, NOW)) for each in remediation_ids)


def healed_one(name: str) -> Remediation:
    opened = after(queued(instance_named(name)), arm_results.SyncDone())
    return after(opened, arm_results.InstanceRead("ProtectionConfigured", None))


KEPT = SearchReader(rejected(), healed_one("well"), queued(instance_named("new"), LATER))


def search(**query: str) -> func.HttpResponse:
    finds = RemediationSearch(lambda: KEPT, timedelta(days=90), lambda _: True, lambda: LATER)
    request = http_request("GET", "/remediations", query=query)
    response = RemediationsApi(
        unexpected, unexpected, lambda: KEPT, lambda: finds, lambda: NOW, subscription_names=dict
    ).list(request)
    return described(response, "GET", "/remediations")


def found(**query: str) -> list[str]:
    return [each["backupInstanceId"].rpartition("/")[2] for each in document(search(**query))["value"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"needsAttention": "true"}, ["testbi"]),
        ({"errorCode": "DATAProtectionResourceNotFound"}, []),
        ({"errorCode": str(ERROR["code"]).upper()}, ["testbi"]),
        ({"vault": INSTANCE.vault}, ["new", "testbi", "well"]),
        ({"source": "event", "text": "WELL"}, ["well"]),
        ({"resourceType": "Microsoft.Compute/disks"}, []),
        ({"sort": "oldest"}, ["testbi", "well", "new"]),
        ({"sort": "Attention", "top": "1"}, ["testbi"]),
        ({"text": "e", "status": "Queued"}, ["new"]),
    ],
)
def test_a_search_finds_and_sorts_by_what_storage_cannot(query: dict[str, str], expected: list[str]) -> None:
    shown = found(**query)
    assert shown == expected or (len(query) == 1 and "sort" not in query and sorted(shown) == sorted(expected))


@pytest.mark.parametrize("order", Order)
def test_the_pages_of_a_search_follow_each_other(order: Order) -> None:
    query, shown = {"sort": order, "top": "1", "text": "e"}, []
    while True:
        page = document(search(**query))
        shown += [each["backupInstanceId"] for each in page["value"]]
        if page["nextLink"] is None:
            break
        query = {name: value for name, [value] in parse_qs(urlsplit(page["nextLink"]).query).items()}
    assert len(shown) == len({*shown}) == len(found(text="e"))


def test_a_place_in_another_order_is_refused() -> None:
    place = continuation(f"0~{ID}")
    assert refused(continuation=place)["target"] == "continuation"


@pytest.mark.parametrize(
    ("name", "value"),
    [("needsAttention", "maybe"), ("sort", "Best"), ("format", "xml"), ("text", "x" * 201), ("vault", "x" * 501)],
)
def test_a_wrong_parameter_of_a_search_is_named(name: str, value: str) -> None:
    assert refused(**{name: value})["target"] == name


def lines_of(response: func.HttpResponse) -> list[str]:
    return response.get_body().decode().splitlines()


def test_the_list_as_csv_has_all_that_match() -> None:
    response = search(format="csv", status="Rejected,Healed")
    assert response.mimetype == "text/csv"
    assert [line.split(",")[1] for line in lines_of(response)] == ["status", "Rejected", "Healed"]


def test_a_csv_has_no_more_lines_than_are_asked_for() -> None:
    assert len(lines_of(search(format="csv", top="1"))) == 2


def test_a_list_is_csv_for_who_accepts_csv() -> None:
    finds = RemediationSearch(lambda: KEPT, timedelta(days=90), lambda _: True, lambda: LATER)
    request = http_request("GET", "/remediations", headers={"Accept": "text/csv"})
    assert (
        RemediationsApi(unexpected, unexpected, lambda: KEPT, lambda: finds, lambda: NOW, subscription_names=dict)
        .list(request)
        .mimetype
        == "text/csv"
    )


# What is shown


def test_the_list_shows_whole_remediations() -> None:
    page = document(get_list(Reader(healed()), {}))
    assert page == {"value": [{**shown_document(healed(), BUILT_IN), "subscriptionName": None}], "nextLink": None}


def test_the_list_shows_the_names_of_subscriptions_that_are_known() -> None:
    names = {INSTANCE.subscription_id.lower(): "Production"}
    [shown] = document(get_list(Reader(healed()), {}, names=names))["value"]
    assert shown["subscriptionName"] == "Production"


def test_the_next_link_repeats_the_query_without_the_key() -> None:
    query = {"status": "Failed,Healed", "top": "1", "code": "secret", "clientId": "default"}
    query["continuation"] = continuation(queued().id)
    link = urlsplit(document(get_list(Reader(healed(), after=ID), query))["nextLink"])
    assert f"{link.scheme}://{link.netloc}{link.path}" == "https://app.example/api/remediations"
    assert parse_qs(link.query) == {"status": ["Failed,Healed"], "top": ["1"], "continuation": [continuation(ID)]}


def test_the_next_link_of_a_url_with_a_key_has_no_key() -> None:
    request = http_request("GET", "/remediations?code=secret", query={"code": "secret"})
    response = RemediationsApi(
        unexpected, unexpected, lambda: Reader(after=ID), unexpected, lambda: NOW, subscription_names=dict
    ).list(request)
    assert "secret" not in response.get_body().decode()


@pytest.mark.parametrize("remediation", [queued(), running(), verifying(), *ended()], ids=lambda each: each.status)
def test_a_remediation_is_shown_whole(remediation: Remediation) -> None:
    assert document(get_remediation(store_with(remediation), ID)) == shown_document(remediation, BUILT_IN)


# `advice` is what the app finds in the others; a field of this name would be hidden by it.
@given(st.dictionaries(st.text().filter(lambda name: name != "advice"), json_values(nan=False)))
def test_whatever_resource_manager_tells_of_an_error_is_shown(more: dict[str, Any]) -> None:
    error = {**more, "code": "x", "message": "y"}
    remediation = msgspec.structs.replace(queued(), error=error)
    shown = document(get_remediation(store_with(remediation), ID))["error"]
    assert {name: value for name, value in shown.items() if name != "advice"} == error


@pytest.mark.parametrize("remediation_id", ["", "x", ID.upper(), UNKNOWN_ID, f"{ID}'"])
def test_an_unknown_id_is_not_found(store: MemoryStore, remediation_id: str) -> None:
    response = get_remediation(store, remediation_id)
    assert (response.status_code, error(response)["code"]) == (404, "RemediationNotFound")


def test_what_the_caller_has_already_is_not_sent_again(store: MemoryStore) -> None:
    etag = get_remediation(store, ID).headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = get_remediation(store, ID, **{"If-None-Match": known})
        assert (response.status_code, response.get_body(), response.headers["ETag"]) == (304, b"", etag)


def test_a_list_that_the_caller_has_already_is_not_sent_again() -> None:
    reader = Reader(healed())
    etag = get_list(reader, {}).headers["ETag"]
    assert get_list(reader, {}, {"If-None-Match": etag}).status_code == 304


def overdue_at(store: MemoryStore, now: datetime) -> str | None:
    api = RemediationsApi(unexpected, lambda: store, unexpected, unexpected, lambda: now, subscription_names=dict)
    shown: str | None = document(api.show(http_request("GET", "/remediations/{id}", id=ID)))["dueAt"]
    return shown


def test_what_is_overdue_is_due_at_the_end_of_the_half_minute_and_never_in_the_past(store: MemoryStore) -> None:
    stored = store.load(ID)
    assert stored is not None
    assert stored.remediation.due_at is not None
    due_at = stored.remediation.due_at
    assert overdue_at(store, due_at) == to_iso(due_at)
    late = datetime(2026, 1, 2, 4, 0, 7, tzinfo=UTC)
    assert overdue_at(store, late) == "2026-01-02T04:00:30.000Z"
    assert overdue_at(store, late + timedelta(seconds=23)) == "2026-01-02T04:00:30.000Z"


def test_what_has_changed_is_sent_again(store: MemoryStore) -> None:
    before = get_remediation(store, ID).headers["ETag"]
    end_well(store)
    response = get_remediation(store, ID, **{"If-None-Match": before})
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-cache")
    assert response.headers["ETag"] != before


def test_an_active_remediation_is_cancelled_with_the_reason_of_the_caller(store: MemoryStore) -> None:
    response = post_cancel(store, ID, {"reason": "repaired by hand"})
    history = document(response)["history"]
    assert (response.status_code, history[-1]["to"]) == (200, "Cancelled")
    assert "repaired by hand" in history[-1]["reason"]


def test_a_cancelled_one_may_be_cancelled_again(store: MemoryStore) -> None:
    first = post_cancel(store, ID)
    assert document(post_cancel(store, ID)) == document(first)


def test_one_that_has_ended_otherwise_cannot_be_cancelled(store: MemoryStore) -> None:
    end_well(store)
    response = post_cancel(store, ID)
    assert (response.status_code, error(response)["code"]) == (409, "AlreadyEnded")
    assert document(get_remediation(store, ID))["status"] == "Healed"


def test_what_is_unknown_cannot_be_cancelled(store: MemoryStore) -> None:
    assert post_cancel(store, UNKNOWN_ID).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"junk", 400), (b"[]", 400), (b'{"reason": 5}', 400), (b'{"reason": ""}', 400), (b"x" * 1024 * 1024, 413)],
)
def test_a_bad_body_cancels_nothing(store: MemoryStore, body: bytes, status: int) -> None:
    assert post_cancel(store, ID, body).status_code == status
    assert document(get_remediation(store, ID))["status"] == "Queued"


def test_a_form_is_no_json(store: MemoryStore) -> None:
    response = post_cancel(store, ID, b"reason=x", **{"Content-Type": "application/x-www-form-urlencoded"})
    assert response.status_code == 415


@given(st.binary(min_size=1))
def test_any_bytes_are_answered_in_arms_shape(body: bytes) -> None:
    response = post_cancel(store_with(queued()), ID, body)
    assert response.status_code == 200 or error(response)["code"]


def test_an_active_remediation_says_when_to_poll_again_and_an_ended_one_does_not(store: MemoryStore) -> None:
    assert get_remediation(store, ID).headers["Retry-After"] == "15"
    end_well(store)
    assert "Retry-After" not in get_remediation(store, ID).headers
