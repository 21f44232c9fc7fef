"""Texts that UTF-8 can write. JSON can bring others, where whoever wrote it cut a text between two surrogates. Pure."""

import json
import re
from typing import Any

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""As JSON writes one, alone or in a pair."""


def as_utf8(text: str) -> str:
    """The text with a question mark in place of each lone surrogate."""
    return text.encode(errors="replace").decode()


def read_json(body: bytes) -> Any:
    """A JSON value of any Unicode encoding, with or without BOM, whose texts UTF-8 can write.

    Raises:
        ValueError, RecursionError: it is none, or one that nests too deeply.
    """
    value = json.loads(body)
    # In UTF-16 and UTF-32, in which Azure never answers, it is not seen.
    return (
        json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace")) if _SURROGATE.search(body) else value
    )
