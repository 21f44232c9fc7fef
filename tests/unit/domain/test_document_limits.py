"""A document is kept whole up to its limit, and cut at what matters least beyond it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain import lifecycle
from shared.domain.arm_results import OperationUrls
from shared.domain.attention import Acknowledgement, Attention
from shared.domain.document_limits import CUT_MARK, MAX_DOCUMENT_CHARS, limit
from shared.domain.recovery import BackupRun
from shared.domain.remediation import Remediation, Transition
from shared.domain.remediation_json import from_json, to_document, to_json
from shared.domain.signal import SyncType
from tests.support.remediations import NOW, healed, queued, recovering, rejected, running

ADVICE = ["Grant the vault's identity the role Disk Backup Reader."]


def with_error(error: Any) -> Remediation:
    return replace(rejected(), error=error)


def nested(depth: int) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = {"innerError": value}
    return value


def with_attempts(count: int, error: Any) -> Remediation:
    base = running()
    attempts = tuple(replace(base.attempt, number=number, error=error) for number in range(1, count + 1))
    return replace(base, attempts=attempts, error=error)


@pytest.mark.parametrize("remediation", [queued(), running(), healed(), rejected()], ids=lambda one: one.status)
def test_an_ordinary_document_is_left_as_it_is(remediation: Remediation) -> None:
    assert limit(remediation) is remediation


def test_an_error_that_fits_is_kept_whole() -> None:
    remediation = with_error({"code": "Long", "message": "x" * 150_000})
    assert limit(remediation) is remediation


def test_of_an_error_without_end_code_message_and_advice_are_kept() -> None:
    error = {"details": ["x" * 900_000], "recommendedAction": ADVICE, "message": "no permission", "code": "UserError"}
    cut = limit(with_error(error)).error
    assert cut is not None
    assert (cut["code"], cut["message"], cut["recommendedAction"]) == ("UserError", "no permission", ADVICE)


def test_a_cut_is_marked_with_the_length_that_came() -> None:
    error = {"code": "Long", "message": "x" * 900_000}
    cut = limit(with_error(error)).error
    assert cut is not None
    assert cut[CUT_MARK] == len(json.dumps(error, separators=(",", ":")))
    assert cut["message"].endswith("...")


def test_a_cut_that_is_cut_again_still_says_what_came() -> None:
    once = limit(with_error({"code": "Long", "message": "x" * 900_000})).error
    assert once is not None
    again = limit(with_attempts(20, once))
    assert again.error is not None
    assert again.error[CUT_MARK] == once[CUT_MARK]


def test_a_text_of_any_alphabet_is_cut_between_its_characters() -> None:
    cut = limit(with_error({"code": "Long", "message": "\N{SNOWMAN}\N{GRINNING FACE}" * 200_000}))
    assert from_json(to_json(cut)) == cut


@pytest.mark.parametrize("depth", [150, 20_000])
def test_an_error_that_nests_without_end_can_be_written_and_read(depth: int) -> None:
    cut = limit(with_error({"code": "Deep", "message": "deep", "innerError": nested(depth)}))
    assert from_json(to_json(cut)) == cut


def test_of_many_attempts_the_first_and_the_newest_are_kept() -> None:
    kept = limit(with_attempts(5_000, {"code": "x", "message": "y" * 100}))
    assert (kept.attempts[0].number, kept.attempt.number) == (1, 5_000)
    assert len(to_json(kept)) <= MAX_DOCUMENT_CHARS


def test_of_a_long_history_the_opening_and_the_newest_are_kept() -> None:
    step = Transition(at=NOW, before=queued().status, after=queued().status, reason="\N{SNOWMAN}" * 400)
    remediation = replace(queued(), history=(*queued().history, *[step] * 500))
    kept = limit(remediation)
    assert kept.history[0] == remediation.history[0]
    assert len(to_json(kept)) <= MAX_DOCUMENT_CHARS


def test_a_url_is_left_out_rather_than_cut() -> None:
    attempt = replace(running().attempt, operation_status_url="https://management.azure.com/" + "x" * 250_000)
    assert limit(replace(running(), attempts=(attempt,))).attempt.operation_status_url is None


def with_backup(**facts: Any) -> Remediation:
    """Being recovered, by a backup of which Azure has told this."""
    base = recovering()
    assert base.recovery is not None
    return replace(base, recovery=replace(base.recovery, backup=BackupRun(requested_at=NOW, status="Failed", **facts)))


@pytest.mark.parametrize(
    "error",
    [{"code": "Long", "message": "x" * 900_000}, {"code": "Deep", "message": "deep", "innerError": nested(20_000)}],
    ids=["long", "deep"],
)
def test_an_error_of_a_backup_is_cut_as_others_are(error: Any) -> None:
    kept = limit(with_backup(error=error))
    assert kept.recovery is not None
    assert kept.recovery.backup is not None
    assert kept.recovery.backup.error is not None
    assert kept.recovery.backup.error["code"] == error["code"]
    assert from_json(to_json(kept)) == kept
    assert len(to_json(kept)) <= MAX_DOCUMENT_CHARS


def test_names_that_a_recovery_calls_by_are_left_out_rather_than_cut() -> None:
    endless = "x" * 250_000
    base = with_backup(job_id=endless, operation_status_url=endless, operation_result_url=endless)
    assert base.recovery is not None
    named = replace(base.recovery, rule=endless, retention_tag=endless, point_id=endless, unknown={"later": endless})
    recovery = limit(replace(base, recovery=named)).recovery
    assert recovery is not None
    assert recovery.backup is not None
    assert (recovery.rule, recovery.retention_tag, recovery.point_id) == (None, None, None)
    assert (recovery.backup.job_id, recovery.backup.operation_urls) == (None, OperationUrls(None, None))


def test_a_recovery_has_all_that_it_goes_on_by_though_attempts_and_history_are_cut() -> None:
    error = {"code": "x", "message": "y" * 3_000}
    base = with_backup(job_id="job", error={"code": "BackupFailed", "message": "short"})
    attempts = tuple(replace(base.attempt, number=number, error=error) for number in range(1, 200))
    kept = limit(replace(base, attempts=attempts))
    assert len(kept.attempts) < len(attempts)
    assert (kept.recovery, kept.status, kept.attempt.number) == (base.recovery, base.status, 199)


def test_the_next_attempt_has_a_number_of_its_own_though_some_before_it_were_cut() -> None:
    kept = limit(with_attempts(5_000, {"code": "x", "message": "y" * 100}))
    assert len(kept.attempts) < 5_000
    assert lifecycle.start_next_attempt(kept, SyncType.DEFAULT, NOW).attempt.number == 5_001


def test_a_note_on_what_needs_a_person_is_cut() -> None:
    endless = "x" * 250_000
    note = Acknowledgement(at=NOW, by=endless, reason=endless, until=NOW, unknown={"later": endless})
    attention = Attention(since=NOW, remediation_id=rejected().id, reason="reason", acknowledgement=note)
    kept = limit(replace(rejected(), attention=attention))
    assert len(to_json(kept)) <= MAX_DOCUMENT_CHARS
    assert kept.attention is not None
    assert kept.attention.acknowledgement is not None


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=50)
sizes = st.sampled_from([0, 9, 1_000, 90_000])
texts = st.builds(lambda piece, size: (piece * size)[:size], st.text(min_size=1, max_size=9), sizes)
values = st.recursive(leaves | texts, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
errors = st.builds(
    lambda code, message, more: {**more, "code": code, "message": message},
    texts,
    texts,
    st.dictionaries(st.text() | st.sampled_from(["details", "recommendedAction", "innerError"]), values, max_size=5),
)


@settings(max_examples=40, deadline=None)
@given(error=errors, texts=st.lists(texts, min_size=4, max_size=4), count=st.sampled_from([1, 5, 40]))
def test_whatever_azure_says_the_document_has_its_limit(error: Any, texts: list[str], count: int) -> None:
    state, reason, status, url = texts
    base = with_attempts(count, error)
    attempts = tuple(
        replace(each, operation_status=status, job_id=status, operation_status_url=url, operation_result_url=url)
        for each in base.attempts
    )
    history = base.history + tuple(replace(step, reason=reason) for step in base.history * count)
    unknown = {"later": reason}
    limited = limit(
        replace(
            base,
            attempts=attempts,
            history=history,
            protection_state=state,
            reason=reason,
            error=error,
            unknown=unknown,
        )
    )
    assert len(to_json(limited)) <= MAX_DOCUMENT_CHARS
    assert limited.error is not None
    assert {type(limited.error["code"]), type(limited.error["message"])} == {str}
    assert limit(limited) is limited
    assert to_document(limited)["status"] == base.status
