"""The page's routes: GET shows the overview or one remediation, POST takes a form and answers with a redirect.

One function with one route serves all of it, because a function's own key, which the portal's function URL
carries, opens that function only (Microsoft Learn, "Work with access keys in Azure Functions").
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import azure.functions as func
from azure.core.exceptions import AzureError

from shared import logs
from shared.api.csv_export import FILE_HEADERS, MEDIA_TYPE, csv_of
from shared.api.errors import ApiError, dropped, storage_unavailable
from shared.api.pauses import begin_pause, end_pause
from shared.api.signed_in_request import AN_OPERATOR, signed_in_name
from shared.api.status import Status as AppStatus
from shared.dashboard import charts
from shared.dashboard.detail import detail_of
from shared.dashboard.findings import FindingsCard, findings_card
from shared.dashboard.formatting import drop_reason_text
from shared.dashboard.forms import (
    DAYS_CHOICES,
    MAX_REASON_CHARS,
    invalid_request,
    read_days,
    read_pairs,
    read_reason,
    read_scope,
    read_sync_form,
)
from shared.dashboard.frame import Frame
from shared.dashboard.html import HEADERS, redirect, render
from shared.dashboard.incidents import MAX_READ, incident_rows
from shared.dashboard.known_reads import Known, KnownReads, Reads
from shared.dashboard.links import LIVE_OFF, Links
from shared.dashboard.list_filter import (
    ORDERS,
    STATUS_GROUPS,
    ListFilter,
    check_choice,
    choices,
    matching,
    read_filter,
    select,
    wants_csv,
)
from shared.dashboard.notes import note_text
from shared.dashboard.report import TEMPLATE as REPORT_TEMPLATE
from shared.dashboard.report import ReportPage, read_month
from shared.dashboard.several import MAX_SEVERAL, Several, picked
from shared.dashboard.statistics import DAYS, OUTCOMES, count_statistics
from shared.dashboard.status_strip import Strip, strip_of
from shared.domain.pause import Pause
from shared.domain.remediation import Remediation, Status, is_remediation_id
from shared.domain.remediation_json import CorruptDocument
from shared.domain.signal import REQUEST, Signal, SyncType, forced_reason
from shared.domain.summary import Summary, summarize
from shared.domain.summary_list import GROUPINGS, Listing
from shared.healing.acknowledge import Acknowledge
from shared.healing.cancel import Cancel
from shared.healing.intake import Coalesced, Dropped, Intake, Opened
from shared.healing.pausing import Pausing
from shared.settings import Settings
from shared.storage.conflicts import WriteConflict
from shared.storage.finding_store import FindingStore
from shared.storage.remediation_list import Filters, RemediationReader
from shared.storage.remediation_store import RemediationStore
from shared.storage.run_store import RunStore
from shared.storage.summary_cache import MAX_SUMMARIES

OVERVIEW_REFRESH = 30
"""Seconds after which the overview is loaded anew; the poller runs as often by default."""
ACTIVE_REFRESH = 10
"""Seconds; the same for a remediation that goes on."""
_MAX_OTHERS = 6
"""Remediations of the same instance that a remediation's page lists."""
_TEMPLATE_CONSTANTS = {
    "chart_base": charts.BASE,
    "chart_height": charts.HEIGHT,
    "days": DAYS,
    "outcomes": OUTCOMES,
    "status_groups": STATUS_GROUPS,
    "statuses": tuple(Status),
    "sync_types": tuple(SyncType),
    "max_reason_chars": MAX_REASON_CHARS,
    "days_choices": DAYS_CHOICES,
    "max_several": MAX_SEVERAL,
    "orders": ORDERS,
    "groupings": GROUPINGS,
}


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The parts of a request that every response needs."""

    frame: Frame
    query: Mapping[str, str]
    """Names in lower case."""

    @property
    def links(self) -> Links:
        """Makes its URLs."""
        return self.frame.links

    @property
    def now(self) -> datetime:
        """When it came."""
        return self.frame.now


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Serves the page."""

    intake: Callable[[], Intake]
    cancellation: Callable[[], Cancel]
    acknowledgement: Callable[[], Acknowledge]
    pausing: Callable[[], Pausing]
    reader: Callable[[], RemediationReader]
    store: Callable[[], RemediationStore]
    settings: Settings
    now: Callable[[], datetime]
    findings: Callable[[], FindingStore] | None = None
    """None if `STALE_AFTER` is off."""
    status: Callable[[], AppStatus] = field(kw_only=True)
    reads: KnownReads = field(kw_only=True)
    runs: Callable[[], RunStore] = field(kw_only=True)
    report: Callable[[], ReportPage] = field(kw_only=True)

    def answer(self, request: func.HttpRequest, jobs: func.Out[list[str]]) -> func.HttpResponse:
        """`GET` and `POST /api/dashboard`; `jobs` takes the sync job of a posted form."""
        # Names in any casing, as the host takes the key's.
        query = {name.lower(): value for name, value in request.params.items()}
        context = RequestContext(Frame.of(request, self.settings.mode, self.now()), query)
        try:
            if request.method == "POST":
                return self._submit_form(context, request, jobs)
            check_choice("live", query.get("live", ""), {LIVE_OFF})
            if "id" in query:
                return self._remediation(context)
            if "report" in query:
                return self._report(context, as_csv=wants_csv(query, request.headers))
            list_filter = read_filter(query)
            if wants_csv(query, request.headers):
                return self._csv(context, list_filter)
            return self._overview(context, list_filter)
        except ApiError as error:
            return _error_page(context, error)
        except CorruptDocument as corrupt:
            message = f"The record of this remediation cannot be read: {corrupt}"
            return _error_page(context, ApiError(500, "CorruptRemediation", message))
        except (AzureError, WriteConflict) as cause:
            unavailable = storage_unavailable(cause)
            logs.error("request.failed", reason=unavailable.message)
            response = _error_page(context, unavailable)
            response.headers["Retry-After"] = "10"
            return response

    def _overview(
        self,
        context: RequestContext,
        list_filter: ListFilter,
        status: int = 200,
        form_values: Mapping[str, str] | None = None,
        form_error: tuple[str, str] | None = None,
    ) -> func.HttpResponse:
        """Tiles, charts, form and list.

        Args:
            form_values: the fields of a rejected form, to be corrected.
            form_error: why it was rejected: a sentence, and the details.
        """
        reads = self.reads.begin()
        read_summaries = reads.start("summaries", lambda: self._summaries(context))
        read_pauses = reads.start("pauses", lambda: self.pausing().pauses())
        read_incidents = reads.start("incidents", lambda: self.store().incidents.page(MAX_READ))
        read_findings = reads.start("findings", partial(_findings_card, self.findings))
        read_names = self._start_names(reads)
        strip = strip_of(self.status().document(), context.now, self.settings.sweep_schedule)
        known, pauses, findings, incidents = read_summaries(), read_pauses(), read_findings(), read_incidents()
        stale = next((each for each in (known, pauses, findings, incidents) if each.problem), None)
        if stale:
            logs.error("request.failed", reason=stale.problem)
        if known.value is None:
            return _unread_page(context, known.problem, strip)
        summaries = known.value
        statistics = count_statistics(summaries, context.now, self._in_scope)
        values = {
            "statistics": statistics,
            "pauses": pauses.value or (),
            "outcome_bars": charts.outcome_bars(statistics.days),
            "heal_bars": charts.heal_bars(statistics.times_to_heal),
            "findings": findings.value,
            "incidents": incident_rows(incidents.value or (), summaries, self.settings.code_catalogue(), context.now),
            "strip": strip,
            "subscription_names": read_names().value or {},
            "stale": stale,
            "summary_count": len(summaries),
            "is_truncated": len(summaries) >= MAX_SUMMARIES,
            "list_filter": list_filter,
            "choices": choices(summaries, list_filter),
            "list_page": select(summaries, list_filter, context.now, self._in_scope),
            "form_values": form_values or {},
            "form_error": form_error,
            "here": list_filter.query,
            "refresh_seconds": 0 if form_error else OVERVIEW_REFRESH,
        }
        return _render(context, status, "overview.html", values)

    def _summaries(self, context: RequestContext) -> Sequence[Summary]:
        return self.reader().summaries(context.now - timedelta(days=self.settings.retention_days))

    def _csv(self, context: RequestContext, list_filter: ListFilter) -> func.HttpResponse:
        """All that match, on all pages."""
        reads = self.reads.begin()
        read_names = self._start_names(reads)
        body = csv_of(self._listing(context, list_filter, reads), read_names().value or {})
        return func.HttpResponse(body, headers={**HEADERS, **FILE_HEADERS}, mimetype=MEDIA_TYPE, charset="utf-8")

    def _listing(self, context: RequestContext, list_filter: ListFilter, reads: Reads) -> Listing:
        summaries = reads.value(lambda: self._summaries(context))
        return matching(summaries, list_filter, context.now, self._in_scope)

    def _report(self, context: RequestContext, as_csv: bool) -> func.HttpResponse:
        month = read_month(context.query["report"])
        if as_csv:
            return self.report().csv(month)
        csv_link = context.links.url(report=str(month), format="csv")
        return _render(context, 200, REPORT_TEMPLATE, {"csv_link": csv_link, **self.report().values(month)})

    @property
    def _in_scope(self) -> Callable[[str], bool]:
        return self.settings.policy().is_in_scope

    def _remediation(self, context: RequestContext) -> func.HttpResponse:
        reads = self.reads.begin()
        read_names = self._start_names(reads)
        remediation = self._load(context.query["id"], reads)
        others = self._others(remediation, context.now, reads)
        error_codes = self.intake().policy.error_codes
        values = {
            "detail": detail_of(remediation, self.settings.arm_endpoint, context.now, error_codes, others),
            "remediation": remediation,
            "subscription_name": (read_names().value or {}).get(remediation.instance.subscription_id.lower(), ""),
            "note": note_text(context.query.get("note", ""), remediation, context.now),
            "here": {"id": remediation.id},
            "refresh_seconds": 0 if remediation.status.is_terminal else ACTIVE_REFRESH,
        }
        return _render(context, 200, "remediation.html", values)

    def _start_names(self, reads: Reads) -> Callable[[], Known[Mapping[str, str]]]:
        return reads.start("names", lambda: self.runs().subscription_names())

    def _others(self, remediation: Remediation, now: datetime, reads: Reads) -> list[Summary]:
        """The newest remediations of the instance; none where storage does not tell in time: the page goes without."""
        filters = Filters(instance=remediation.instance, since=now - timedelta(days=self.settings.retention_days))
        try:
            page = reads.value(lambda: self.reader().page(filters, _MAX_OTHERS + 1))
        except AzureError as failure:
            logs.error("request.failed", reason=logs.describe_exception(failure))
            return []
        return [summarize(stored.remediation) for stored in page.items]

    def _load(self, remediation_id: str, reads: Reads | None = None) -> Remediation:
        stored = None
        if is_remediation_id(remediation_id):
            stored = (reads or self.reads.begin()).value(lambda: self.store().load(remediation_id))
        if stored is None:
            raise ApiError(404, "RemediationNotFound", f"There is no remediation {ascii(remediation_id)[:100]}.")
        return stored.remediation

    def _submit_form(
        self, context: RequestContext, request: func.HttpRequest, jobs: func.Out[list[str]]
    ) -> func.HttpResponse:
        pairs = read_pairs(request.headers.get("content-type", ""), request.get_body())
        fields, by = dict(pairs), signed_in_name(request)
        match fields.get("do"):
            case "sync":
                return self._sync(context, fields, jobs, by)
            case "cancel":
                return self._cancel(context, fields, by)
            case "acknowledge":
                return self._acknowledge(context, fields, by)
            case "pause":
                until = context.now + timedelta(days=read_days(fields))
                reason = read_reason(fields, "paused on the dashboard")
                begin_pause(self.pausing(), Pause(read_scope(fields), by or AN_OPERATOR, reason, until))
                return redirect(context.links.url())
            case "resume":
                end_pause(self.pausing(), read_scope(fields))
                return redirect(context.links.url())
            case "sync several" | "acknowledge several":
                ids = [value for name, value in pairs if name == "id"]
                return self._several(context, fields, ids, jobs, by)
        raise invalid_request(f"unknown form {ascii(fields.get('do'))[:100]}")

    def _sync(
        self, context: RequestContext, fields: Mapping[str, str], jobs: func.Out[list[str]], by: str | None
    ) -> func.HttpResponse:
        """The same intake as `POST /api/sync`, with the same policy."""
        try:
            form = read_sync_form(fields)
        except ApiError as error:
            error_texts = ("The form is not valid.", error.message)
            return self._overview(context, ListFilter(), error.status, fields, error_texts)
        reason = forced_reason(form.reason) if form.is_forced else form.reason
        signal = Signal(form.instance, REQUEST, reason, context.now, form.sync_type, by=by, is_forced=form.is_forced)
        match self.intake().accept(signal):
            case Dropped(code, reason):
                error_texts = (drop_reason_text(code), reason)
                return self._overview(context, ListFilter(), dropped(code, reason).status, fields, error_texts)
            case Opened(remediation, job) | Coalesced(remediation, job):
                if job:
                    jobs.set([job.to_message()])
                return redirect(context.links.url(id=remediation.id, note="opened" if job else "joined"))

    def _cancel(self, context: RequestContext, fields: Mapping[str, str], by: str | None) -> func.HttpResponse:
        remediation_id = fields.get("id", "")
        self._load(remediation_id)
        cancelled = self.cancellation().run(remediation_id, read_reason(fields, "cancelled on the dashboard"), by)
        note = "cancelled" if cancelled and cancelled.status is Status.CANCELLED else "ended"
        return redirect(context.links.url(id=remediation_id, note=note))

    def _acknowledge(self, context: RequestContext, fields: Mapping[str, str], by: str | None) -> func.HttpResponse:
        remediation_id, days = fields.get("id", ""), read_days(fields)
        instance, until = self._load(remediation_id).instance, context.now + timedelta(days=days)
        reason = read_reason(fields, "acknowledged on the dashboard")
        latest = self.acknowledgement().run(instance, by or AN_OPERATOR, reason, until)
        if latest is None:
            raise ApiError(404, "RemediationNotFound", f"There is no remediation of {instance}.")
        return redirect(context.links.url(id=latest.id, note="acknowledged" if latest.attention else "unneeded"))

    def _several(
        self,
        context: RequestContext,
        fields: Mapping[str, str],
        ids: Sequence[str],
        jobs: func.Out[list[str]],
        by: str | None,
    ) -> func.HttpResponse:
        """The page with the result of each: to send the form once more does no harm, and no redirect could carry it."""
        list_filter = read_filter({name.lower(): value for name, value in fields.items()})
        listing = self._listing(context, list_filter, self.reads.begin())
        rows = picked(listing.rows, ids, fields.get("all") == "true")
        several = Several(self.intake, self.acknowledgement, context.now, by)
        messages: list[str] = []
        try:
            is_sync = fields["do"] == "sync several"
            results = several.sync(rows, fields, messages) if is_sync else several.acknowledge(rows, fields)
        finally:
            if messages:
                jobs.set(messages)
        title = "Sync of several" if is_sync else "Acknowledgement of several"
        return _render(context, 200, "several.html", {"title": title, "results": results, "query": list_filter.query})


def _findings_card(findings: Callable[[], FindingStore] | None) -> FindingsCard | None:
    return findings_card(findings()) if findings else None


def _unread_page(context: RequestContext, problem: str, strip: Strip) -> func.HttpResponse:
    """Storage does not answer, and this process has never read the list."""
    values = {"problem": problem, "strip": strip, "here": {}, "refresh_seconds": OVERVIEW_REFRESH}
    response = _render(context, 503, "unread.html", values)
    response.headers["Retry-After"] = "10"
    return response


def _error_page(context: RequestContext, error: ApiError) -> func.HttpResponse:
    logs.info("request.refused", code=error.code, reason=error.message)
    return _render(context, error.status, "error.html", {"error": error})


def _render(context: RequestContext, status: int, template: str, values: Mapping[str, Any]) -> func.HttpResponse:
    return render(status, template, {**_TEMPLATE_CONSTANTS, **context.frame.values(), **values})
