"""`GET /api/incidents`."""

import json
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest

from shared.api.incidents import IncidentsApi
from shared.domain import incident
from shared.domain.incident_cause import Cause, ScopeKind
from shared.domain.remediation import new_id
from tests.support.api_parts import described, http_request
from tests.support.clock import Clock
from tests.support.memory_store import MemoryStore
from tests.support.remediations import instance_named


class Incidents:
    """A store with incidents, and the API before it."""

    def __init__(self, *codes: str) -> None:
        self.clock = Clock()
        self.store = MemoryStore(now=self.clock)
        self.ids = [self.open(code) for code in codes]

    def open(self, code: str) -> str:
        self.clock.advance(minutes=1)
        failures = [new_id(instance_named(f"bi-{number}"), self.clock()) for number in range(incident.MIN_MEMBERS)]
        opened = self.store.incidents.count([Cause(code, ScopeKind.VAULT, "/vault")], failures).incident
        assert opened is not None
        return opened.id

    def close(self, incident_id: str) -> None:
        self.store.incidents.change(incident_id, lambda known: incident.close(known, self.clock() + timedelta(hours=1)))

    def respond(self, **params: str) -> func.HttpResponse:
        request = http_request("GET", "/incidents", query=params)
        return described(IncidentsApi(lambda: self.store).list(request), "GET", "/incidents")

    def listed(self, **params: str) -> Any:
        return json.loads(self.respond(**params).get_body())


def ids(page: Any) -> list[str]:
    return [each["id"] for each in page["value"]]


def test_the_newest_come_first() -> None:
    incidents = Incidents("UserErrorA", "UserErrorB")
    assert ids(incidents.listed()) == [*reversed(incidents.ids)]


def test_one_is_shown_with_what_its_members_share() -> None:
    [shown] = Incidents("UserErrorMissingRequiredPermissions").listed()["value"]
    assert (shown["status"], shown["code"], shown["scopeKind"], shown["scope"], shown["members"]) == (
        "Open",
        "UserErrorMissingRequiredPermissions",
        "Vault",
        "/vault",
        5,
    )


def test_while_it_lasts_it_says_what_to_do() -> None:
    incidents = Incidents("UserErrorMissingRequiredPermissions")
    assert incidents.listed()["value"][0]["nextStep"]["text"]
    incidents.close(incidents.ids[0])
    assert incidents.listed()["value"][0]["nextStep"] is None


@pytest.mark.parametrize(("status", "expected"), [("open", 1), ("Closed", 0)])
def test_the_status_filters(status: str, expected: int) -> None:
    incidents = Incidents("UserErrorA", "UserErrorB")
    incidents.close(incidents.ids[0])
    assert ids(incidents.listed(status=status)) == [incidents.ids[expected]]


def test_a_page_leads_to_the_next() -> None:
    incidents = Incidents("UserErrorA", "UserErrorB", "UserErrorC")
    first = incidents.listed(top="2")
    continuation = first["nextLink"].partition("continuation=")[2]
    second = incidents.listed(top="2", continuation=continuation)
    assert (ids(first) + ids(second), second["nextLink"]) == ([*reversed(incidents.ids)], None)


@pytest.mark.parametrize("params", [{"top": "0"}, {"status": "x"}, {"continuation": "x"}, {"unknown": "x"}])
def test_another_query_is_refused(params: dict[str, str]) -> None:
    assert Incidents().respond(**params).status_code == 400
