"""The hash chain over outcomes: what was sealed cannot be changed, added or removed without being seen."""

import hashlib
import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.outcome_chain import COLUMNS, FIRST_HASH, Chain, Seal, cells_of, checked, link, seal
from shared.domain.report import Outcome, outcomes_of
from tests.support.remediations import NOW, healed

TODAY = NOW.date()
DAY = timedelta(days=1)


def outcome(days: int = 0, hours: int = 0, **changes: object) -> Outcome:
    [found] = outcomes_of(healed())
    return replace(found, ended_at=NOW + timedelta(days=days, hours=hours), **changes)  # type: ignore[arg-type] # whichever a test is about


KEPT = [outcome(0), outcome(0, 1), outcome(2), outcome(3)]


def sealed(outcomes: list[Outcome], days: int = 4, before: Seal | None = None) -> list[Seal]:
    """The seals of so many days from today on."""
    seals: list[Seal] = []
    for day in (TODAY + number * DAY for number in range(days)):
        before = seal(day, before, [each for each in outcomes if each.ended_at.date() == day])
        seals.append(before)
    return seals


def check(outcomes: list[Outcome], seals: list[Seal], kept_since: date = TODAY) -> Chain:
    return checked(outcomes, None, seals, kept_since)


def test_a_hash_is_that_of_the_one_before_and_the_cells() -> None:
    [first] = link(FIRST_HASH, [outcome()])
    text = json.dumps([FIRST_HASH, *cells_of(outcome())], separators=(",", ":"))
    assert first.hash == hashlib.sha256(text.encode()).hexdigest()


def test_there_is_a_cell_for_each_column() -> None:
    assert len(cells_of(outcome())) == len(COLUMNS)


def test_given_outcomes_as_they_were_then_every_day_is_as_sealed() -> None:
    assert (check(KEPT, sealed(KEPT)).as_sealed, check(KEPT, sealed(KEPT)).differing) == (4, [])


def test_each_outcome_names_the_hash_before_it_over_days_without_any() -> None:
    links = check(KEPT, sealed(KEPT)).links
    assert [each.previous_hash for each in links] == [FIRST_HASH, *(each.hash for each in links[:-1])]


@pytest.mark.parametrize(
    "changed",
    [
        [*KEPT[:2], replace(KEPT[2], attempts=9), KEPT[3]],
        [*KEPT[:2], KEPT[3]],
        [*KEPT[:3], replace(KEPT[2], remediation_id="other"), KEPT[3]],
    ],
    ids=["changed", "removed", "added"],
)
def test_given_a_day_that_is_not_as_it_was_then_it_alone_is_named(changed: list[Outcome]) -> None:
    chain = check(changed, sealed(KEPT))
    assert (chain.differing, chain.as_sealed) == ([TODAY + 2 * DAY], 3)


def test_given_outcomes_in_another_order_then_the_day_is_named() -> None:
    assert check([KEPT[1], KEPT[0], *KEPT[2:]], sealed(KEPT)).differing == [TODAY]


def test_given_a_seal_that_was_made_anew_then_the_day_behind_it_is_named() -> None:
    changed = [replace(KEPT[0], attempts=9), *KEPT[1:]]
    seals = [seal(TODAY, None, changed[:2]), *sealed(KEPT)[1:]]
    assert check(changed, seals).differing == [TODAY + DAY]


def test_given_days_of_which_some_was_removed_then_they_are_not_compared() -> None:
    chain = check(KEPT[1:], sealed(KEPT), kept_since=TODAY + DAY)
    assert (chain.differing, chain.as_sealed) == ([], 3)


def test_given_days_without_a_seal_yet_then_their_outcomes_follow_the_last_sealed_one() -> None:
    chain = check(KEPT, sealed(KEPT, days=2))
    assert chain.links[2].previous_hash == chain.links[1].hash
    assert chain.as_sealed == 2


def test_given_outcomes_before_the_first_seal_then_they_have_no_hash_and_accuse_nobody() -> None:
    before = [outcome(-2), outcome(-1)]
    chain = check([*before, *KEPT], sealed(KEPT), kept_since=TODAY - 9 * DAY)
    assert (chain.differing, [each.hash for each in chain.links[:2]]) == ([], ["", ""])
    assert chain.links[2].previous_hash == FIRST_HASH


def test_given_a_day_of_which_some_was_removed_then_what_is_left_of_it_has_no_hash() -> None:
    chain = check(KEPT[1:], sealed(KEPT), kept_since=TODAY + DAY)
    assert chain.links[0].hash == ""
    assert chain.links[1].previous_hash == sealed(KEPT)[0].hash


def test_given_no_seal_at_all_then_nothing_has_a_hash() -> None:
    assert {each.hash for each in check(KEPT, []).links} == {""}


def test_given_a_seal_of_the_time_before_then_the_chain_goes_on_from_it() -> None:
    before = Seal(TODAY - DAY, 3, FIRST_HASH, "a" * 64)
    chain = checked(KEPT, before, sealed(KEPT, before=before), TODAY)
    assert (chain.links[0].previous_hash, chain.differing) == ("a" * 64, [])


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_azure_wrote_two_texts_have_two_hashes(one: str, other: str) -> None:
    same = [replace(outcome(), error_code=text) for text in (one, other)]
    hashes = {next(iter(link(FIRST_HASH, [each]))).hash for each in same}
    shown = {text.encode(errors="replace") for text in (one, other)}
    assert len(hashes) <= len(shown)
