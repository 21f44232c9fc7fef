"""What every route of the HTTP API answers with: JSON, or an error in ARM's shape.

The shape is `{"error": {code, message, target, details}}` (Resource Manager REST guidelines, "Error response").
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import azure.functions as func
from azure.core.exceptions import AzureError

from shared import logs
from shared.storage.remediation_store import WriteConflict


@dataclass(eq=False)
class ApiError(Exception):
    """A request that cannot be served: an HTTP status and ARM's error."""

    status: int
    code: str
    message: str
    target: str | None = None
    details: tuple[Mapping[str, Any], ...] = ()


def api_errors(serve: Callable[[], func.HttpResponse], **context: Any) -> func.HttpResponse:
    """Serve the request; what hinders it becomes an error in ARM's shape and a line in the log, with this context."""
    try:
        return serve()
    except ApiError as refusal:
        log_error(refusal, **context)
        return error_response(refusal)
    except (AzureError, WriteConflict) as cause:
        unavailable = storage_unavailable(cause)
        logs.error("request.failed", reason=unavailable.message, **context)
        response = error_response(unavailable)
        response.headers["Retry-After"] = "10"
        return response


def log_error(refusal: ApiError, **context: Any) -> None:
    """The refusal in the log."""
    logs.info("request.refused", code=refusal.code, target=refusal.target, reason=refusal.message, **context)


def storage_unavailable(cause: Exception) -> ApiError:
    """What is answered where storage cannot be reached, or others keep winning the same race."""
    return ApiError(503, "StorageUnavailable", f"storage cannot be used now: {logs.describe_exception(cause)}")


def error_response(refusal: ApiError) -> func.HttpResponse:
    """The refusal as a response."""
    return json_response(refusal.status, error_body(refusal))


def error_body(refusal: ApiError) -> dict[str, Any]:
    """The refusal in ARM's shape."""
    error = {
        "code": refusal.code,
        "message": refusal.message,
        "target": refusal.target,
        "details": list(refusal.details),
    }
    return {"error": error}


def json_response(
    status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    return func.HttpResponse(
        json.dumps(document), status_code=status, headers=dict(headers or {}), mimetype="application/json"
    )


def conditional_response(request: func.HttpRequest, document: Mapping[str, Any]) -> func.HttpResponse:
    """200 with what was asked for, or 304 if the caller has it already.

    The ETag is made from the document, so that it also changes when a newer app shows the same record otherwise.
    """
    body = json.dumps(document).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if _has_already(request.headers.get("If-None-Match") or "", etag):
        return func.HttpResponse(status_code=304, headers=headers)
    return func.HttpResponse(body, status_code=200, headers=headers, mimetype="application/json")


def _has_already(if_none_match: str, etag: str) -> bool:
    """Whether one of these is the ETag, by the weak comparison (RFC 9110, section 13.1.2)."""
    known = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return etag in known or "*" in known
