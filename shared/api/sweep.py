"""`POST /api/sweep`: a sweep now, or a look at what it would do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import azure.functions as func

from shared.api.requests import read_query
from shared.api.responses import ApiError, api_errors, error_response, json_response
from shared.api.route_docs import STORAGE_UNAVAILABLE, DryRunQuery, ResponseDoc, RouteDoc
from shared.api.schemas import SweepResource
from shared.clock import to_iso
from shared.healing.sweep import Opened, Skipped, Sweep, SweepFailed, SweepResult

_SHOWN = 1000
"""Instances of each list that are named; `count` counts them all."""
_RETRY_AFTER = 10.0


@dataclass(frozen=True, slots=True)
class SweepApi:
    """The function behind the route."""

    sweep: Callable[[], Sweep]

    def request(self, request: func.HttpRequest) -> func.HttpResponse:
        """`POST /api/sweep[?dryRun=true]`: 202 with what was opened and what was left, or 200 with what would be.

        Resource Graph's refusal is a 502 and its silence a 503, with its error whole in `details`.
        """
        return api_errors(lambda: self._request(request))

    def _request(self, request: func.HttpRequest) -> func.HttpResponse:
        is_dry_run = read_query(request, DryRunQuery).dry_run
        try:
            swept = self.sweep().preview() if is_dry_run else self.sweep().run()
        except SweepFailed as failure:
            return _not_swept(failure)
        return json_response(200 if is_dry_run else 202, _document(swept, is_dry_run))


def _not_swept(failure: SweepFailed) -> func.HttpResponse:
    if failure.refused is not None:
        message = (
            f"Resource Graph refused the query with {failure.refused}. The app's identity needs to read backup "
            "instances in the subscriptions that are swept: the role Backup Reader, for example."
        )
        return error_response(ApiError(502, "ResourceGraphRefused", message, details=(failure.error,)))
    message = "Resource Graph does not answer now. Nothing was opened; try again."
    response = error_response(ApiError(503, "ResourceGraphUnavailable", message, details=(failure.error,)))
    response.headers["Retry-After"] = str(ceil(_RETRY_AFTER if failure.retry_after is None else failure.retry_after))
    return response


def _document(swept: SweepResult, is_dry_run: bool) -> dict[str, Any]:
    return {
        "dryRun": is_dry_run,
        "found": len(swept.opened) + len(swept.left),
        "unreadable": swept.unreadable,
        "opened": _list(swept.opened, _show_opened),
        "left": {**_list(swept.left, _show_left), "byCode": swept.left_by_code},
    }


def _list(entries: Sequence[Any], show: Callable[[Any], Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "count": len(entries),
        "truncated": len(entries) > _SHOWN,
        "value": [show(entry) for entry in entries[:_SHOWN]],
    }


def _show_opened(opened: Opened) -> dict[str, Any]:
    return {
        "backupInstanceId": str(opened.instance),
        "remediationId": opened.remediation_id,
        "beginsAt": to_iso(opened.begins_at),
    }


def _show_left(left: Skipped) -> dict[str, Any]:
    return {"backupInstanceId": str(left.instance), "code": left.code, "reason": left.reason}


OPERATIONS = (
    RouteDoc(
        name="request_sweep",
        method="POST",
        path="sweep",
        summary="Find the instances that are broken though no signal came, and heal them.",
        query=DryRunQuery,
        answers={
            200: ResponseDoc("What a sweep would open now, and what it would leave.", SweepResource),
            202: ResponseDoc("What was opened, and what was left.", SweepResource),
        },
        refusals={
            400: "`dryRun` is neither `true` nor `false`.",
            502: "Resource Graph refused the query; its error is in `details`.",
            503: f"Resource Graph does not answer now. {STORAGE_UNAVAILABLE[503]}",
        },
    ),
)
