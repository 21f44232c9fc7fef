"""`POST /api/sweep`: the response, however the sweep ends."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.sweep import SweepApi
from shared.domain.finding import Finding, FindingKind
from shared.healing.finding_search import FindingsResult
from shared.healing.sweep import Opened, Skipped, Sweep, SweepFailed, SweepResult
from tests.support.api_parts import described, document, error, http_request
from tests.support.remediations import INSTANCE, NOW

ERROR = {"code": "AuthorizationFailed", "message": "no", "additionalInfo": [{"type": "t", "info": {"a": 1}}]}
RESULT = SweepResult((Opened(INSTANCE, NOW, "id"),), (Skipped(INSTANCE, "CoolingDown", "rests"),), 3)


def post(
    outcome: SweepResult | SweepFailed = RESULT, query: dict[str, str] | None = None
) -> tuple[func.HttpResponse, list[str]]:
    """The response where the sweep ends like this, and which of its methods were called."""
    sweep: Any = Mock(spec=Sweep)
    sweep.run.side_effect = sweep.preview.side_effect = [outcome]
    response = SweepApi(lambda: sweep).request(http_request("POST", "/sweep", query=query))
    return described(response, "POST", "/sweep"), [name for name, _, _ in sweep.method_calls]


@pytest.mark.parametrize(
    ("query", "status", "method"),
    [
        ({}, 202, "run"),
        ({"dryRun": "false"}, 202, "run"),
        ({"dryRun": "true"}, 200, "preview"),
        ({"dryRun": "True"}, 200, "preview"),
    ],
)
def test_a_dry_run_is_asked_for_by_true(query: dict[str, str], status: int, method: str) -> None:
    response, calls = post(query=query)
    assert (response.status_code, calls) == (status, [method])


@given(st.text().filter(lambda text: text.lower() not in ("true", "false")))
def test_any_other_value_is_refused_and_nothing_is_swept(text: str) -> None:
    response, calls = post(query={"dryRun": text})
    assert (response.status_code, error(response)["target"], calls) == (400, "dryRun", [])


@pytest.mark.parametrize("name", ["dry_run", "dry-run", "what"])
def test_a_misspelt_parameter_is_refused_and_nothing_is_swept(name: str) -> None:
    response, calls = post(query={name: "true"})
    assert (response.status_code, calls) == (400, [])


def test_the_response_says_what_became_of_each_finding() -> None:
    assert document(post()[0]) == {
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
        "findings": None,
    }


def test_of_very_many_the_first_are_named_and_all_are_counted() -> None:
    response, _ = post(SweepResult((), (Skipped(INSTANCE, "NoTurn", "later"),) * 2500, 0))
    left = document(response)["left"]
    assert (left["count"], left["truncated"], len(left["value"])) == (2500, True, 1000)


def test_a_refusal_of_resource_graph_is_a_502_with_its_error_whole() -> None:
    response, _ = post(SweepFailed(ERROR, 403), {"dryRun": "true"})
    refusal = error(response)
    assert (response.status_code, refusal["code"], refusal["details"]) == (502, "ResourceGraphRefused", [ERROR])
    assert "403" in refusal["message"]


@pytest.mark.parametrize(("retry_after", "header"), [(None, "10"), (16.2, "17")])
def test_the_silence_of_resource_graph_is_a_503_that_says_when_to_try_again(
    retry_after: float | None, header: str
) -> None:
    response, _ = post(SweepFailed(ERROR, None, retry_after))
    assert (response.status_code, error(response)["details"]) == (503, [ERROR])
    assert response.headers["Retry-After"] == header


def test_the_response_names_the_findings() -> None:
    found = FindingsResult()
    stale = Finding(INSTANCE, FindingKind.STALE, NOW, None, timedelta(days=1))
    failed = replace(stale, kind=FindingKind.JOB_FAILED, job_id="job-1", error_code="Code")
    found.add([stale, failed], {failed.id})
    response, _ = post(SweepResult((), (), 0, found))
    findings = document(response)["findings"]
    assert (findings["count"], findings["byKind"], findings["complete"]) == (2, {"Stale": 1, "JobFailed": 1}, True)
    assert findings["value"][1]["jobId"] == "job-1"
    assert (findings["new"], [each["isNew"] for each in findings["value"]]) == (1, [False, True])


def test_a_search_that_did_not_end_says_why() -> None:
    response, _ = post(SweepResult((), (), 0, FindingsResult(error=ERROR)))
    findings = document(response)["findings"]
    assert (findings["complete"], findings["error"]) == (False, ERROR)
