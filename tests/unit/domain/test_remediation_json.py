"""The remediation's document: what is stored today is read, in any version, and nothing of it is lost."""

import json
from typing import Any

import pytest

from shared.domain import arm_results
from shared.domain.error_codes import BUILT_IN
from shared.domain.remediation_json import CorruptDocument, from_json, shown_document, to_document, to_json
from tests.support.remediations import after, healed, queued, rejected, running, verifying

STORED_BY_0_1_0 = (
    '{"id":"fe6483567071-20dafcb78b82790e","backupInstanceId":"/subscriptions/6d1f0e2a-0000-4000-8000-000000000001'
    '/resourceGroups/rg/providers/Microsoft.DataProtection/backupVaults/vault/backupInstances/instance",'
    '"status":"Running","source":"Event","reason":"backup failed","clientRequestId":null,"signals":2,'
    '"openedAt":"2026-01-02T03:04:05.678Z","dueAt":"2026-01-02T03:05:05.678Z","endedAt":null,"publishedAt":null,'
    '"slotAt":null,"deferrals":1,"protectionState":null,"error":{"code":"TooManyRequests","message":"later"},'
    '"attempts":[{"number":1,"syncType":"Default","queuedAt":"2026-01-02T03:04:05.678Z",'
    '"submittedAt":"2026-01-02T03:04:06.000Z","endedAt":null,"operationStatus":"Inprogress",'
    '"operationStatusUrl":"https://management.azure.com/status","operationResultUrl":null,"jobId":null,"error":null}],'
    '"history":[{"at":"2026-01-02T03:04:05.678Z","from":null,"to":"Queued","reason":"backup failed"},'
    '{"at":"2026-01-02T03:04:06.000Z","from":"Queued","to":"Running","reason":"sync accepted"}]}'
)


def document(**changes: object) -> dict[str, Any]:
    return {**to_document(queued()), **changes}


@pytest.mark.parametrize(
    "remediation", [queued(), running(), verifying(), healed(), rejected()], ids=lambda r: r.status
)
def test_a_remediation_is_read_as_it_was_written(remediation: Any) -> None:
    assert from_json(to_json(remediation)) == remediation


@pytest.mark.parametrize("remediation", [queued(), rejected()], ids=lambda r: r.status)
def test_the_document_has_the_types_that_json_has(remediation: Any) -> None:
    assert to_document(remediation) == json.loads(to_json(remediation))


def test_a_document_that_version_0_1_0_stored_is_read_and_written_back_with_the_fields_that_came_since() -> None:
    stored = json.loads(STORED_BY_0_1_0)
    expected = {
        **stored,
        "notBefore": None,
        "recovery": None,
        "attention": None,
        "neededAttentionSince": None,
        "protectionStateBefore": None,
        "latestRecoveryPointBefore": None,
        "datasourceId": None,
        "snapshotGroupId": None,
        "resolution": None,
        "attempts": [{**attempt, "withheldAt": None, "polls": 0} for attempt in stored["attempts"]],
        "ladderAt": None,
        "wakes": 0,
        "incidentId": None,
        "isCanary": False,
        "heldUntil": None,
        "history": [{**step, "by": None, "times": 1} for step in stored["history"]],
    }
    assert to_document(from_json(STORED_BY_0_1_0)) == expected


@pytest.mark.parametrize("absent", ["clientRequestId", "deferrals", "slotAt"])
def test_a_document_from_before_a_field_was_added_is_read(absent: str) -> None:
    old = document()
    del old[absent]
    assert from_json(json.dumps(old)) == queued()


@pytest.mark.parametrize("where", ["remediation", "attempts", "history"])
def test_a_field_that_a_later_version_added_survives_being_read_and_written(where: str) -> None:
    later = document()
    part = later if where == "remediation" else later[where][0]
    part["laterField"] = {"point": None, "steps": [1, 2]}
    assert to_document(from_json(json.dumps(later))) == later


def test_errors_are_shown_with_advice_that_is_not_stored() -> None:
    error = {"code": "x", "message": "y", "details": [{"recommendedAction": "Grant it."}]}
    failed = after(queued(), arm_results.Refused(400, error))
    shown, stored = shown_document(failed, BUILT_IN), to_document(failed)
    assert shown["error"]["advice"] == shown["attempts"][0]["error"]["advice"] == ["Grant it."]
    assert stored["error"] == stored["attempts"][0]["error"] == error


def test_times_are_written_to_the_millisecond_in_utc() -> None:
    assert document()["openedAt"] == "2026-01-02T03:04:05.678Z"


def test_a_text_that_utf_8_cannot_write_is_kept() -> None:
    error = {"code": "x", "message": "\ud800", "more": ["\udfff"]}
    assert to_document(from_json(json.dumps(document(error=error))))["error"] == error


@pytest.mark.parametrize(
    "change",
    [
        {"status": "Nonsense"},
        {"attempts": None},
        {"attempts": []},
        {"openedAt": "soon"},
        {"openedAt": "10889-01-01T00:00:00Z"},
        {"backupInstanceId": "/x"},
        {"history": [{}]},
        {"error": "text"},
        {"signals": "2"},
    ],
)
def test_a_document_that_was_never_written_is_corrupt(change: dict[str, object]) -> None:
    with pytest.raises(CorruptDocument):
        from_json(json.dumps(document(**change)))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", "[" * 100_000])
def test_a_text_that_is_no_document_is_corrupt(text: str) -> None:
    with pytest.raises(CorruptDocument):
        from_json(text)
