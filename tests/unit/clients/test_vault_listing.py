"""A vault's list from a Resource Manager that gives strange pages: nothing leads the token elsewhere or for ever."""

import json
from typing import Any, cast

import pytest
import requests

from shared.clients.arm import ArmClient
from shared.clients.arm_transport import ArmTransport
from shared.clients.credential import TokenCache
from shared.domain.arm_results import TransientFailure, VaultListed, VaultRefused, VaultResult
from shared.domain.resource_ids import BackupVaultId
from shared.rate_limits.rate_limiter import Gcra, RateLimiter
from tests.support.alert_bodies import DISK, INSTANCE, VAULT
from tests.support.episodes import NOW
from tests.support.memory_store import MemoryStore

ENDPOINT = "https://management.azure.com"
NEXT = f"{ENDPOINT}{VAULT}/backupInstances?api-version=2024-04-01&$skipToken=x"
Json = dict[str, Any]


class Token:
    def current(self) -> str:
        return "token"

    def instead_of(self, refused: str) -> str:
        return refused


class Session:
    """Answers every call with the next page, the last one for ever."""

    def __init__(self, *pages: tuple[int, object]) -> None:
        self._pages = list(pages)
        self.urls: list[str] = []

    def request(self, method: str, url: str, **_: object) -> requests.Response:
        status, body = self._pages[min(len(self.urls), len(self._pages) - 1)]
        self.urls.append(url)
        response = requests.Response()
        response.status_code, response._content = status, json.dumps(body).encode()
        return response


def listed(session: Session) -> VaultResult:
    buckets = MemoryStore().buckets
    writes, reads = (RateLimiter(kind, Gcra(99, 9), buckets, lambda: NOW) for kind in ("writes", "reads"))
    calls = ArmTransport(cast(TokenCache, Token()), cast(requests.Session, session), lambda: NOW)
    client = ArmClient(ENDPOINT, (), calls, writes, reads)
    return client.instances(BackupVaultId.parse(VAULT))


def instance(resource_id: object = DISK, instance_id: object = INSTANCE) -> Json:
    return {"id": instance_id, "properties": {"dataSourceInfo": {"resourceID": resource_id}}}


def test_pages_are_followed_to_the_end() -> None:
    answer = listed(Session((200, {"value": [instance()], "nextLink": NEXT}), (200, {"value": [instance()]})))
    assert isinstance(answer, VaultListed)
    assert [str(one.id) for one in answer.instances] == [INSTANCE, INSTANCE]


@pytest.mark.parametrize("link", ["https://evil.example/", NEXT.replace("https", "http"), NEXT + "#x", "x"])
def test_a_next_link_to_elsewhere_is_not_called(link: str) -> None:
    session = Session((200, {"value": [], "nextLink": link}))
    answer = listed(session)
    assert isinstance(answer, VaultRefused)
    assert (answer.error["code"], len(session.urls)) == ("UnsafeNextLink", 1)


def test_links_in_a_circle_come_to_an_end() -> None:
    answer = listed(Session((200, {"value": [], "nextLink": NEXT})))
    assert isinstance(answer, VaultRefused)
    assert answer.error["code"] == "TooManyPages"


@pytest.mark.parametrize("status", [401, 408, 429, 500, 503])
def test_what_may_pass_is_no_answer_yet(status: int) -> None:
    assert isinstance(listed(Session((status, {}))), TransientFailure)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_what_will_not_pass_is_a_refusal(status: int) -> None:
    answer = listed(Session((status, {"error": {"code": "X", "message": "no"}})))
    assert answer == VaultRefused(status, {"code": "X", "message": "no"})


@pytest.mark.parametrize("page", [None, [], {}, {"value": {}}])
def test_a_page_that_is_none_is_a_refusal(page: object) -> None:
    assert isinstance(listed(Session((200, page))), VaultRefused)


@pytest.mark.parametrize(
    "strange",
    [
        None,
        {},
        instance(None),
        instance(""),
        instance(5),
        instance(instance_id="x"),
        instance(DISK, VAULT),
        instance(DISK, INSTANCE.replace("testvault", "other")),
        [],
    ],
)
def test_an_entry_without_an_id_or_a_resource_is_passed_over(strange: object) -> None:
    answer = listed(Session((200, {"value": [strange, instance()]})))
    assert isinstance(answer, VaultListed)
    assert [str(one.id) for one in answer.instances] == [INSTANCE]
