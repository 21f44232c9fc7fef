"""The catalogue of error codes: what it holds, how a code is found in it, and which tables of a user's own it takes."""

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shared
from shared.domain.arm_results import is_own_code
from shared.domain.error_codes import CodeEntry, ErrorClass, ErrorCodes, Remedy, azure_code, read_entries
from tests.support.json_values import json_values

CATALOGUE = ErrorCodes()
CODES = [code for entry in CATALOGUE.entries for code in entry.codes]
ENTRY = '{"codes": ["UserErrorOurs"], "class": "Never", "whatToDo": "Ask the platform team."}'


def test_each_code_stands_in_the_table_once() -> None:
    folded = [code.lower() for code in CODES]
    assert len(set(folded)) == len(folded) >= 60


@pytest.mark.parametrize("entry", CATALOGUE.entries, ids=lambda entry: entry.codes[0])
def test_an_entry_of_the_table_says_what_is_wrong_and_what_to_do_and_links_to_microsoft(
    entry: CodeEntry,
) -> None:
    assert re.fullmatch(r"[A-Z][^.]*(\.Storage[^.]*)?\.", entry.what_to_do)
    assert re.fullmatch(r"[A-Z][^.]*\.", entry.meaning or "")
    assert entry.link is not None
    assert entry.link.startswith("https://learn.microsoft.com/azure/")


@pytest.mark.parametrize("code", CODES)
def test_a_code_is_found_as_itself_in_any_case_and_with_the_name_of_a_service(code: str) -> None:
    met = code.replace("*", "Xy")
    spellings = (met, met.upper(), f"BMS{met}", f"Dpp{met}", f"{met}BMS", f"bms{met.lower()}dpp")
    assert {CATALOGUE.find(spelling) for spelling in spellings} == {CATALOGUE.find(met)}
    assert (CATALOGUE.find(met) or ("",))[0] == code


@pytest.mark.parametrize(
    "code", ["", "Dpp", "UserError", "UserErrorManagedDiskNotFoundAtAll", "XUserErrorPVCHasNoVolume"]
)
def test_what_only_looks_like_a_code_is_unknown(code: str) -> None:
    assert CATALOGUE.find(code) is None


@given(st.text())
def test_any_text_can_be_looked_up(code: str) -> None:
    CATALOGUE.find(code)


def test_a_users_entry_comes_before_the_table_also_as_a_glob() -> None:
    own = read_entries('[{"codes": ["UserErrorManaged*"], "class": "Person", "whatToDo": "Wait for the move."}]')
    found = ErrorCodes(own).find("UserErrorManagedDiskNotFound")
    assert found == ("UserErrorManaged*", own[0])


def test_of_two_entries_of_a_user_the_first_counts() -> None:
    first, second = read_entries(f"[{ENTRY}, {ENTRY.replace('Never', 'Job')}]")
    assert ErrorCodes((first, second)).class_of({"code": "UserErrorOurs", "message": ""}) is ErrorClass.NEVER


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "Expecting value"),
        ("{}", "Expected `array`"),
        ("[" * 100_000, "nested too deep"),
        ("[{}]", "missing required field `codes`"),
        (f"[{ENTRY}, {ENTRY.replace('Never', 'Sometimes')}]", r"\$\[1\].class"),
        (f"[{ENTRY.replace('codes', 'code')}]", "unknown field `code`"),
        (f"[{ENTRY.replace('UserErrorOurs', '*')}]", r"\$\[0\].codes\[0\]"),
        (f"[{ENTRY.replace('UserErrorOurs', 'User[Error')}]", r"\$\[0\].codes\[0\]"),
        (f"[{ENTRY.replace('Ask the platform team.', ' ')}]", "whatToDo"),
        (f'[{ENTRY[:-1]}, "link": "http://x.example/"}}]', "link"),
        (f'[{ENTRY[:-1]}, "link": "https://x.example/ javascript:"}}]', "link"),
        (f'[{ENTRY[:-1]}, "remedy": "Role", "role": "Reader"}}]', "the remedy Role needs scope"),
        (f'[{ENTRY[:-1]}, "remedy": "Registration"}}]', "the remedy Registration needs provider"),
        ("[" + ", ".join([ENTRY] * 1001) + "]", "length <= 1000"),
    ],
)
def test_a_table_that_is_none_is_refused_with_the_place(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_entries(text)


@given(json_values())
def test_any_json_is_a_table_or_a_value_error(value: object) -> None:
    with suppress(ValueError):
        read_entries(json.dumps(value))


def test_a_role_or_a_lock_has_a_place_in_every_entry_of_the_table() -> None:
    repaired = [entry for entry in CATALOGUE.entries if entry.remedy in (Remedy.ROLE, Remedy.LOCK)]
    assert repaired
    assert all(entry.scope for entry in repaired)


def test_every_code_that_the_app_gives_an_error_itself_is_known_as_its_own() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(shared.__path__[0]).rglob("*.py")]
    given_here = {code for source in sources for code in re.findall(r'new_error\(\s*"(\w+)"', source)}
    assert given_here
    assert {code for code in given_here if not is_own_code(code)} == set()


@pytest.mark.parametrize(
    "code", ["Http404", "HTTP503", "OperationFailed", "OperationCanceled", "NoResponse", "ProtectionError"]
)
def test_a_code_of_the_app_s_own_says_nothing_about_a_backup(code: str) -> None:
    assert azure_code({"code": code, "message": ""}) is None


@pytest.mark.parametrize("error", [None, {}, {"code": None}, {"code": 5}, {"code": ""}])
def test_an_error_without_a_code_has_none(error: dict[str, object] | None) -> None:
    assert azure_code(error) is None
