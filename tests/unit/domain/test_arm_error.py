"""Advice of Azure's, wherever in an error it stands."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.arm_error import MAX_ADVICE, MAX_ADVICE_CHARS, advice_of, with_advice
from tests.support.json_values import json_values

SCOPE = "/subscriptions/6d1f0e2a-0000-4000-8000-000000000001/resourceGroups/rg(1)/providers/Microsoft.Storage/x/y"
CLIENT = "a8b24f84-0000-4000-8000-000000000002"
ACTION = "Microsoft.Authorization/roleAssignments/read"
NO_RIGHT = (
    f"Validate for Protection failed. Exception Message: The client '{CLIENT}' with object id '{CLIENT}' does not"
    f" have authorization to perform action '{ACTION}' over scope '{SCOPE}' or the scope is invalid. If access was"
    " recently granted, please refresh your credentials."
)
LINKED = (
    f"The client '{CLIENT}' with object id '{CLIENT}' has permission to perform action 'a/b/write' on scope '/x';"
    f" however, it does not have permission to perform action(s) '{ACTION}' on the linked scope(s) '{SCOPE}'"
    " (respectively) or the linked scope(s) are invalid."
)
MISSING = f"Missing permission: {ACTION} on {SCOPE}, for the client {CLIENT}."


def error(**fields: Any) -> dict[str, Any]:
    return {"code": "UserErrorMissingRequiredPermissions", "message": "Permissions are missing.", **fields}


def info(**fields: Any) -> dict[str, Any]:
    return error(additionalInfo=[{"type": "UserFacingError", "info": fields}])


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        pytest.param(error(recommendedAction=["Grant it.", "Wait."]), ["Grant it.", "Wait."], id="a list"),
        pytest.param(error(recommendedAction="Grant it."), ["Grant it."], id="a text"),
        pytest.param(error(RecommendedActions=["Grant it."]), ["Grant it."], id="another name"),
        pytest.param(info(recommendedAction=["Grant it."]), ["Grant it."], id="in additionalInfo"),
        pytest.param(info(recommendedAction="Grant it."), ["Grant it."], id="a text in additionalInfo"),
        pytest.param(error(innerError={"recommendedAction": ["Grant it."]}), ["Grant it."], id="in innerError"),
        pytest.param(
            error(details=[{}, {"innererror": {"recommendedAction": "Grant it."}}]), ["Grant it."], id="in details"
        ),
        pytest.param(
            info(innerError={"additionalInfo": {"DetailedNonLocalisedMessage": NO_RIGHT}}), [MISSING], id="no right"
        ),
        pytest.param(
            info(innerError={"additionalInfo": {"DetailedNonLocalisedMessage": "Version 10 is too new."}}),
            ["Version 10 is too new."],
            id="another detail",
        ),
        pytest.param(error(message=NO_RIGHT), [MISSING], id="ARM's own message"),
        pytest.param(error(message=LINKED), [MISSING], id="a linked scope"),
        pytest.param(
            info(
                recommendedAction=["Grant it."],
                innerError={"additionalInfo": {"DetailedNonLocalisedMessage": NO_RIGHT}},
            ),
            ["Grant it.", MISSING],
            id="both",
        ),
        pytest.param(
            error(recommendedAction="Grant it.", details=[{"recommendedAction": ["grant  it.", "Wait."]}]),
            ["Grant it.", "Wait."],
            id="repeats",
        ),
        pytest.param(error(recommendedAction=["a\x00\r\nb\u202ec\u200b\ud800"]), ["a bc"], id="control characters"),
        pytest.param(error(recommendedAction=["", " \n ", None, 5, {}, ["x"]]), [], id="nothing to read"),
        pytest.param(error(), [], id="none"),
        pytest.param(None, [], id="no error"),
    ],
)
def test_advice_is_found(given: object, advice: list[str]) -> None:
    assert advice_of(given) == advice


def test_advice_is_bounded_in_number_and_length() -> None:
    many = advice_of(error(recommendedAction=[f"{number}{'x' * 5000}" for number in range(50)]))
    assert len(many) == MAX_ADVICE
    assert all(len(text) == MAX_ADVICE_CHARS and text.endswith("…") for text in many)


def test_an_error_is_shown_with_its_advice_and_else_as_it_came() -> None:
    came = error(recommendedAction="Grant it.", target="x")
    assert with_advice(came) == {**came, "advice": ["Grant it."]}
    assert with_advice(error()) == error()


def test_what_azure_itself_calls_advice_is_shown_as_a_list() -> None:
    assert with_advice(error(advice="Grant it."))["advice"] == ["Grant it."]
    assert "advice" not in with_advice(error(advice=5))


near_errors = st.dictionaries(
    st.sampled_from(["message", "recommendedAction", "advice", "details", "innerError", "additionalInfo", "info"]),
    json_values() | st.recursive(st.text(), lambda inner: st.lists(inner) | st.fixed_dictionaries({"info": inner})),
)


@given(json_values() | near_errors)
def test_whatever_the_error_is_its_advice_is_short_plain_text(value: Any) -> None:
    advice = advice_of(value)
    assert len(advice) <= MAX_ADVICE
    for text in advice:
        assert 0 < len(text) <= MAX_ADVICE_CHARS
        assert text.encode()
        assert all(unicodedata.category(each) not in ("Cc", "Cf", "Cs") for each in text)


def test_an_error_as_deep_as_json_can_be_has_no_advice_and_costs_nothing() -> None:
    depth = 900
    assert advice_of(json.loads('{"a":' * depth + "1" + "}" * depth)) == []
