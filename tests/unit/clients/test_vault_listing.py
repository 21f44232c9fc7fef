"""A vault's list from a Resource Manager that gives strange pages: nothing leads the token elsewhere or for ever."""

import json
from typing import Any, cast
from unittest.mock import create_autospec

import pytest
import requests

from shared.clients.arm import ArmClient
from shared.clients.arm_transport import ArmTransport
from shared.clients.credential import TokenCache
from shared.domain.arm_results import Refused, TransientFailure, VaultListed, VaultResult
from shared.domain.resource_ids import BackupVaultId
from shared.rate_limits.rate_limiter import RateLimiter
from tests.support.alert_bodies import DISK, INSTANCE, VAULT

ENDPOINT = "https://management.azure.com"
NEXT = f"{ENDPOINT}{VAULT}/backupInstances?api-version=2024-04-01&$skipToken=x"
Json = dict[str, Any]


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
    writes, reads = (create_autospec(RateLimiter, instance=True) for _ in range(2))
    transport = ArmTransport(create_autospec(TokenCache, instance=True), cast(requests.Session, session))
    return ArmClient(ENDPOINT, (), transport, writes, reads).instances(BackupVaultId.parse(VAULT))


def instances_of(*pages: Json) -> list[str]:
    result = listed(Session(*((200, page) for page in pages)))
    assert isinstance(result, VaultListed), result
    return [str(instance.id) for instance in result.instances]


def refusal(session: Session) -> str:
    result = listed(session)
    assert isinstance(result, Refused), result
    return str(result.error["code"])


def instance(resource_id: object = DISK, instance_id: object = INSTANCE) -> Json:
    return {"id": instance_id, "properties": {"dataSourceInfo": {"resourceID": resource_id}}}


def test_pages_are_followed_to_the_end() -> None:
    assert instances_of({"value": [instance()], "nextLink": NEXT}, {"value": [instance()]}) == [INSTANCE, INSTANCE]


@pytest.mark.parametrize("link", ["https://evil.example/", NEXT.replace("https", "http"), NEXT + "#x", "x"])
def test_a_next_link_to_elsewhere_is_not_called(link: str) -> None:
    session = Session((200, {"value": [], "nextLink": link}))
    assert (refusal(session), len(session.urls)) == ("UnsafeNextLink", 1)


def test_links_in_a_circle_come_to_an_end() -> None:
    assert refusal(Session((200, {"value": [], "nextLink": NEXT}))) == "TooManyPages"


@pytest.mark.parametrize("status", [401, 408, 429, 500, 503])
def test_what_may_pass_is_a_transient_failure(status: int) -> None:
    assert isinstance(listed(Session((status, {}))), TransientFailure)


@pytest.mark.parametrize("status", [302, 401, 406, 409, 412])
def test_a_named_refusal_that_may_pass_is_a_transient_failure(status: int) -> None:
    assert isinstance(listed(Session((status, {"error": {"code": "X", "message": "not now"}}))), TransientFailure)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_what_will_not_pass_is_a_refusal(status: int) -> None:
    error = {"code": "X", "message": "no"}
    assert listed(Session((status, {"error": error}))) == Refused(status, error)


@pytest.mark.parametrize("page", [None, [], {}, {"value": {}}])
def test_a_page_that_is_none_may_pass(page: object) -> None:
    assert isinstance(listed(Session((200, page))), TransientFailure)


@pytest.mark.parametrize(
    "entry",
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
def test_an_entry_without_an_id_or_a_resource_is_passed_over(entry: object) -> None:
    assert instances_of({"value": [entry, instance()]}) == [INSTANCE]
