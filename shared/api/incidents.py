"""`GET /api/incidents`: several instances that fail for the same cause, and since when."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import azure.functions as func
from pydantic import BaseModel, BeforeValidator, Field

from shared.api.paging import choice, id_of_place, next_link, place, whole_number
from shared.api.requests import read_query
from shared.api.responses import api_errors, conditional_response
from shared.domain.error_codes import BUILT_IN, ErrorCodes
from shared.domain.incident import IncidentStatus, shown_incident
from shared.storage.remediation_store import RemediationStore

_MAX_TOP = 200


class IncidentsQuery(BaseModel):
    """The query of `GET /api/incidents`."""

    status: Annotated[IncidentStatus | None, choice(IncidentStatus)] = None
    top: Annotated[int, Field(ge=1, le=_MAX_TOP), BeforeValidator(whole_number)] = 50
    continuation: Annotated[str | None, BeforeValidator(place)] = None


@dataclass(frozen=True, slots=True)
class IncidentsApi:
    """The function behind the route."""

    store: Callable[[], RemediationStore]
    error_codes: ErrorCodes = BUILT_IN

    @api_errors
    def list(self, request: func.HttpRequest) -> func.HttpResponse:
        """200 with a page of incidents, newest first."""
        query = read_query(request, IncidentsQuery)
        found = self.store().incidents.page(query.top + 1, id_of_place(query.continuation), query.status)
        shown = found[: query.top]
        after = shown[-1].id if len(found) > len(shown) else None
        value = [shown_incident(each, self.error_codes) for each in shown]
        return conditional_response(request, {"value": value, "nextLink": next_link(request, after) if after else None})
