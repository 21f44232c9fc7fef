"""`/api/remediations`: list remediations, show one, cancel one."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode, urlsplit

import azure.functions as func
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.api.csv_export import FILE_HEADERS, MEDIA_TYPE, accepts_csv, csv_of
from shared.api.errors import ApiError
from shared.api.requests import KEY_PARAMETERS, read_body, read_query, true_or_false
from shared.api.responses import api_errors, conditional_body, conditional_response, json_response
from shared.clock import from_iso
from shared.domain.error_codes import BUILT_IN, ErrorCodes
from shared.domain.remediation import ID_PATTERN, Resolution, Status, is_remediation_id, opened_at_of
from shared.domain.remediation_json import shown_document
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.state_machine import DEFAULT_POLL_INTERVAL
from shared.domain.summary_list import Conditions, Order, is_place
from shared.healing.cancel import Cancel
from shared.healing.remediation_search import RemediationSearch
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


Choice = TypeVar("Choice", bound=StrEnum)


def _choice(of: type[Choice]) -> BeforeValidator:
    """Reads one of these, in any casing."""

    def read(value: object) -> Choice:
        for choice in of:
            if str(value).strip().lower() == choice.lower():
                return choice
        raise ValueError(f"{str(value)[:100]!a} is no {of.__name__.lower()}; there are: {', '.join(of)}")

    return BeforeValidator(read)


class Format(StrEnum):
    """What a list is answered as."""

    JSON = "json"
    CSV = "csv"


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
        place = urlsafe_b64decode(f"{value}==").decode()
        if not is_place(place) or continuation(place) != value:
            raise ValueError("not a place")
        opened_at_of(place.rpartition("~")[2])
    except (ValueError, OverflowError, OSError) as cause:
        raise ValueError("not a continuation of this list: take it from nextLink") from cause
    return place


def continuation(place: str) -> str:
    """A place in the list as an opaque text that needs no escape in a URL."""
    return urlsafe_b64encode(place.encode(errors="replace")).decode().rstrip("=")


_Text = Annotated[str, Field(max_length=500)]


class RemediationsQuery(BaseModel):
    """The query of `GET /api/remediations`."""

    model_config = ConfigDict(alias_generator=to_camel, arbitrary_types_allowed=True)

    status: Annotated[frozenset[Status], BeforeValidator(_statuses)] = frozenset()
    backup_instance_id: Annotated[BackupInstanceId | None, BeforeValidator(BackupInstanceId.parse)] = None
    subscription_id: Annotated[str | None, Field(pattern=_UUID)] = None
    since: Annotated[datetime | None, BeforeValidator(_moment)] = None
    resolution: Annotated[Resolution | None, _choice(Resolution)] = None
    incident: Annotated[str | None, Field(pattern=ID_PATTERN)] = None
    needs_attention: Annotated[bool, BeforeValidator(true_or_false)] = False
    error_code: _Text = ""
    vault: _Text = ""
    source: _Text = ""
    resource_type: _Text = ""
    text: Annotated[str, Field(max_length=200)] = ""
    sort: Annotated[Order, _choice(Order)] = Order.NEWEST
    format: Annotated[Format, _choice(Format)] = Format.JSON
    top: Annotated[int, Field(ge=1, le=_MAX_TOP), BeforeValidator(_whole_number)] = 50
    continuation: Annotated[str | None, BeforeValidator(_place)] = None

    @property
    def is_search(self) -> bool:
        """Whether it wants what storage cannot filter or sort by."""
        return bool(self.model_fields_set & _SEARCHED) or self.sort is not Order.NEWEST

    def conditions(self) -> Conditions:
        """All the filters, for a search."""
        return Conditions(
            statuses=self.status,
            needs_attention=self.needs_attention,
            resolution=self.resolution,
            code=self.error_code,
            vault=self.vault,
            subscription_id=self.subscription_id or "",
            instance=self.backup_instance_id,
            source=self.source,
            resource_type=self.resource_type,
            incident_id=self.incident or "",
            text=self.text,
            since=self.since,
        )

    def filters(self) -> Filters:
        """The filters that storage knows."""
        return Filters(
            self.status, self.backup_instance_id, self.subscription_id, self.since, self.resolution, self.incident
        )


_SEARCHED = {"needs_attention", "error_code", "vault", "source", "resource_type", "text"}


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
    search: Callable[[], RemediationSearch]
    error_codes: ErrorCodes = BUILT_IN

    @api_errors
    def list(self, request: func.HttpRequest) -> func.HttpResponse:
        """`GET /api/remediations`: 200 with a page as Resource Manager's lists have it; as CSV with all of it."""
        query = read_query(request, RemediationsQuery)
        if query.format is Format.CSV or ("format" not in query.model_fields_set and accepts_csv(request.headers)):
            found = self.search().find(query.conditions(), query.sort)
            top = query.top if "top" in query.model_fields_set else None
            return conditional_body(request, csv_of(found, top), MEDIA_TYPE, FILE_HEADERS)
        if query.is_search:
            page = self.search().page(query.conditions(), query.sort, query.top, query.continuation or "")
        else:
            page = self.reader().page(query.filters(), query.top, _id_of_place(query.continuation))
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


def _id_of_place(place: str | None) -> str | None:
    """The place in a list that storage sorts: an id."""
    if place and not is_remediation_id(place):
        raise ApiError(400, "InvalidRequest", "continuation: it is one of another order", "continuation")
    return place


def _not_found(remediation_id: object) -> ApiError:
    return ApiError(404, "RemediationNotFound", f"no remediation {ascii(remediation_id)[:100]}", "id")


def _next_link(request: func.HttpRequest, after: str) -> str:
    """The request's own URL with the next place; without its key, which must not get into logs and pages."""
    url = urlsplit(request.url)
    left_out = {*KEY_PARAMETERS, "continuation"}
    query: dict[str, Any] = {name: value for name, value in request.params.items() if name.lower() not in left_out}
    return f"{url.scheme}://{url.netloc}{url.path}?{urlencode({**query, 'continuation': continuation(after)})}"
