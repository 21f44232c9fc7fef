"""`POST /api/sweep`: sweep now, or say what a sweep would do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import azure.functions as func

from shared.api.errors import ApiError
from shared.api.requests import DryRunQuery, read_query
from shared.api.responses import api_errors, json_response
from shared.clock import to_iso
from shared.domain.finding import finding_document
from shared.healing.finding_search import FindingsResult
from shared.healing.sweep import Opened, Skipped, Sweep, SweepFailed, SweepResult

_MAX_LISTED = 1000
"""Instances of each list that are named; `count` counts them all."""
_RETRY_AFTER = 10.0
"""Seconds, where Resource Graph names none."""


@dataclass(frozen=True, slots=True)
class SweepApi:
    """The function behind the route."""

    sweep: Callable[[], Sweep]

    @api_errors
    def request(self, request: func.HttpRequest) -> func.HttpResponse:
        """`POST /api/sweep[?dryRun=true]`: 202 with what was opened and what was left, or 200 with what would be.

        Resource Graph's refusal is a 502 and its silence a 503, with its error whole in `details`.
        """
        is_dry_run = read_query(request, DryRunQuery).dry_run
        try:
            result = self.sweep().preview() if is_dry_run else self.sweep().run()
        except SweepFailed as failure:
            raise _api_error(failure) from failure
        return json_response(200 if is_dry_run else 202, _document(result, is_dry_run))


def _api_error(failure: SweepFailed) -> ApiError:
    if failure.refused is not None:
        message = (
            f"Resource Graph refused the query with {failure.refused}. The app's identity needs to read backup "
            "instances in the subscriptions that are swept: the role Backup Reader, for example."
        )
        return ApiError(502, "ResourceGraphRefused", message, details=(failure.error,))
    message = "Resource Graph does not answer now. Nothing was opened; try again."
    retry_after = _RETRY_AFTER if failure.retry_after is None else failure.retry_after
    return ApiError(503, "ResourceGraphUnavailable", message, details=(failure.error,), retry_after=retry_after)


def _document(result: SweepResult, is_dry_run: bool) -> dict[str, Any]:
    return {
        "dryRun": is_dry_run,
        "found": len(result.opened) + result.skipped_count,
        "unreadable": result.unreadable,
        "opened": _list(result.opened, len(result.opened), _show_opened),
        "left": {**_list(result.skipped, result.skipped_count, _show_skipped), "byCode": result.skipped_by_code},
        "findings": _findings(result.findings) if result.findings else None,
    }


def _findings(found: FindingsResult) -> dict[str, Any]:
    return {
        **_list(
            found.listed, found.count, lambda each: {**finding_document(each), "isNew": each.id in found.listed_new}
        ),
        "new": found.new,
        "byKind": dict(found.by_kind),
        "complete": found.error is None,
        "error": found.error,
    }


def _list(entries: Sequence[Any], count: int, show: Callable[[Any], Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "count": count,
        "truncated": count > _MAX_LISTED,
        "value": [show(entry) for entry in entries[:_MAX_LISTED]],
    }


def _show_opened(opened: Opened) -> dict[str, Any]:
    return {
        "backupInstanceId": str(opened.instance),
        "remediationId": opened.remediation_id,
        "beginsAt": to_iso(opened.begins_at),
    }


def _show_skipped(skipped: Skipped) -> dict[str, Any]:
    return {"backupInstanceId": str(skipped.instance), "code": skipped.code, "reason": skipped.reason}
