"""Reads body and query of a request, which anybody may have sent, into validated models."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NoReturn, TypeVar

import azure.functions as func
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from shared.api.errors import ApiError

MAX_BODY_BYTES = 256 * 1024
"""Bytes; a sync request is a few hundred, a list of a hundred with reasons less than 200,000."""

KEY_PARAMETERS = frozenset({"code", "clientid"})
"""The function key and its name: the host reads them, the app neither does nor passes them on."""

CLIENT_REQUEST_ID = "x-ms-client-request-id"
_CLIENT_REQUEST_ID = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")

Model = TypeVar("Model", bound=BaseModel)


def true_or_false(value: object) -> bool:
    """In any casing, and nothing else: what is taken for a dry run and is none would do the real thing."""
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ValueError(f"{str(value)[:100]!a} is neither true nor false")
    return text == "true"


class DryRunQuery(BaseModel):
    """The query of a route that can preview what it would do."""

    dry_run: Annotated[bool, BeforeValidator(true_or_false)] = Field(False, alias="dryRun")


def client_request_id(request: func.HttpRequest) -> str | None:
    """The caller's `x-ms-client-request-id`, if it can be a header of the ARM call and stand in a log.

    1 to 128 printable ASCII characters; another is ignored, as Resource Manager does.
    """
    given = (request.headers.get(CLIENT_REQUEST_ID) or "").strip()
    return given if _CLIENT_REQUEST_ID.fullmatch(given) else None


def read_body(request: func.HttpRequest, model: type[Model], default_target: str) -> Model:
    """The body as this model.

    Args:
        default_target: the `target` of an error about the body as a whole.

    Raises:
        ApiError: as `read_object` and `validated`.
    """
    return validated(read_object(request), model, default_target)


def read_object(request: func.HttpRequest) -> Mapping[str, Any]:
    """The body as a JSON object.

    Raises:
        ApiError: as `read_json`; 400 if it is no object.
    """
    document = read_json(request)
    if not isinstance(document, dict):
        raise ApiError(400, "InvalidRequest", f"expected a JSON object, got {type(document).__name__}")
    return document


def read_json(request: func.HttpRequest, max_bytes: int = MAX_BODY_BYTES) -> Any:
    """The body as JSON, strictly: no key twice in an object, no NaN. Without a Content-Type it is taken for JSON.

    Raises:
        ApiError: 415 another Content-Type, 413 more than `max_bytes`, 400 no JSON.
    """
    content_type = request.headers.get("Content-Type") or ""
    if content_type and not _is_json(content_type):
        shown = ascii(content_type[:100])
        raise ApiError(415, "UnsupportedMediaType", f"the Content-Type is {shown}, expected application/json")
    body = request.get_body()
    if len(body) > max_bytes:
        raise ApiError(413, "RequestTooLarge", f"the body has {len(body)} bytes, at most {max_bytes} are read")
    try:
        return json.loads(body, object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError) as cause:
        raise ApiError(400, "InvalidJson", f"the body is not JSON: {cause}") from cause


def validated(document: object, model: type[Model], default_target: str) -> Model:
    """A JSON value as this model; `default_target` as for `read_body`.

    Raises:
        ApiError: 400 where the model does not take it; its details name each field.
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
        ApiError: 400 for a parameter that the model does not have, or a value that it does not take; its target names
            the parameter.
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
    """A JSON object; a repeated key is refused, because readers of JSON differ in which one they take."""
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
