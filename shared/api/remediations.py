"""`/api/remediations`: list remediations, show one, cancel one."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import azure.functions as func
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.api.errors import ApiError
from shared.api.requests import KEY_PARAMETERS, read_body, read_query
from shared.api.responses import api_errors, conditional_response, json_response
from shared.clock import from_iso
from shared.domain.error_codes import BUILT_IN, ErrorCodes
from shared.domain.remediation import ID_PATTERN, Resolution, Status, is_remediation_id, opened_at_of
from shared.domain.remediation_json import shown_document
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.state_machine import DEFAULT_POLL_INTERVAL
from shared.healing.cancel import Cancel
from shared.storage.remediation_list import Filters, RemediationReader
from shared.storage.remediation_store import RemediationStore

_MAX_TOP = 200
_UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_SPACE_FOR_PLUS = re.compile(r" (?=\d\d:?\d\d$)")


def _statuses(value: object) -> frozenset[Status]:
    """One or several, separated by commas; a parameter that stands twice arrives like that, too."""
    by_name = {status.lower(): status for status in Status}
    names = [name.strip() for name in str(value).split(",")]
    for name in names:
        if name.lower() not in by_name:
            raise ValueError(f"{name[:100]!a} is no status; there are: {', '.join(Status)}")
    return frozenset(by_name[name.lower()] for name in names)


def _resolution(value: object) -> Resolution:
    for resolution in Resolution:
        if str(value).strip().lower() == resolution.lower():
            return resolution
    raise ValueError(f"{str(value)[:100]!a} is no resolution; there are: {', '.join(Resolution)}")


def _moment(value: object) -> datetime:
    """ISO 8601; a plus that was not encoded arrives as a space."""
    text = str(value).upper()
    if "T" in text:
        text = _SPACE_FOR_PLUS.sub("+", text)
    try:
        return from_iso(text)
    except (ValueError, OverflowError) as cause:
        raise ValueError(f"{str(value)[:100]!a} is no ISO 8601 time such as 2026-01-02T03:04:05Z") from cause


def _whole_number(value: object) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", str(value), re.ASCII):
        raise ValueError(f"{str(value)[:100]!a} is no whole number")
    return int(str(value))


def _place(value: object) -> str:
    """The place in the list that the continuation of a `nextLink` names.

    Raises:
        ValueError: no response of this app has named it.
    """
    try:
        place = urlsafe_b64decode(f"{value}==").decode("ascii")
        if not is_remediation_id(place) or continuation(place) != value:
            raise ValueError("not an id")
        opened_at_of(place)
    except (ValueError, OverflowError, OSError) as cause:
        raise ValueError("not a continuation of this list: take it from nextLink") from cause
    return place


def continuation(place: str) -> str:
    """A place in the list as an opaque text that needs no escape in a URL."""
    return urlsafe_b64encode(place.encode()).decode().rstrip("=")


class RemediationsQuery(BaseModel):
    """The query of `GET /api/remediations`."""

    model_config = ConfigDict(alias_generator=to_camel, arbitrary_types_allowed=True)

    status: Annotated[frozenset[Status], BeforeValidator(_statuses)] = frozenset()
    backup_instance_id: Annotated[BackupInstanceId | None, BeforeValidator(BackupInstanceId.parse)] = None
    subscription_id: Annotated[str | None, Field(pattern=_UUID)] = None
    since: Annotated[datetime | None, BeforeValidator(_moment)] = None
    resolution: Annotated[Resolution | None, BeforeValidator(_resolution)] = None
    incident: Annotated[str | None, Field(pattern=ID_PATTERN)] = None
    top: Annotated[int, Field(ge=1, le=_MAX_TOP), BeforeValidator(_whole_number)] = 50
    continuation: Annotated[str | None, BeforeValidator(_place)] = None

    def filters(self) -> Filters:
        """The filters of the list."""
        return Filters(
            self.status, self.backup_instance_id, self.subscription_id, self.since, self.resolution, self.incident
        )


class CancelRequest(BaseModel):
    """The body of `POST /api/remediations/{id}/cancel`, which may be absent."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="ignore")

    reason: str = Field("cancelled over HTTP", min_length=1, max_length=500)


@dataclass(frozen=True, slots=True)
class RemediationsApi:
    """The functions behind the routes."""

    cancellation: Callable[[], Cancel]
    store: Callable[[], RemediationStore]
    reader: Callable[[], RemediationReader]
    error_codes: ErrorCodes = BUILT_IN

    @api_errors
    def list(self, request: func.HttpRequest) -> func.HttpResponse:
        """`GET /api/remediations`: 200 with a page as Resource Manager's lists have it, newest first."""
        query = read_query(request, RemediationsQuery)
        page = self.reader().page(query.filters(), query.top, query.continuation)
        value = [shown_document(stored.remediation, self.error_codes) for stored in page.items]
        next_link = _next_link(request, page.after) if page.after else None
        return conditional_response(request, {"value": value, "nextLink": next_link})

    @api_errors
    def show(self, request: func.HttpRequest) -> func.HttpResponse:
        """`GET /api/remediations/{id}`: 200 with the remediation, or 404; while it is active, when to poll again."""
        remediation_id = _id(request)
        stored = self.store().load(remediation_id)
        if stored is None:
            raise _not_found(remediation_id)
        response = conditional_response(request, shown_document(stored.remediation, self.error_codes))
        if not stored.remediation.status.is_terminal:
            response.headers["Retry-After"] = str(int(DEFAULT_POLL_INTERVAL.total_seconds()))
        return response

    @api_errors
    def cancel(self, request: func.HttpRequest) -> func.HttpResponse:
        """`POST /api/remediations/{id}/cancel`: 200 when it is cancelled, by now or before; 409 if it had ended."""
        remediation_id = _id(request)
        wanted = read_body(request, CancelRequest, "reason") if request.get_body() else CancelRequest.model_validate({})
        cancelled = self.cancellation().run(remediation_id, wanted.reason)
        if cancelled is None:
            raise _not_found(remediation_id)
        if cancelled.status is not Status.CANCELLED:
            raise ApiError(409, "AlreadyEnded", f"remediation {cancelled.id} has ended {cancelled.status}", "id")
        return json_response(200, shown_document(cancelled, self.error_codes))


def _id(request: func.HttpRequest) -> str:
    given = request.route_params.get("id")
    if not isinstance(given, str) or not is_remediation_id(given):
        raise _not_found(given)
    return given


def _not_found(remediation_id: object) -> ApiError:
    return ApiError(404, "RemediationNotFound", f"no remediation {ascii(remediation_id)[:100]}", "id")


def _next_link(request: func.HttpRequest, after: str) -> str:
    """The request's own URL with the next place; without its key, which must not get into logs and pages."""
    url = urlsplit(request.url)
    left_out = {*KEY_PARAMETERS, "continuation"}
    query: dict[str, Any] = {name: value for name, value in request.params.items() if name.lower() not in left_out}
    return f"{url.scheme}://{url.netloc}{url.path}?{urlencode({**query, 'continuation': continuation(after)})}"
