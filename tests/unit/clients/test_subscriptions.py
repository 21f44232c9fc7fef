"""The list of subscriptions: names by ids, every page or none, and no page from elsewhere."""

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest
import requests

from shared.clients.arm_transport import ArmTransport
from shared.clients.subscriptions import Subscriptions
from shared.domain.arm_results import TransientFailure, new_error

ENDPOINT = "https://management.example"
ONE, TWO = "1A000000-0000-4000-8000-000000000000", "20000000-0000-4000-8000-000000000000"


class Scripted:
    """Answers with these bodies in turn."""

    def __init__(self, *answers: object, status: int = 200) -> None:
        self.answers = list(answers)
        self.status = status
        self.asked: list[str] = []

    def send(self, method: str, url: str) -> requests.Response | TransientFailure:
        self.asked.append(url)
        answer = self.answers.pop(0)
        if isinstance(answer, TransientFailure):
            return answer
        response = requests.Response()
        response.status_code = self.status
        response._content = json.dumps(answer).encode()
        return response

    def names(self) -> Mapping[str, str] | TransientFailure:
        return Subscriptions(ENDPOINT, cast(ArmTransport, self)).names()


def entry(subscription_id: object, name: object = "prod") -> dict[str, Any]:
    return {"subscriptionId": subscription_id, "displayName": name, "state": "Enabled"}


def test_names_are_known_by_ids_in_lower_case() -> None:
    assert Scripted({"value": [entry(ONE), entry(TWO, "test")]}).names() == {ONE.lower(): "prod", TWO: "test"}


def test_all_pages_are_read() -> None:
    scripted = Scripted(
        {"value": [entry(ONE)], "nextLink": f"{ENDPOINT}/subscriptions?page=2"}, {"value": [entry(TWO)]}
    )
    assert scripted.names() == {ONE.lower(): "prod", TWO: "prod"}


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/subscriptions?page=2",
        "http://management.example/subscriptions?page=2",
        f"{ENDPOINT}@evil.example/subscriptions?",
        f"{ENDPOINT}/subscriptions/../evil",
        ["https://evil.example"],
    ],
)
def test_the_token_goes_to_no_next_page_elsewhere(link: object) -> None:
    scripted = Scripted({"value": [], "nextLink": link})
    assert isinstance(scripted.names(), TransientFailure)
    assert len(scripted.asked) == 1


def test_pages_in_a_circle_come_to_an_end() -> None:
    circle = {"value": [], "nextLink": f"{ENDPOINT}/subscriptions?page=1"}
    assert isinstance(Scripted(*[circle] * 1000).names(), TransientFailure)


@pytest.mark.parametrize("broken", [None, 7, [], {}, entry(None), entry(7), entry("short")])
def test_an_entry_that_names_no_subscription_is_left_out(broken: object) -> None:
    assert Scripted({"value": [broken, entry(TWO)]}).names() == {TWO: "prod"}


@pytest.mark.parametrize("name", [None, 7, []])
def test_a_subscription_without_a_name_is_known_all_the_same(name: object) -> None:
    assert Scripted({"value": [entry(TWO, name)]}).names() == {TWO: ""}


def test_a_long_name_is_cut() -> None:
    names = Scripted({"value": [entry(TWO, "n" * 10_000)]}).names()
    assert isinstance(names, Mapping)
    assert len(names[TWO]) == 100


@pytest.mark.parametrize("answer", [{}, [], "no list", {"value": None}, {"value": "all"}])
def test_an_answer_without_a_list_is_none(answer: object) -> None:
    assert isinstance(Scripted(answer).names(), TransientFailure)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_a_refusal_names_nothing(status: int) -> None:
    refusal = {"error": {"code": "AuthorizationFailed", "message": "no"}}
    assert isinstance(Scripted(refusal, status=status).names(), TransientFailure)


def test_silence_names_nothing() -> None:
    assert isinstance(Scripted(TransientFailure(new_error("NoResponse", "silence"))).names(), TransientFailure)
