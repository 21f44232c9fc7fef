"""Responses of the HTTP API: JSON, an error in ARM's shape, or 304 Not Modified."""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import update_wrapper
from math import ceil
from typing import Any, Concatenate, ParamSpec, TypeVar

import azure.functions as func
from azure.core.exceptions import AzureError

from shared import logs
from shared.api.errors import ApiError, storage_unavailable
from shared.api.requests import client_request_id
from shared.domain.remediation_json import CorruptDocument
from shared.storage.conflicts import WriteConflict

Api = TypeVar("Api")
Rest = ParamSpec("Rest")


def api_errors(
    serve: Callable[Concatenate[Api, func.HttpRequest, Rest], func.HttpResponse],
) -> Callable[Concatenate[Api, func.HttpRequest, Rest], func.HttpResponse]:
    """Answer exceptions with an error in ARM's shape, and log them with the caller's request id."""

    def serve_or_refuse(
        api: Api, request: func.HttpRequest, /, *rest: Rest.args, **named: Rest.kwargs
    ) -> func.HttpResponse:
        try:
            return serve(api, request, *rest, **named)
        except ApiError as error:
            log_error(error, request)
            return error_response(error)
        except CorruptDocument as corrupt:
            unreadable = ApiError(500, "CorruptRemediation", f"the record cannot be read: {corrupt}")
            log_error(unreadable, request)
            return error_response(unreadable)
        except (AzureError, WriteConflict) as cause:
            unavailable = storage_unavailable(cause)
            logs.error("request.failed", reason=unavailable.message, clientRequestId=client_request_id(request))
            return error_response(unavailable)

    update_wrapper(serve_or_refuse, serve)
    return serve_or_refuse


def log_error(error: ApiError, request: func.HttpRequest) -> None:
    """Log why a request, or an item of it, is refused."""
    logs.info(
        "request.refused",
        code=error.code,
        target=error.target,
        reason=error.message,
        clientRequestId=client_request_id(request),
    )


def error_response(error: ApiError) -> func.HttpResponse:
    """The error as a response."""
    headers = {} if error.retry_after is None else {"Retry-After": str(ceil(error.retry_after))}
    return json_response(error.status, error.body(), headers)


def json_response(
    status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    """A JSON document as a response."""
    return func.HttpResponse(
        json.dumps(document), status_code=status, headers=dict(headers or {}), mimetype="application/json"
    )


def conditional_response(request: func.HttpRequest, document: Mapping[str, Any]) -> func.HttpResponse:
    """200 with the document, or 304 if the caller has it already."""
    return conditional_body(request, json.dumps(document).encode(), "application/json", {})


def conditional_body(
    request: func.HttpRequest, body: bytes, media_type: str, headers: Mapping[str, str]
) -> func.HttpResponse:
    """200 with this body, which is UTF-8, and these headers, or 304 if the caller has it already.

    The ETag is made from the body, so that it also changes when a newer app shows the same record otherwise.
    """
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    validators = {"ETag": etag, "Cache-Control": "no-cache"}
    if _matches(request.headers.get("If-None-Match") or "", etag):
        return func.HttpResponse(status_code=304, headers=validators)
    return func.HttpResponse(body, status_code=200, headers={**headers, **validators}, mimetype=media_type)


def _matches(if_none_match: str, etag: str) -> bool:
    """Whether one of these is the ETag, by the weak comparison (RFC 9110, section 13.1.2)."""
    known = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return etag in known or "*" in known
