"""`/api/remediations`: list remediations, show one, cancel one."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import azure.functions as func
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.api.csv_export import FILE_HEADERS, MEDIA_TYPE, accepts_csv, csv_of
from shared.api.errors import ApiError
from shared.api.paging import choice, id_of_place, next_link, place, whole_number
from shared.api.requests import read_body, read_query, true_or_false
from shared.api.responses import api_errors, conditional_body, conditional_response, json_response
from shared.api.signed_in_request import signed_in_name
from shared.clock import from_iso
from shared.domain.error_codes import BUILT_IN, ErrorCodes
from shared.domain.remediation import ID_PATTERN, Remediation, Resolution, Status, is_remediation_id
from shared.domain.remediation_json import Document, shown_document
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.state_machine import DEFAULT_POLL_INTERVAL
from shared.domain.summary_list import Conditions, Order
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


class Format(StrEnum):
    """The media types of a list."""

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


_Text = Annotated[str, Field(max_length=500)]


class RemediationsQuery(BaseModel):
    """The query of `GET /api/remediations`."""

    model_config = ConfigDict(alias_generator=to_camel, arbitrary_types_allowed=True)

    status: Annotated[frozenset[Status], BeforeValidator(_statuses)] = frozenset()
    backup_instance_id: Annotated[BackupInstanceId | None, BeforeValidator(BackupInstanceId.parse)] = None
    subscription_id: Annotated[str | None, Field(pattern=_UUID)] = None
    since: Annotated[datetime | None, BeforeValidator(_moment)] = None
    resolution: Annotated[Resolution | None, choice(Resolution)] = None
    incident: Annotated[str | None, Field(pattern=ID_PATTERN)] = None
    needs_attention: Annotated[bool, BeforeValidator(true_or_false)] = False
    error_code: _Text = ""
    vault: _Text = ""
    source: _Text = ""
    resource_type: _Text = ""
    text: Annotated[str, Field(max_length=200)] = ""
    sort: Annotated[Order, choice(Order)] = Order.NEWEST
    format: Annotated[Format, choice(Format)] = Format.JSON
    top: Annotated[int, Field(ge=1, le=_MAX_TOP), BeforeValidator(whole_number)] = 50
    continuation: Annotated[str | None, BeforeValidator(place)] = None

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
    now: Callable[[], datetime]
    error_codes: ErrorCodes = BUILT_IN
    subscription_names: Callable[[], Mapping[str, str]] = field(kw_only=True)
    """By ids in lower case, as storage has them."""

    @api_errors
    def list(self, request: func.HttpRequest) -> func.HttpResponse:
        """`GET /api/remediations`: 200 with a page as Resource Manager's lists have it; as CSV with all of it."""
        query = read_query(request, RemediationsQuery)
        if query.format is Format.CSV or ("format" not in query.model_fields_set and accepts_csv(request.headers)):
            found = self.search().find(query.conditions(), query.sort)
            top = query.top if "top" in query.model_fields_set else None
            return conditional_body(request, csv_of(found, self.subscription_names(), top), MEDIA_TYPE, FILE_HEADERS)
        if query.is_search:
            page = self.search().page(query.conditions(), query.sort, query.top, query.continuation or "")
        else:
            page = self.reader().page(query.filters(), query.top, id_of_place(query.continuation))
        names = self.subscription_names()
        value = [self._listed(stored.remediation, names) for stored in page.items]
        following = next_link(request, page.after) if page.after else None
        return conditional_response(request, {"value": value, "nextLink": following})

    def _listed(self, remediation: Remediation, names: Mapping[str, str]) -> Document:
        document = shown_document(remediation, self.error_codes, self.now())
        return {**document, "subscriptionName": names.get(remediation.instance.subscription_id.lower())}

    @api_errors
    def show(self, request: func.HttpRequest) -> func.HttpResponse:
        """`GET /api/remediations/{id}`: 200 with the remediation, or 404; while it is active, when to poll again."""
        remediation_id = _id(request)
        stored = self.store().load(remediation_id)
        if stored is None:
            raise _not_found(remediation_id)
        response = conditional_response(request, shown_document(stored.remediation, self.error_codes, self.now()))
        if not stored.remediation.status.is_terminal:
            response.headers["Retry-After"] = str(int(DEFAULT_POLL_INTERVAL.total_seconds()))
        return response

    @api_errors
    def cancel(self, request: func.HttpRequest) -> func.HttpResponse:
        """`POST /api/remediations/{id}/cancel`: 200 when it is cancelled, by now or before; 409 if it had ended."""
        remediation_id = _id(request)
        wanted = read_body(request, CancelRequest, "reason") if request.get_body() else CancelRequest.model_validate({})
        cancelled = self.cancellation().run(remediation_id, wanted.reason, signed_in_name(request))
        if cancelled is None:
            raise _not_found(remediation_id)
        if cancelled.status is not Status.CANCELLED:
            raise ApiError(409, "AlreadyEnded", f"remediation {cancelled.id} has ended {cancelled.status}", "id")
        return json_response(200, shown_document(cancelled, self.error_codes, self.now()))


def _id(request: func.HttpRequest) -> str:
    given = request.route_params.get("id")
    if not isinstance(given, str) or not is_remediation_id(given):
        raise _not_found(given)
    return given


def _not_found(remediation_id: object) -> ApiError:
    return ApiError(404, "RemediationNotFound", f"no remediation {ascii(remediation_id)[:100]}", "id")
