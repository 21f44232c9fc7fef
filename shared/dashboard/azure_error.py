"""Reads errors of Azure for display. Pure; what Azure sends may have any shape and any depth."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MAX_DEPTH = 6
_NAMED_FIELDS = frozenset({"code", "message", "target", "recommendedaction", "details", "innererror"})


@dataclass(frozen=True, slots=True)
class AzureErrorDetail:
    """An Azure error with its nested errors; a text that Azure did not send is empty."""

    code: str = ""
    message: str = ""
    target: str = ""
    recommended_actions: tuple[str, ...] = ()
    causes: tuple["AzureErrorDetail", ...] = ()
    """`details`, then `innerError`."""
    other_fields: str = ""
    """All remaining fields, as JSON."""


def read_azure_error(error: object, depth: int = 1) -> AzureErrorDetail:
    """Read an error in ARM's shape or in that of a backup instance; any other value becomes the message."""
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
        recommended_actions=tuple(filter(None, map(_text, _list(by_name.get("recommendedaction"))))),
        causes=tuple(read_azure_error(cause, depth + 1) for cause in causes),
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
