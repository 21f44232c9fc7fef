"""Search for ARM ids in any JSON value: which fields of an alert name a resource differs by kind of alert.

All texts are read, and all that has the form of an ARM id counts, be it the whole text or a word in it. Anybody
may send an alert: nothing here takes longer than in proportion to the text.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile

_SKIPPED_KEYS = re.compile(r"searchquery|description|linkto.*", re.IGNORECASE | re.DOTALL)
"""Keys whose texts are an alert rule's own words and no statement about what failed."""
_LIST_SEPARATOR = re.compile(r"[,;\r\n]")
_ID_OR_URL = re.compile(r"(?:https://[^/\s]+(?=/))?(/?subscriptions/.*)", re.IGNORECASE | re.DOTALL)
_NOT_IN_ID = re.compile(r"""["'<>|?#\\]|//|[\s(\[=]/""")
_ID_END = r"""\s,;"'()\[\]<>|?#\\&"""
"""Characters that end an id inside a text. Backslash and `&` are in no name, but in JSON inside JSON and in HTML."""
_ID_IN_TEXT = re.compile(
    rf"""(?:(?<![^\s,;"'(\[<>=|])|https://[^/{_ID_END}]++)(/subscriptions/[^{_ID_END}]++)""", re.IGNORECASE
)
_PUNCTUATION = ".:"
"""Characters that may follow an id in a sentence."""


def texts_in(value: object) -> Iterator[str]:
    """Every text inside a JSON value, in the order of appearance; without recursion, since it may nest deeply."""
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            stack.extend(reversed([item for key, item in value.items() if not _SKIPPED_KEYS.fullmatch(str(key))]))
        elif isinstance(value, list):
            stack.extend(reversed(value))


def ids_in(text: str) -> list[str]:
    """The ARM ids in a text: the whole text, all items of a list, or words in it, which end at a blank.

    Only an id that stands alone or in a list may have blanks and brackets in its names. The ids are not checked
    further: they begin with `/subscriptions/`, or `subscriptions/` where they stand alone.
    """
    items = [stripped for item in _LIST_SEPARATOR.split(text) if (stripped := item.strip())]
    matches = [match[1] for match in takewhile(bool, map(_match_id, items)) if match]
    if len(matches) == len(items):
        return matches
    return [match[1].rstrip(_PUNCTUATION) for match in _ID_IN_TEXT.finditer(text)]


def _match_id(text: str) -> re.Match[str] | None:
    match = _ID_OR_URL.fullmatch(text)
    return match if match and not _NOT_IN_ID.search(match[1]) else None
