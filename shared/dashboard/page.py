"""The page's routes: GET shows the overview or one remediation, POST takes a form and answers with a redirect.

All stands behind one function with one route, because a function's own key, which the portal's function URL
carries, opens that function only (Microsoft Learn, "Work with access keys in Azure Functions").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import azure.functions as func
from azure.core.exceptions import AzureError

from shared import logs
from shared.api.responses import ApiError, storage_unavailable
from shared.dashboard import charts
from shared.dashboard.detail import detail_of
from shared.dashboard.formatting import dropped_words
from shared.dashboard.forms import (
    LONGEST_REASON,
    FormTooLarge,
    InvalidForm,
    NoForm,
    read_fields,
    read_reason,
    read_sync,
)
from shared.dashboard.html import redirect, render
from shared.dashboard.links import Links
from shared.dashboard.list_filter import GROUPS, InvalidSelection, ListFilter, read_filter, select
from shared.dashboard.statistics import DAYS, OUTCOMES, count_statistics
from shared.domain.policy import Drop
from shared.domain.remediation import Remediation, Status, is_remediation_id
from shared.domain.remediation_json import CorruptDocument
from shared.domain.signal import Signal, SyncType
from shared.healing.healer import Healer
from shared.settings import Settings
from shared.storage.remediation_list import RemediationReader
from shared.storage.remediation_store import RemediationStore, WriteConflict
from shared.storage.summary_cache import MAX_SUMMARIES

_NOTES = {
    "opened": "The sync is queued. Refresh to see how far it is.",
    "joined": "This instance is being healed already; your request was counted there.",
    "cancelled": "Cancelled. An operation that runs in Azure goes on there, unwatched.",
    "ended": "It had ended already; there was nothing left to cancel.",
}
"""What a redirect says: a word in the query, so that nobody can make the page say something else."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request to the page."""

    links: Links
    query: Mapping[str, str]
    """By name, in lower case."""
    now: datetime


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The page, with these parts."""

    healer: Callable[[], Healer]
    history: Callable[[], RemediationReader]
    store: Callable[[], RemediationStore]
    settings: Settings
    now: Callable[[], datetime]

    def answer(self, request: func.HttpRequest, jobs: func.Out[str]) -> func.HttpResponse:
        """`GET` and `POST /api/dashboard`."""
        # Names in any casing, as the host takes the key's.
        query = {name.lower(): value for name, value in request.params.items()}
        visit = Visit(Links(query.get("code", "")), query, self.now())
        try:
            if request.method == "POST":
                return self._posted(visit, request, jobs)
            return self._remediation(visit) if "id" in visit.query else self._overview(visit, read_filter(visit.query))
        except NoForm as other:
            return _refused(visit, ApiError(415, "UnsupportedMediaType", str(other)))
        except FormTooLarge as large:
            return _refused(visit, ApiError(413, "RequestTooLarge", str(large)))
        except (InvalidForm, InvalidSelection) as invalid:
            return _refused(visit, ApiError(400, "InvalidRequest", str(invalid)))
        except ApiError as refusal:
            return _refused(visit, refusal)
        except CorruptDocument as corrupt:
            return _refused(visit, ApiError(500, "CorruptRemediation", f"Its record cannot be read: {corrupt}"))
        except (AzureError, WriteConflict) as cause:
            unavailable = storage_unavailable(cause)
            logs.error("request.failed", reason=unavailable.message)
            response = _refused(visit, unavailable)
            response.headers["Retry-After"] = "10"
            return response

    def _overview(
        self,
        visit: Visit,
        wanted: ListFilter,
        status: int = 200,
        typed: Mapping[str, str] | None = None,
        refusal: tuple[str, str] | None = None,
    ) -> func.HttpResponse:
        """Tiles, charts, form and list.

        Args:
            typed: what stood in a form that was refused, to be mended.
            refusal: why it was refused: a sentence, and the details.
        """
        summaries = self.history().summaries(visit.now - timedelta(days=self.settings.retention_days))
        told = count_statistics(summaries, visit.now)
        values = {
            "figures": told,
            "days_told": DAYS,
            "outcomes": OUTCOMES,
            "outcome_bars": charts.outcome_bars(told.days),
            "heal_bars": charts.heal_bars(told.times_to_heal),
            "base": charts.BASE,
            "height": charts.HEIGHT,
            "known": len(summaries),
            "is_cut": len(summaries) >= MAX_SUMMARIES,
            "wanted": wanted,
            "rows": select(summaries, wanted),
            "groups": GROUPS,
            "statuses": tuple(Status),
            "typed": typed or {},
            "refusal": refusal,
        }
        return _rendered(visit, status, "overview.html", values)

    def _remediation(self, visit: Visit) -> func.HttpResponse:
        story = detail_of(self._found(visit.query["id"]), self.settings.arm_endpoint, visit.now)
        values = {"story": story, "note": _NOTES.get(visit.query.get("note", ""), "")}
        return _rendered(visit, 200, "remediation.html", values)

    def _found(self, remediation_id: str) -> Remediation:
        missing = ApiError(404, "RemediationNotFound", f"There is no remediation {ascii(remediation_id)[:100]}.")
        if not is_remediation_id(remediation_id):
            raise missing
        stored = self.store().load(remediation_id)
        if stored is None:
            raise missing
        return stored.remediation

    def _posted(self, visit: Visit, request: func.HttpRequest, jobs: func.Out[str]) -> func.HttpResponse:
        fields = read_fields(request.headers.get("content-type", ""), request.get_body())
        match fields.get("do"):
            case "sync":
                return self._sync(visit, fields, jobs)
            case "cancel":
                return self._cancel(visit, fields)
        raise InvalidForm(f"there is no form {ascii(fields.get('do'))[:100]}")

    def _sync(self, visit: Visit, fields: Mapping[str, str], jobs: func.Out[str]) -> func.HttpResponse:
        """The same way in as `POST /api/sync`, with the same policy."""
        try:
            form = read_sync(fields)
        except InvalidForm as invalid:
            return self._overview(visit, ListFilter(), 400, fields, ("That cannot be synced.", str(invalid)))
        intake = self.healer().intake(Signal(form.instance, "Request", form.reason, visit.now, form.sync_type))
        assert intake is not None, "a request is always a signal"
        if drop := intake.dropped:
            return self._overview(
                visit, ListFilter(), _status_of(drop), fields, (dropped_words(drop.code), drop.reason)
            )
        if intake.job:
            jobs.set(intake.job.to_message())
        assert intake.remediation is not None, "what is not dropped has a remediation"
        return redirect(visit.links.to(id=intake.remediation.id, note="opened" if intake.job else "joined"))

    def _cancel(self, visit: Visit, fields: Mapping[str, str]) -> func.HttpResponse:
        remediation_id = fields.get("id", "")
        self._found(remediation_id)
        cancelled = self.healer().cancel(remediation_id, read_reason(fields, "cancelled on the dashboard"))
        note = "cancelled" if cancelled and cancelled.status is Status.CANCELLED else "ended"
        return redirect(visit.links.to(id=remediation_id, note=note))


def _status_of(drop: Drop) -> int:
    """As `POST /api/sync` answers."""
    return 403 if drop.code == "OutOfScope" else 409


def _refused(visit: Visit, refusal: ApiError) -> func.HttpResponse:
    logs.info("request.refused", code=refusal.code, reason=refusal.message)
    return _rendered(visit, refusal.status, "refusal.html", {"refusal": refusal})


def _rendered(visit: Visit, status: int, template: str, values: Mapping[str, Any]) -> func.HttpResponse:
    common = {
        "link": visit.links.to,
        "key": visit.links.key,
        "now": visit.now,
        "sync_types": tuple(SyncType),
        "longest_reason": LONGEST_REASON,
    }
    return render(status, template, {**common, **values})
