"""Body and query of a request: what anybody may have sent, on its way to a validated model."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import azure.functions as func
from pydantic import BaseModel, ValidationError

from shared.api.responses import ApiError

MAX_BODY_BYTES = 256 * 1024
"""Bytes; a sync request is a few hundred, a list of a hundred with reasons less than 200,000."""

KEY_PARAMETERS = frozenset({"code", "clientid"})
"""The function key and its name: the host reads them, the app neither does nor passes them on."""

Model = TypeVar("Model", bound=BaseModel)


def read_body(request: func.HttpRequest, model: type[Model], default_target: str) -> Model:
    """The body as this model.

    Args:
        default_target: what an error is about that is about the body as a whole.

    Raises:
        Refusal: as `read_object` and `validated`.
    """
    return validated(read_object(request), model, default_target)


def read_object(request: func.HttpRequest) -> Mapping[str, Any]:
    """The body as a JSON object.

    Raises:
        Refusal: as `read_json`; 400 if it is no object.
    """
    document = read_json(request)
    if not isinstance(document, dict):
        raise ApiError(400, "InvalidRequest", f"expected a JSON object, got {type(document).__name__}")
    return document


def read_json(request: func.HttpRequest, largest: int = MAX_BODY_BYTES) -> Any:
    """The body as JSON, strictly: no key twice in an object, no NaN. Without a Content-Type it is taken for JSON.

    Raises:
        Refusal: 415 another Content-Type, 413 larger than so many bytes, 400 no JSON.
    """
    content_type = request.headers.get("Content-Type") or ""
    if content_type and not _is_json(content_type):
        shown = ascii(content_type[:100])
        raise ApiError(415, "UnsupportedMediaType", f"the Content-Type is {shown}, expected application/json")
    body = request.get_body()
    if len(body) > largest:
        raise ApiError(413, "RequestTooLarge", f"the body has {len(body)} bytes, at most {largest} are read")
    try:
        return json.loads(body, object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError) as cause:
        raise ApiError(400, "InvalidJson", f"the body is not JSON: {cause}") from cause


def validated(document: object, model: type[Model], default_target: str) -> Model:
    """A JSON value as this model; `default_target` as for `read_body`.

    Raises:
        Refusal: 400 not what the model wants; its details name each field.
    """
    try:
        return model.model_validate(document)
    except ValidationError as invalid:
        details = tuple(
            _detail(error, default_target) for error in invalid.errors(include_url=False, include_input=False)
        )
        first = details[0]
        raise ApiError(400, "InvalidRequest", first["message"], first["target"], details) from invalid


def read_query(request: func.HttpRequest, model: type[Model]) -> Model:
    """The query as this model; names in any casing, as ASP.NET takes them.

    Raises:
        Refusal: 400 for a parameter that the model has not, or a value that it does not want; its target names it.
    """
    known = {str(field.alias or name).lower(): str(field.alias or name) for name, field in model.model_fields.items()}
    values: dict[str, str] = {}
    for name, value in request.params.items():
        if name.lower() in KEY_PARAMETERS:
            continue
        if name.lower() not in known:
            listed = ", ".join(known.values()) or "none"
            raise ApiError(400, "InvalidQuery", f"unknown parameter {name[:100]!a}; there are: {listed}", name[:100])
        values[known[name.lower()]] = value
    return validated(values, model, "query")


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type in ("application/json", "text/json") or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object as it came; a key that stands twice means different things to different readers."""
    read: dict[str, Any] = {}
    for name, value in pairs:
        if name in read:
            raise ValueError(f"the key {name[:100]!a} stands twice in one object")
        read[name] = value
    return read


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")


def _detail(error: Mapping[str, Any], default_target: str) -> Mapping[str, Any]:
    target = ".".join(str(part) for part in error["loc"]) or default_target
    return {"code": "InvalidField", "message": error["msg"].removeprefix("Value error, "), "target": target}
