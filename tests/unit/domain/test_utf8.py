"""JSON whose texts UTF-8 can write, whatever stands in it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.utf8 import as_utf8, read_json

texts = st.text(st.characters(exclude_categories=()), max_size=20)
values = st.recursive(st.none() | st.integers() | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner))


@given(values, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-be"]))
def test_whatever_json_brings_can_be_written(value: Any, is_ascii: bool, encoding: str) -> None:
    body = json.dumps(value, ensure_ascii=is_ascii).encode(encoding, errors="surrogatepass")
    json.dumps(read_json(body), ensure_ascii=False).encode()


@given(st.text())
def test_a_text_that_can_be_written_is_left_as_it_is(text: str) -> None:
    assert (read_json(json.dumps(text).encode()), as_utf8(text)) == (text, text)


def test_a_lone_surrogate_becomes_a_question_mark_and_a_pair_is_a_character() -> None:
    assert read_json(rb'{"a\ud83d": "\ud83d\ude00 \ud83d"}') == {"a?": "\N{GRINNING FACE} ?"}


@pytest.mark.parametrize("body", [b"", b"<html>", rb'"\ud83d', b"\xff\xff"])
def test_what_is_no_json_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"column|decode"):
        read_json(body)
