"""How many remediations met a code, and how many of them healed."""

from dataclasses import replace

from shared.domain.code_statistics import MAX_UNKNOWN_CODES, CodeCount, count_codes
from shared.domain.error_codes import ErrorCodes
from shared.domain.remediation import Status
from shared.domain.summary import Summary, summarize
from tests.support.remediations import queued


def met(code: str | None, status: Status = Status.HEALED) -> Summary:
    return replace(summarize(queued()), status=status, azure_code=code)


def test_a_known_code_is_counted_under_its_entry_whatever_its_spelling() -> None:
    counts = count_codes([met("UserErrorPVCHasNoVolume"), met("DPPUSERERRORPVCX", Status.UNHEALTHY)], ErrorCodes())
    assert counts.known == {"UserErrorPVC*": CodeCount(seen=2, ended=2, healed=1)}
    assert counts.known["UserErrorPVC*"].success_rate == 0.5


def test_what_is_active_cancelled_or_observed_says_nothing_about_success() -> None:
    counts = count_codes(
        [met("X", Status.WAITING_TO_RETRY), met("x", Status.CANCELLED), met("x", Status.WOULD_HEAL)], ErrorCodes()
    )
    assert counts.unknown == {"X": CodeCount(seen=3, ended=0, healed=0)}
    assert counts.unknown["X"].success_rate is None


def test_a_remediation_that_met_no_code_is_not_counted() -> None:
    counts = count_codes([met(None)], ErrorCodes())
    assert (counts.known, counts.unknown) == ({}, {})


def test_of_many_unknown_codes_the_most_frequent_are_named() -> None:
    many = [met(f"Code{number}") for number in range(2 * MAX_UNKNOWN_CODES)]
    counts = count_codes([*many, met("Frequent"), met("Frequent")], ErrorCodes())
    assert len(counts.unknown) == MAX_UNKNOWN_CODES
    assert next(iter(counts.unknown)) == "Frequent"
