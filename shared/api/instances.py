"""`POST /api/instances/acknowledge`: somebody knows that this instance needs a person."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import azure.functions as func
from pydantic import AwareDatetime, Field, field_validator

from shared.api.errors import ApiError
from shared.api.instance_reference import InstanceReference
from shared.api.requests import operator_name, read_body
from shared.api.responses import api_errors, json_response
from shared.clock import from_iso
from shared.domain.error_codes import ErrorCodes
from shared.domain.remediation_json import shown_document
from shared.healing.acknowledge import Acknowledge

MAX_ACKNOWLEDGED_FOR = timedelta(days=90)
"""An instance that nobody mends for longer is to be excluded instead."""


class AcknowledgeRequest(InstanceReference):
    """The body: the instance, why nobody is to be reminded, and until when."""

    reason: str = Field(min_length=1, max_length=500)
    until: AwareDatetime

    @field_validator("until", mode="before")
    @classmethod
    def _iso(cls, value: object) -> datetime:
        if not isinstance(value, str):
            raise ValueError("expected a time in ISO 8601")
        return from_iso(value)


@dataclass(frozen=True, slots=True)
class InstancesApi:
    """The function behind the route."""

    acknowledgement: Callable[[], Acknowledge]
    error_codes: ErrorCodes
    now: Callable[[], datetime]

    @api_errors
    def acknowledge(self, request: func.HttpRequest) -> func.HttpResponse:
        """200 with the instance's latest remediation; 404 if it never had one, 409 if it needs nobody."""
        wanted = read_body(request, AcknowledgeRequest, "backupInstanceId")
        until = checked_until(wanted.until.astimezone(UTC), self.now())
        by = operator_name(request)
        latest = self.acknowledgement().run(wanted.instance(), by, wanted.reason, until)
        if latest is None:
            raise ApiError(404, "InstanceNotFound", "no remediation of this instance is known", "backupInstanceId")
        if latest.attention is None:
            raise ApiError(409, "NoAttentionNeeded", f"remediation {latest.id} is {latest.status}: nobody is needed")
        return json_response(200, shown_document(latest, self.error_codes))


def checked_until(until: datetime, now: datetime) -> datetime:
    """The end of an acknowledgement.

    Raises:
        ApiError: 409, it has passed; 400, it is further ahead than `MAX_ACKNOWLEDGED_FOR`.
    """
    if until <= now:
        raise ApiError(409, "AlreadyOver", "until: the time has passed; expected one that lies ahead", "until")
    if until > now + MAX_ACKNOWLEDGED_FOR:
        message = f"until: expected a time within the next {MAX_ACKNOWLEDGED_FOR.days} days"
        raise ApiError(400, "InvalidRequest", message, "until")
    return until
