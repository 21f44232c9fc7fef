"""`/api/remediations`: what a query is read as, what is refused, and what is shown."""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn, cast
from urllib.parse import parse_qs, urlsplit

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.remediations import RemediationsApi, continuation
from shared.clients.arm import ArmClient
from shared.domain.remediation import Status, new_id
from shared.domain.remediation_json import to_document
from shared.healing.healer import Healer
from shared.healing.poll_cache import PollCache
from shared.rate_limits.rate_limiter import RateLimiter
from shared.settings import Settings
from shared.storage.queues import SyncJobQueue
from shared.storage.remediation_list import Filters, Page, RemediationReader
from shared.storage.table_rows import Stored
from tests.support.episodes import INSTANCE, LATER, NOW, healed, queued
from tests.support.memory_store import MemoryStore

URL = "https://app.example/api/remediations"
ID = queued().id
Json = dict[str, Any]


@dataclass
class Listing:
    """Stands for what was and is healed; keeps what it was asked."""

    answer: Page = field(default_factory=lambda: Page((), None))
    asked: list[tuple[Filters, int, str | None]] = field(default_factory=list)

    def page(self, filters: Filters, top: int, after: str | None) -> Page:
        self.asked.append((filters, top, after))
        return self.answer


def not_needed() -> NoReturn:
    raise AssertionError


def api(store: MemoryStore | None = None, listing: Listing | None = None) -> RemediationsApi:
    store = store or MemoryStore()
    nobody: Any = None
    arm, writes, jobs = cast(ArmClient, nobody), cast(RateLimiter, nobody), cast(SyncJobQueue, nobody)
    healer = Healer(store, arm, writes, jobs, PollCache(), Settings(), lambda: LATER, lambda: 0.0)
    return RemediationsApi(lambda: healer, lambda: store, lambda: cast(RemediationReader, listing or not_needed()))


def listed(query: dict[str, str], listing: Listing, headers: dict[str, str] | None = None) -> func.HttpResponse:
    return api(listing=listing).list(func.HttpRequest("GET", URL, params=query, headers=headers, body=b""))


def asked(**query: str) -> tuple[Filters, int, str | None]:
    """What the query is read as."""
    listing = Listing()
    assert listed(query, listing).status_code == 200
    return listing.asked[0]


def refused(**query: str) -> Json:
    """The error that the query is refused with."""
    response = listed(query, Listing())
    assert response.status_code == 400
    error: Json = json.loads(response.get_body())["error"]
    return error


def shown(store: MemoryStore, remediation_id: str, **headers: str) -> func.HttpResponse:
    request = func.HttpRequest("GET", URL, headers=headers, route_params={"id": remediation_id}, body=b"")
    return api(store).show(request)


def cancelled(store: MemoryStore, remediation_id: str = ID, body: bytes = b"", **headers: str) -> func.HttpResponse:
    request = func.HttpRequest("POST", URL, headers=headers, route_params={"id": remediation_id}, body=body)
    return api(store).cancel(request)


def document(response: func.HttpResponse) -> Json:
    answer: Json = json.loads(response.get_body())
    return answer


@pytest.fixture
def store() -> MemoryStore:
    """With one queued remediation."""
    store = MemoryStore()
    store.open(queued(), None)
    return store


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
        ("continuation", continuation("0" * 12 + "-" + "0" * 16)),
        ("filter", "x"),
        ("$top", "5"),
    ],
)
def test_a_wrong_parameter_is_named(name: str, value: str) -> None:
    assert refused(**{name: value})["target"] == name


def test_an_unknown_parameter_is_answered_with_those_that_there_are() -> None:
    assert "status, backupInstanceId, subscriptionId, since, top, continuation" in refused(state="x")["message"]


@given(st.dictionaries(st.sampled_from(["status", "since", "top", "continuation", "subscriptionId", "x"]), st.text()))
def test_any_query_is_taken_or_refused(query: dict[str, str]) -> None:
    assert listed(query, Listing()).status_code in (200, 400)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_any_place_comes_back_from_its_continuation(opened_at: datetime) -> None:
    place = new_id(INSTANCE, opened_at)
    assert asked(continuation=continuation(place))[2] == place


@given(st.text(alphabet="ABCDEFabcdef0123456789_-", min_size=39, max_size=39))  # pragma: allowlist secret
def test_a_continuation_that_somebody_made_up_is_refused(made_up: str) -> None:
    assert refused(continuation=made_up)["target"] == "continuation"


