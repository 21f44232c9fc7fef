"""The body of a request: bytes that anybody may have sent, on their way to a validated model."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.http_answers import Refusal

_LARGEST_BODY = 64 * 1024
"""Bytes; a sync request is a few hundred."""

Model = TypeVar("Model", bound=BaseModel)


def read_body(body: bytes, model: type[Model], default_target: str) -> Model:
    """The body as this model.

    Args:
        default_target: what an error is about that is about the body as a whole.

    Raises:
        Refusal: 413 too large, 400 no JSON or not what the model wants; its details name each field.
    """
    if len(body) > _LARGEST_BODY:
        raise Refusal(413, "RequestTooLarge", f"the body has {len(body)} bytes, at most {_LARGEST_BODY} are read")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as cause:
        raise Refusal(400, "InvalidJson", f"the body is not JSON: {cause}") from cause
    if not isinstance(document, dict):
        raise Refusal(400, "InvalidRequest", f"expected a JSON object, got {type(document).__name__}")
    try:
        return model.model_validate(document)
    except ValidationError as invalid:
        details = tuple(
            _detail(error, default_target) for error in invalid.errors(include_url=False, include_input=False)
        )
        first = details[0]
        raise Refusal(400, "InvalidRequest", first["message"], first["target"], details) from invalid


def _detail(error: Mapping[str, Any], default_target: str) -> Mapping[str, Any]:
    target = ".".join(str(part) for part in error["loc"]) or default_target
    return {"code": "InvalidField", "message": error["msg"].removeprefix("Value error, "), "target": target}
