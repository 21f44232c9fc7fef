"""`/api/pauses`: which scopes are paused; `POST /api/pauses/begin` and `POST /api/pauses/end`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared import logs
from shared.api.requests import read_body
from shared.api.responses import api_errors, json_response
from shared.api.signed_in_request import operator_name
from shared.api.until import Reason, Until, checked_until
from shared.clock import to_iso
from shared.domain.pause import MAX_SCOPE_CHARS, Pause
from shared.healing.pausing import Pausing


class PauseReference(BaseModel):
    """The body of `POST /api/pauses/end`: a scope."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="ignore")

    scope: str = Field(min_length=1, max_length=MAX_SCOPE_CHARS, pattern=r"^[!-~]([ -~]*[!-~])?$")


class PauseRequest(PauseReference):
    """The body of `POST /api/pauses/begin`: a scope, why, and until when."""

    reason: Reason
    until: Until


@dataclass(frozen=True, slots=True)
class PausesApi:
    """The functions behind the routes."""

    pausing: Callable[[], Pausing]
    now: Callable[[], datetime]

    @api_errors
    def list(self, request: func.HttpRequest) -> func.HttpResponse:
        """200 with the pauses that are not over."""
        return self._list()

    @api_errors
    def begin(self, request: func.HttpRequest) -> func.HttpResponse:
        """200 with all pauses, this one among them; it replaces one of the same scope."""
        wanted = read_body(request, PauseRequest, "scope")
        until = checked_until(wanted.until, self.now())
        begin_pause(self.pausing(), Pause(wanted.scope, operator_name(request), wanted.reason, until))
        return self._list()

    @api_errors
    def end(self, request: func.HttpRequest) -> func.HttpResponse:
        """200 with the pauses that are left."""
        end_pause(self.pausing(), read_body(request, PauseReference, "scope").scope)
        return self._list()

    def _list(self) -> func.HttpResponse:
        value = [_shown(pause) for pause in self.pausing().pauses()]
        return json_response(200, {"value": value}, {"Cache-Control": "no-store"})


def begin_pause(pausing: Pausing, pause: Pause) -> None:
    """Begin it, and log that: not who did it, whose name no log is to hold."""
    pausing.store.add(pause)
    logs.warning("pause.begun", scope=pause.scope, reason=pause.reason, until=pause.until)


def end_pause(pausing: Pausing, scope: str) -> None:
    """End it, and log that."""
    pausing.store.remove(scope)
    logs.info("pause.ended", scope=scope)


def _shown(pause: Pause) -> dict[str, Any]:
    until = to_iso(pause.until) if pause.until else None
    return {"scope": pause.scope, "by": pause.by, "reason": pause.reason, "until": until}