def test_the_list_shows_whole_remediations() -> None:
    listing = Listing(Page((Stored(healed(), "e", NOW),), None))
    assert document(listed({}, listing)) == {"value": [to_document(healed())], "nextLink": None}


def test_the_next_link_repeats_the_query_without_the_key() -> None:
    page = Page((Stored(healed(), "e", NOW),), ID)
    query = {"status": "Failed,Healed", "top": "1", "code": "secret", "clientId": "default", "continuation": ""}
    query["continuation"] = continuation(queued().id)
    link = urlsplit(document(listed(query, Listing(page)))["nextLink"])
    assert f"{link.scheme}://{link.netloc}{link.path}" == URL
    assert parse_qs(link.query) == {"status": ["Failed,Healed"], "top": ["1"], "continuation": [continuation(ID)]}


def test_the_next_link_of_a_url_with_a_key_has_no_key() -> None:
    request = func.HttpRequest("GET", f"{URL}?code=secret", params={"code": "secret"}, body=b"")
    response = api(listing=Listing(Page((), ID))).list(request)
    assert "secret" not in response.get_body().decode()


def test_a_remediation_is_shown_whole(store: MemoryStore) -> None:
    assert document(shown(store, ID)) == to_document(queued())


@pytest.mark.parametrize("remediation_id", ["", "x", ID.upper(), "0" * 12 + "-" + "0" * 16, f"{ID}'"])
def test_an_unknown_id_is_not_found(store: MemoryStore, remediation_id: str) -> None:
    response = shown(store, remediation_id)
    assert (response.status_code, document(response)["error"]["code"]) == (404, "RemediationNotFound")


def test_what_the_caller_has_already_is_not_sent_again(store: MemoryStore) -> None:
    etag = shown(store, ID).headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = shown(store, ID, **{"If-None-Match": known})
        assert (response.status_code, response.get_body(), response.headers["ETag"]) == (304, b"", etag)


def test_a_list_that_the_caller_has_already_is_not_sent_again() -> None:
    listing = Listing(Page((Stored(healed(), "e", NOW),), None))
    etag = listed({}, listing).headers["ETag"]
    assert listed({}, listing, {"If-None-Match": etag}).status_code == 304


def test_what_has_changed_is_sent_again(store: MemoryStore) -> None:
    before = shown(store, ID).headers["ETag"]
    end_well(store)
    response = shown(store, ID, **{"If-None-Match": before})
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-cache")
    assert response.headers["ETag"] != before


def test_an_active_remediation_is_cancelled_with_the_reason_of_the_caller(store: MemoryStore) -> None:
    response = cancelled(store, body=b'{"reason": "repaired by hand"}')
    history = document(response)["history"]
    assert (response.status_code, history[-1]["to"]) == (200, "Cancelled")
    assert "repaired by hand" in history[-1]["reason"]


def test_a_cancelled_one_may_be_cancelled_again(store: MemoryStore) -> None:
    first = cancelled(store)
    assert document(cancelled(store)) == document(first)


def test_one_that_has_ended_otherwise_cannot_be_cancelled(store: MemoryStore) -> None:
    end_well(store)
    response = cancelled(store)
    assert (response.status_code, document(response)["error"]["code"]) == (409, "AlreadyEnded")
    assert document(shown(store, ID))["status"] == "Healed"


def test_what_is_unknown_cannot_be_cancelled(store: MemoryStore) -> None:
    assert cancelled(store, "0" * 12 + "-" + "0" * 16).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"junk", 400), (b"[]", 400), (b'{"reason": 5}', 400), (b'{"reason": ""}', 400), (b"x" * 1024 * 1024, 413)],
)
def test_a_bad_body_cancels_nothing(store: MemoryStore, body: bytes, status: int) -> None:
    assert cancelled(store, body=body).status_code == status
    assert document(shown(store, ID))["status"] == "Queued"


def test_a_form_is_no_json(store: MemoryStore) -> None:
    response = cancelled(store, body=b"reason=x", **{"Content-Type": "application/x-www-form-urlencoded"})
    assert response.status_code == 415


@given(st.binary(min_size=1))
def test_any_bytes_are_answered_in_arms_shape(body: bytes) -> None:
    store = MemoryStore()
    store.open(queued(), None)
    response = cancelled(store, body=body)
    assert response.status_code == 200 or document(response)["error"]["code"]


def test_an_active_remediation_says_when_to_look_again_and_an_ended_one_does_not(store: MemoryStore) -> None:
    assert shown(store, ID).headers["Retry-After"] == "15"
    end_well(store)
    assert "Retry-After" not in shown(store, ID).headers
