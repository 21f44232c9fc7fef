"""The HTTP API, as far as it shows things: request in, response out."""

from collections.abc import Callable
from dataclasses import dataclass

import azure.functions as func

from shared.documents import CorruptDocument, to_document
from shared.health import Health
from shared.http_answers import Refusal, answered, json_answer
from shared.remediation import Remediation, is_remediation_id
from shared.store import Store


@dataclass(frozen=True, slots=True)
class HttpApi:
    """The functions behind the routes."""

    store: Callable[[], Store]
    health: Health

    def remediation(self, request: func.HttpRequest) -> func.HttpResponse:
        """`GET /api/remediations/{id}`: 200 with the remediation, or 404."""
        return answered(lambda: json_answer(200, to_document(self._found(request.route_params.get("id")))))

    def healthy(self) -> func.HttpResponse:
        """`GET /api/health`: 200 when all is well, else 503; the body says what is not."""
        healthy, document = self.health.check()
        return json_answer(200 if healthy else 503, document)

    def _found(self, remediation_id: object) -> Remediation:
        missing = Refusal(404, "RemediationNotFound", f"no remediation {ascii(remediation_id)[:100]}", "id")
        if not isinstance(remediation_id, str) or not is_remediation_id(remediation_id):
            raise missing
        try:
            stored = self.store().load(remediation_id)
        except CorruptDocument as corrupt:
            raise Refusal(500, "CorruptRemediation", f"the record cannot be read: {corrupt}") from corrupt
        if stored is None:
            raise missing
        return stored.remediation
