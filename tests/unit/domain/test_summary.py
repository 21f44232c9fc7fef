"""A remediation in short, as it is stored and read."""

import json
from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.clock import from_millis, to_millis
from shared.domain import arm_results, lifecycle
from shared.domain.arm_results import new_error
from shared.domain.remediation import Remediation, opened_at_of
from shared.domain.signal import SyncType
from shared.domain.summary import Summary, summarize, summary_from_text, summary_to_text
from tests.support.remediations import ERROR, LATER, after, healed, queued, read, rejected, running, verifying


@pytest.mark.parametrize("remediation", [queued(), running(), verifying(), healed()], ids=lambda each: each.status)
def test_a_stored_summary_says_what_the_remediation_says(remediation: Remediation) -> None:
    assert summary_from_text(remediation.id, summary_to_text(remediation)) == Summary(
        id=remediation.id,
        status=remediation.status,
        instance=str(remediation.instance),
        source=remediation.source,
        opened_at=opened_at_of(remediation.id),
        ended_at=from_millis(to_millis(remediation.ended_at)) if remediation.ended_at else None,
        attempts=1,
        protection_state=remediation.protection_state,
        error_code=None,
    )


def test_a_summary_names_the_error_that_hinders() -> None:
    hindered = summarize(rejected())
    assert hindered.error_code == ERROR["code"]


def test_a_summary_keeps_the_code_that_was_met_on_the_way_to_a_heal() -> None:
    failed = arm_results.OperationFailed("Failed", {"code": "UserErrorOnTheWay", "message": ""}, "job")
    waiting = after(running(), failed, retry_in=timedelta(minutes=5))
    begun = lifecycle.start_next_attempt(waiting, SyncType.DEFAULT, LATER)
    done = after(after(begun, arm_results.SyncDone()), read("ProtectionConfigured"))
    assert (summarize(done).error_code, summarize(done).azure_code) == (None, "UserErrorOnTheWay")


def test_a_summary_names_the_type_of_the_datasource_and_the_incident() -> None:
    disk = "/subscriptions/04cf684a-d41f-4550-9f70-7708a3a2283b/resourceGroups/rg/providers/Microsoft.Compute/disks/d"
    member = replace(rejected(), datasource_id=disk, incident_id=healed().id)
    assert summarize(member).datasource_type == "Microsoft.Compute/disks"
    assert summarize(member).incident_id == healed().id


def test_a_summary_of_an_older_app_names_neither_type_nor_incident() -> None:
    columns = json.loads(summary_to_text(rejected()))[:10]
    old = summary_from_text(rejected().id, json.dumps(columns))
    assert (old.datasource_type, old.incident_id) == (None, None)


def test_a_code_of_the_apps_own_is_none_that_was_met() -> None:
    unsafe = arm_results.OperationFailed("Unknown", new_error("UnsafeOperationUrl", "elsewhere"))
    assert summarize(after(running(), unsafe)).azure_code is None


def test_a_summary_of_an_older_app_names_no_code_of_azures() -> None:
    columns = json.loads(summary_to_text(rejected()))[:7]
    assert summary_from_text(rejected().id, json.dumps(columns)).azure_code is None


def test_a_summary_that_a_newer_app_made_longer_is_read() -> None:
    text = summary_to_text(healed())
    assert summary_from_text(healed().id, text[:-1] + ',"more"]') == summarize(healed())


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "5", '["Healed"]', '["Maybe","i","s",null,1,null,null]', '["Healed","i","s","x",1,null,null]'],
)
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a summary"):
        summary_from_text(healed().id, text)
