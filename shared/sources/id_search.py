"""Search for ARM ids in any text: all that has the form of one counts, be it the whole text or a word in it.

Anybody may send an alert: nothing here takes longer than in proportion to the text.
"""

import re
from itertools import takewhile
from urllib.parse import unquote

_LIST_SEPARATOR = re.compile(r"[,;\r\n]")
_ID_OR_URL = re.compile(r"(?:https://[^/\s]+(?=/))?(/?subscriptions/.*)", re.IGNORECASE | re.DOTALL)
_NOT_IN_ID = re.compile(r"""["'<>|?#\\`{}!]|//|[\s(\[=]/""")
_ID_END = r"""\s,;"'`{}\[\]<>|?#\\&!…"""
"""Characters that end an id inside a text. Backslash and `&` are in no name, but in JSON inside JSON and in HTML."""
_ID_IN_TEXT = re.compile(
    rf"""(?:(?<![^\s,;:"'`{{(\[<>=|])|https://[^/{_ID_END}]++)(/subscriptions/[^{_ID_END}]++)""", re.IGNORECASE
)
_ENCODED_ID = re.compile(rf"(?:%2F)?subscriptions%2F[^/{_ID_END}]++", re.IGNORECASE)
"""A whole id that is percent-encoded, as it stands in links of the Azure portal."""
_PUNCTUATION = ".:"
"""Characters that may follow an id in a sentence."""
_PARENTHESIS = re.compile(r"[()]")


def ids_in(text: str) -> list[str]:
    """The ARM ids in a text: the whole text, all items of a list, or words in it, which end at a blank.

    Only an id that stands alone or in a list may have blanks and brackets in its names; a word may have parentheses
    that are closed. The ids are not checked further: they begin with `/subscriptions/`, or `subscriptions/` where
    they stand alone.
    """
    items = [stripped for item in _LIST_SEPARATOR.split(text) if (stripped := item.strip())]
    matches = [match[1] for match in takewhile(bool, map(_match_id, items)) if match]
    if len(matches) != len(items):
        matches = [_without_end_of_sentence(match[1]) for match in _ID_IN_TEXT.finditer(text)]
        matches += [unquote(match[0]) for match in _ENCODED_ID.finditer(text)]
    return [_decoded(match) for match in matches]


def _match_id(text: str) -> re.Match[str] | None:
    match = _ID_OR_URL.fullmatch(text)
    if not match or _NOT_IN_ID.search(match[1]):
        return None
    return match if len(_closed(match[1])) == len(match[1]) else None


def _without_end_of_sentence(word: str) -> str:
    return _closed(word.rstrip(_PUNCTUATION)).rstrip(_PUNCTUATION)


def _closed(text: str) -> str:
    """The text up to the first parenthesis that is not balanced."""
    opened: list[int] = []
    for match in _PARENTHESIS.finditer(text):
        if match[0] == "(":
            opened.append(match.start())
        elif opened:
            opened.pop()
        else:
            return text[: opened[0] if opened else match.start()]
    return text[: opened[0]] if opened else text


def _decoded(resource_id: str) -> str:
    """An id as a URL writes it, with its names decoded; a name that would then hold a slash stays as it is."""
    if "%" not in resource_id:
        return resource_id
    names = [(name, unquote(name)) for name in resource_id.split("/")]
    return "/".join(name if "/" in decoded else decoded for name, decoded in names)
