"""Reads errors of Azure for display. Pure; what Azure sends may have any shape and any depth."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.domain.arm_error import advice_of

_MAX_DEPTH = 6
_NAMED_FIELDS = frozenset({"code", "message", "target", "recommendedaction", "details", "innererror"})


@dataclass(frozen=True, slots=True)
class AzureErrorDetail:
    """An Azure error with its nested errors; a text that Azure did not send is empty."""

    code: str = ""
    message: str = ""
    target: str = ""
    recommended_actions: tuple[str, ...] = ()
    """At the top: all advice, wherever it came from."""
    causes: tuple["AzureErrorDetail", ...] = ()
    """`details`, then `innerError`."""
    other_fields: str = ""
    """All remaining fields, as JSON."""


def read_azure_error(error: object) -> AzureErrorDetail:
    """Read an error in ARM's shape or in that of a backup instance; any other value becomes the message."""
    advice = advice_of(error)
    detail = _read(error, 1, advice)
    return replace(detail, recommended_actions=(*advice, *detail.recommended_actions))


def _read(error: object, depth: int, advice: Sequence[str]) -> AzureErrorDetail:
    """`advice` is shown at the top, and not once more where it came from."""
    if not isinstance(error, Mapping):
        return AzureErrorDetail(message=_text(error))
    # Azure's services differ in how they case these names.
    by_name = {str(name).lower(): value for name, value in error.items()}
    causes = [*_list(by_name.get("details")), *_list(by_name.get("innererror"))]
    others = {
        name: value for name, value in error.items() if str(name).lower() not in _NAMED_FIELDS and _has_content(value)
    }
    if causes and depth == _MAX_DEPTH:
        others["details"], causes = causes, []
    return AzureErrorDetail(
        code=_text(by_name.get("code")),
        message=_text(by_name.get("message")),
        target=_text(by_name.get("target")),
        recommended_actions=tuple(
            action for action in map(_text, _list(by_name.get("recommendedaction"))) if action and action not in advice
        ),
        causes=tuple(_read(cause, depth + 1, advice) for cause in causes),
        other_fields=_text(others or None),
    )


def _has_content(value: object) -> bool:
    return value not in (None, "", [], {})


def _list(value: object) -> list[Any]:
    if not _has_content(value):
        return []
    return list(value) if isinstance(value, list) else [value]


def _text(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
