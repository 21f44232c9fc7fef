"""Texts that UTF-8 can write. JSON can bring others, where whoever wrote it cut a text between two surrogates. Pure."""

import json
import re
from typing import Any

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""As JSON escapes one, alone or in a pair."""


def as_utf8(text: str) -> str:
    """The text with a question mark in place of each lone surrogate."""
    return text.encode(errors="replace").decode()


def read_json(body: bytes) -> Any:
    """A JSON value of any Unicode encoding, with or without BOM, whose texts UTF-8 can write.

    Raises:
        ValueError, RecursionError: it is none, or one that nests too deeply.
    """
    # As `json.loads` decodes bytes: surrogates that were encoded themselves get through.
    text = as_utf8(body.decode(json.detect_encoding(body), errors="surrogatepass"))
    value = json.loads(text)
    return json.loads(as_utf8(json.dumps(value, ensure_ascii=False))) if _SURROGATE.search(text) else value
