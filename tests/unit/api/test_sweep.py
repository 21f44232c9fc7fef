"""What `POST /api/sweep` answers, whatever comes of the sweep."""

import json
from typing import Any, cast

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.sweep import SweepApi
from shared.domain.resource_ids import BackupInstanceId
from shared.healing.sweep import Opened, Skipped, Sweep, SweepFailed, SweepResult
from tests.support.episodes import INSTANCE, NOW

ERROR = {"code": "AuthorizationFailed", "message": "no", "additionalInfo": [{"type": "t", "info": {"a": 1}}]}


class Stub:
    """A sweep that ends like this."""

    def __init__(self, outcome: SweepResult | SweepFailed) -> None:
        self._outcome = outcome
        self.ran: list[str] = []

    def run(self) -> SweepResult:
        return self._end("run")

    def preview(self) -> SweepResult:
        return self._end("preview")

    def _end(self, how: str) -> SweepResult:
        self.ran.append(how)
        if isinstance(self._outcome, SweepFailed):
            raise self._outcome
        return self._outcome


def posted(stub: Stub, query: dict[str, str]) -> func.HttpResponse:
    request = func.HttpRequest("POST", "https://app.example/api/sweep", params=query, body=b"")
    return SweepApi(lambda: cast(Sweep, stub)).request(request)


def document(response: func.HttpResponse) -> Any:
    return json.loads(response.get_body())


SWEPT = SweepResult((Opened(INSTANCE, NOW, "id"),), (Skipped(INSTANCE, "CoolingDown", "rests"),), 3)


@pytest.mark.parametrize(
    ("query", "status", "how"),
    [
        ({}, 202, "run"),
        ({"dryRun": "false"}, 202, "run"),
        ({"dryRun": "true"}, 200, "preview"),
        ({"dryRun": "True"}, 200, "preview"),
    ],
)
def test_a_dry_run_is_asked_for_by_true(query: dict[str, str], status: int, how: str) -> None:
    stub = Stub(SWEPT)
    assert posted(stub, query).status_code == status
    assert stub.ran == [how]


@given(st.text().filter(lambda text: text.lower() not in ("true", "false")))
def test_any_other_value_is_refused_and_nothing_is_swept(text: str) -> None:
    stub = Stub(SWEPT)
    response = posted(stub, {"dryRun": text})
    assert (response.status_code, document(response)["error"]["target"]) == (400, "dryRun")
    assert stub.ran == []


@pytest.mark.parametrize("name", ["dry_run", "dry-run", "what"])
def test_a_misspelt_parameter_is_refused_and_nothing_is_swept(name: str) -> None:
    stub = Stub(SWEPT)
    assert posted(stub, {name: "true"}).status_code == 400
    assert stub.ran == []


def test_the_answer_says_what_became_of_each_finding() -> None:
    assert document(posted(Stub(SWEPT), {})) == {
        "dryRun": False,
        "found": 2,
        "unreadable": 3,
        "opened": {
            "count": 1,
            "truncated": False,
            "value": [
                {"backupInstanceId": str(INSTANCE), "remediationId": "id", "beginsAt": "2026-01-02T03:04:05.678Z"}
            ],
        },
        "left": {
            "count": 1,
            "truncated": False,
            "value": [{"backupInstanceId": str(INSTANCE), "code": "CoolingDown", "reason": "rests"}],
            "byCode": {"CoolingDown": 1},
        },
    }


def test_of_very_many_the_first_are_named_and_all_are_counted() -> None:
    instance = BackupInstanceId(INSTANCE.subscription_id, "rg", "vault", "bi")
    left = document(posted(Stub(SweepResult((), (Skipped(instance, "NoTurn", "later"),) * 2500, 0)), {}))["left"]
    assert (left["count"], left["truncated"], len(left["value"])) == (2500, True, 1000)


def test_a_refusal_of_resource_graph_is_a_502_with_its_error_whole() -> None:
    response = posted(Stub(SweepFailed(ERROR, 403)), {"dryRun": "true"})
    error = document(response)["error"]
    assert (response.status_code, error["code"], error["details"]) == (502, "ResourceGraphRefused", [ERROR])
    assert "403" in error["message"]


@pytest.mark.parametrize(("asked_for", "header"), [(None, "10"), (16.2, "17")])
def test_the_silence_of_resource_graph_is_a_503_that_says_when_to_ask_again(
    asked_for: float | None, header: str
) -> None:
    response = posted(Stub(SweepFailed(ERROR, None, asked_for)), {})
    assert (response.status_code, document(response)["error"]["details"]) == (503, [ERROR])
    assert response.headers["Retry-After"] == header
