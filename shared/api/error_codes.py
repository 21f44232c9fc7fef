"""`GET /api/error-codes`: the catalogue of error codes, and how often syncs healed what had each of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import azure.functions as func

from shared.api.responses import api_errors, conditional_response
from shared.clock import to_iso
from shared.domain.code_statistics import CodeCount, CodeCounts, count_codes
from shared.domain.error_codes import ErrorCodes
from shared.storage.remediation_list import RemediationReader


@dataclass(frozen=True, slots=True)
class ErrorCodesApi:
    """The function behind the route."""

    reader: Callable[[], RemediationReader]
    error_codes: ErrorCodes
    retention: timedelta
    """How long remediations are kept."""
    now: Callable[[], datetime]

    @api_errors
    def list(self, request: func.HttpRequest) -> func.HttpResponse:
        """200 with every code of the catalogue, the codes that it lacks, and how many remediations met each."""
        summaries = self.reader().summaries(self.now() - self.retention)
        counts = count_codes(summaries, self.error_codes)
        document = {
            "since": to_iso(summaries[-1].opened_at) if summaries else None,
            "value": list(_known(self.error_codes, counts)),
            "unknownCodes": [{"code": code, **_shown(count)} for code, count in counts.unknown.items()],
        }
        return conditional_response(request, document)


def _known(error_codes: ErrorCodes, counts: CodeCounts) -> Iterator[dict[str, Any]]:
    for entry in error_codes.entries:
        for code in entry.codes:
            yield {
                "code": code,
                "class": entry.error_class,
                "meaning": entry.meaning,
                "whatToDo": entry.what_to_do,
                "link": entry.link,
                "remedy": entry.remedy,
                "role": entry.role,
                "scope": entry.scope,
                **_shown(counts.known.get(code, CodeCount())),
            }


def _shown(count: CodeCount) -> dict[str, Any]:
    return {"seen": count.seen, "ended": count.ended, "healed": count.healed, "successRate": count.success_rate}
