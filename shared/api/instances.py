"""`POST /api/instances/acknowledge`: somebody knows that this instance needs a person."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import azure.functions as func

from shared.api.errors import ApiError
from shared.api.instance_reference import InstanceReference
from shared.api.requests import read_body
from shared.api.responses import api_errors, json_response
from shared.api.signed_in_request import operator_name
from shared.api.until import Reason, Until, checked_until
from shared.domain.error_codes import ErrorCodes
from shared.domain.remediation_json import shown_document
from shared.healing.acknowledge import Acknowledge


class AcknowledgeRequest(InstanceReference):
    """The body: the instance, why nobody is to be reminded, and until when."""

    reason: Reason
    until: Until


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
        until = checked_until(wanted.until, self.now())
        by = operator_name(request)
        latest = self.acknowledgement().run(wanted.instance(), by, wanted.reason, until)
        if latest is None:
            raise ApiError(404, "InstanceNotFound", "no remediation of this instance is known", "backupInstanceId")
        if latest.attention is None:
            raise ApiError(409, "NoAttentionNeeded", f"remediation {latest.id} is {latest.status}: nobody is needed")
        return json_response(200, shown_document(latest, self.error_codes, self.now()))
