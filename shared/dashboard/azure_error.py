"""Azure's errors, made ready to be read. Pure; what Azure sends is foreign, of any shape and any depth."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain.arm_results import ArmError

_DEEPEST = 6
_SAID = frozenset({"code", "message", "target", "recommendedaction", "details", "innererror"})


@dataclass(frozen=True, slots=True)
class AzureError:
    """One error, with those behind it."""

    code: str
    message: str
    target: str
    advice: tuple[str, ...]
    """What Azure recommends to do (`recommendedAction`)."""
    causes: tuple["AzureError", ...]
    """`details`, then `innerError`."""
    more: str
    """Everything else that Azure said, as JSON; empty where there is nothing else."""


def read_azure_error(error: ArmError) -> AzureError:
    """The error in ARM's shape, or in that of a backup instance, as far as it has one of them."""
    return _problem(error, 1)


def _problem(error: object, depth: int) -> AzureError:
    if not isinstance(error, Mapping):
        return AzureError("", _text(error), "", (), (), "")
    # Azure's services differ in how they case these names.
    by_name = {str(name).lower(): value for name, value in error.items()}
    causes = [*_list(by_name.get("details")), *_list(by_name.get("innererror"))]
    rest = {name: value for name, value in error.items() if str(name).lower() not in _SAID and _says(value)}
    if causes and depth == _DEEPEST:
        rest["details"], causes = causes, []
    return AzureError(
        code=_text(by_name.get("code")),
        message=_text(by_name.get("message")),
        target=_text(by_name.get("target")),
        advice=tuple(filter(None, map(_text, _list(by_name.get("recommendedaction"))))),
        causes=tuple(_problem(cause, depth + 1) for cause in causes),
        more=_json(rest) if rest else "",
    )


def _says(value: object) -> bool:
    return value not in (None, "", [], {})


def _list(value: object) -> list[Any]:
    if not _says(value):
        return []
    return list(value) if isinstance(value, list) else [value]


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
