"""JSON that comes as text inside JSON: Azure sends claims, custom properties and dimensions in this way."""

import json
from collections.abc import Mapping
from typing import Any


def parse_json_text(text: str) -> Any:
    """The object, array or text that a JSON text holds; None for any other text."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def parse_object(value: object) -> Mapping[str, Any]:
    """A JSON object, or one that comes as JSON text; empty for anything else."""
    if isinstance(value, str):
        value = parse_json_text(value)
    return value if isinstance(value, dict) else {}
