"""Advice in an error of Azure's: what somebody can do about it, wherever in the error it stands. Pure.

Azure Backup puts it into `recommendedAction`, a text or a list, of the error itself, of `additionalInfo[].info`, of
`innerError` and of `details` ("Back up blobs by REST API", "Restore PostgreSQL by REST API": failed operations). Which
permission is missing, and where, only a sentence says: ARM's own, or the one in `DetailedNonLocalisedMessage`.
"""

import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

MAX_ADVICE = 8
"""Pieces."""
MAX_ADVICE_CHARS = 1_000
"""Of one piece."""
_MAX_VALUES = 500
"""Of an error that are looked at; nearer ones first."""
_HIDDEN = frozenset({"Cf", "Cs", "Co", "Cn"})
"""Unicode categories: format (overrides of the direction, zero widths), surrogates, private use, unassigned."""
_ACTIONS = frozenset({"recommendedaction", "recommendedactions", "advice"})
_SENTENCES = frozenset({"message", "detailednonlocalisedmessage"})
_DETAIL = "detailednonlocalisedmessage"
_MISSING_PERMISSIONS = (
    re.compile(
        r"The client '(?P<client>[^']{1,200})'[^']{0,40}(?:'[^']{0,200}')? does not have authorization to perform"
        r" action '(?P<action>[^']{1,300})' over scope '(?P<scope>[^']{1,1000})'",
        re.IGNORECASE,
    ),
    re.compile(
        r"The client '(?P<client>[^']{1,200})'.{0,1500} does not have permission to perform action\(?s?\)?"
        r" '(?P<action>[^']{1,300})' on the linked scope\(?s?\)? '(?P<scope>[^']{1,1000})'",
        re.IGNORECASE | re.DOTALL,
    ),
)
"""Messages of `AuthorizationFailed` and `LinkedAuthorizationFailed` ("Resolve errors for ARM deployments")."""


def advice_of(error: object) -> list[str]:
    """Azure's advice, and which permission is missing; without repeats, the nearest to the top first."""
    found: dict[str, str] = {}
    for text in (*_actions(error), *_explanations(error)):
        plain = _plain(text)
        if plain and len(found) < MAX_ADVICE:
            found.setdefault(plain.casefold(), plain)
    return list(found.values())


def with_advice(error: Mapping[str, Any]) -> dict[str, Any]:
    """The error as it is shown: as it came, and `advice` where it holds any."""
    advice = advice_of(error)
    shown = {name: value for name, value in error.items() if name != "advice"}
    return {**shown, "advice": advice} if advice else shown


def texts_of(error: object) -> Iterator[str]:
    """Every named text in the error, the nearest to the top first."""
    return (value for _, value in _members(error) if isinstance(value, str))


def _actions(error: object) -> Iterator[str]:
    for name, value in _members(error):
        if name in _ACTIONS:
            yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))


def _explanations(error: object) -> Iterator[str]:
    """Missing permissions in our own words, and the details that only the service that failed knows."""
    for name, value in _members(error):
        if name not in _SENTENCES or not isinstance(value, str):
            continue
        missing = next(filter(None, (pattern.search(value) for pattern in _MISSING_PERMISSIONS)), None)
        if missing:
            yield f"Missing permission: {missing['action']} on {missing['scope']}, for the client {missing['client']}."
        elif name == _DETAIL:
            yield value


def _members(error: object) -> Iterator[tuple[str, Any]]:
    """Every named value in the error, level by level, its name in lower case: services differ in how they case them."""
    waiting = deque([error])
    for _ in range(_MAX_VALUES):
        if not waiting:
            return
        value = waiting.popleft()
        if isinstance(value, Mapping):
            yield from ((str(name).lower(), item) for name, item in value.items())
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)


def _plain(text: str) -> str:
    """One line, of bounded length, without characters that control or hide other text."""
    shown = (each for each in text[: 2 * MAX_ADVICE_CHARS] if unicodedata.category(each) not in _HIDDEN)
    plain = " ".join("".join(" " if unicodedata.category(each) == "Cc" else each for each in shown).split())
    return plain if len(plain) <= MAX_ADVICE_CHARS else f"{plain[: MAX_ADVICE_CHARS - 1].rstrip()}…"
