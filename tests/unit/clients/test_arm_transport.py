import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from shared.clients.arm_transport import arm_error, response_error, retry_after


def seconds_of(header: str | None) -> float | None:
    response = requests.Response()
    if header is not None:
        response.headers["Retry-After"] = header
    return retry_after(response)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        (" 7 ", 7),
        ("99999", 3600),
        ("Fri, 02 Jan 2026 03:04:05 GMT", 0),
        ("Wed, 02 Jan 2999 03:04:05 GMT", 3600),
        *((junk, None) for junk in (None, "", "soon", "-1", "1.5", "Fri, 02 Jan 99999 03:04:05 GMT", "9" * 5000)),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date_up_to_an_hour(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header) == seconds


@given(st.text() | st.from_regex(r"(Mon, )?\d{1,3} (Jan|Feb) \d{1,6} \d{1,3}:\d{1,3}(:\d{1,3})?( [+-]?\w{0,12})?"))
def test_any_retry_after_is_within_an_hour_or_none(header: str) -> None:
    seconds = seconds_of(header)
    assert seconds is None or 0 <= seconds <= 3600


def test_an_error_that_is_too_large_is_cut_but_keeps_its_advice() -> None:
    details = [{"message": "x" * 40_000}, {"recommendedAction": ["Grant it."]}]
    cut = arm_error({"code": "C", "message": "m", "details": details}, "-", "-")
    assert (cut["code"], cut["recommendedAction"]) == ("C", ["Grant it."])
    assert "details" not in cut


def test_an_error_that_was_cut_within_a_character_is_a_text_all_the_same() -> None:
    response = requests.Response()
    response._content = rb'{"error": {"code": "Cut\ud83d", "message": "\ud83d\ude00\ud83d"}}'
    assert response_error(response) == {"code": "Cut?", "message": "\N{GRINNING FACE}?"}
