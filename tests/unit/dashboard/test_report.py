"""`GET /api/report`: a month as a page to be printed, and as CSV."""

import csv
import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import cast
from unittest.mock import Mock
from urllib.parse import parse_qs

import azure.functions as func
import pytest
from azure.core.exceptions import ServiceRequestError
from azure.data.tables import TableClient
from msgspec.structs import replace

from autoheal import DONE, verify
from shared.dashboard.report import ReportPage
from shared.domain.mode import Mode
from shared.domain.outcome_chain import COLUMNS, seal
from shared.domain.remediation import Remediation, id_prefix
from shared.domain.report import Month
from shared.domain.summary import Summary, summarize
from shared.healing.monthly_report import MonthlyReports
from shared.storage.remediation_list import Filters, Page, RemediationReader
from shared.storage.seal_store import SealStore
from shared.storage.table_rows import Stored, due_entry
from tests.support.api_parts import described, document, http_request
from tests.support.dashboard_parts import KEY, MARKUP, ParsedPage
from tests.support.dashboard_parts import Page as DashboardPage
from tests.support.memory_table import MemoryTable
from tests.support.remediations import NOW, healed, recovered, rejected

RETENTION, TODAY = timedelta(days=90), NOW + timedelta(days=2)


class Reader(RemediationReader):
    """Has these remediations, of which it gives two with each page."""

    def __init__(self, *kept: Remediation) -> None:
        self._kept = sorted(kept, key=lambda each: each.id)
        self.loaded: list[str] = []

    def summaries(self, opened_since: datetime) -> list[Summary]:
        return [summarize(each) for each in self._kept]

    def load(self, remediation_ids: Sequence[str]) -> tuple[Stored, ...]:
        self.loaded += remediation_ids
        return tuple(_stored(each) for each in self._kept if each.id in remediation_ids)

    def ids_over_since(self, opened_before: datetime, over_since: datetime) -> list[str]:
        before = (each for each in self._kept if each.opened_at < opened_before)
        return [each.id for each in before if each.over_at is None or each.over_at >= over_since]

    def page(self, filters: Filters, top: int, after: str | None = None) -> Page:
        assert filters.since
        assert after
        rest = [each for each in self._kept if after < each.id < f"{id_prefix(filters.since)};"]
        return Page(tuple(map(_stored, rest[:2])), rest[1].id if len(rest) > 2 else None)


def _stored(remediation: Remediation) -> Stored:
    return Stored(remediation, "etag", due_entry(remediation.id, remediation.opened_at))


def reports_of(reader: Reader) -> MonthlyReports:
    return MonthlyReports(lambda: reader, RETENTION, lambda: TODAY)


def show(*kept: Remediation, accept: str = "text/html", **query: str) -> func.HttpResponse:
    table = cast(TableClient, MemoryTable())
    seals = SealStore(table, lambda: TODAY)
    page = ReportPage(reports_of(Reader(*kept)), lambda: seals, Mode.HEAL, lambda: TODAY, dict)
    request = http_request("GET", "/report", headers={"Accept": accept}, query=query)
    return described(page.show(request), "GET", "/report")


def lines(*kept: Remediation, **query: str) -> list[dict[str, str]]:
    text = show(*kept, format="csv", **query).get_body().decode()
    return list(csv.DictReader(StringIO(text, newline="")))


def opened(remediation: Remediation, ago: timedelta) -> Remediation:
    """The same, opened and ended so much sooner."""
    at, ended_at = remediation.opened_at - ago, remediation.ended_at
    remediation_id = f"{id_prefix(at)}-{remediation.instance.key}"
    return replace(remediation, id=remediation_id, opened_at=at, ended_at=ended_at - ago if ended_at else None)


def test_without_a_month_it_is_about_the_current_one() -> None:
    assert "Report for 2026-01" in ParsedPage(show()).text


def test_a_month_without_outcomes_says_so() -> None:
    assert "Nothing ended in this month." in ParsedPage(show(month="2026-01")).text


def test_the_month_that_is_not_over_says_so() -> None:
    assert "not over" in ParsedPage(show(month="2026-01")).text


def test_a_month_of_which_something_was_removed_says_so() -> None:
    assert "Not complete" in ParsedPage(show(month="2025-09")).text
    assert "Not complete" not in ParsedPage(show(month="2025-12")).text


def test_each_outcome_is_shown_with_its_evidence() -> None:
    shown = ParsedPage(show(recovered(), month="2026-01")).text
    for evidence in (recovered().id, "Recovered", "testbi", "2026-01-01 03:04:05", "1 d"):
        assert evidence in shown


def test_every_outcome_is_a_line_of_the_csv_whatever_the_pages() -> None:
    kept = [opened(healed(), timedelta(minutes=minutes)) for minutes in range(7)]
    assert len(lines(*kept)) == 7


def test_the_lines_have_these_columns() -> None:
    [line] = lines(rejected())
    assert tuple(line) == (*COLUMNS, "previousHash", "hash")
    assert (line["status"], line["errorCode"], line["byItself"]) == ("Rejected", "UserErrorMissingPermission", "false")


def test_what_was_opened_in_the_month_before_and_ended_in_this_one_is_in_it() -> None:
    before = opened(healed(), timedelta(days=5))
    assert len(lines(replace(before, ended_at=NOW), month="2026-01")) == 1


def test_what_ended_in_the_month_before_is_not_read() -> None:
    reader = Reader(opened(replace(healed(), due_at=None), timedelta(days=40)))
    assert reports_of(reader).of(Month.of(TODAY)).outcomes == []
    assert reader.loaded == []


@pytest.mark.parametrize(("accept", "kind"), [("text/csv", "text/csv"), ("*/*", "text/html"), ("", "text/html")])
def test_without_a_format_the_caller_gets_what_it_accepts(accept: str, kind: str) -> None:
    assert show(accept=accept).mimetype == kind


@pytest.mark.parametrize("query", [{"month": "2026-13"}, {"month": "x"}, {"format": "pdf"}, {"year": "2026"}])
def test_a_query_that_cannot_be_used_is_refused(query: dict[str, str]) -> None:
    response = show(**query)
    assert (response.status_code, document(response)["error"]["target"]) == (400, next(iter(query)))


def test_the_link_to_the_csv_has_the_key_and_the_month() -> None:
    page = ParsedPage(show(code=KEY, month="2026-01"))
    assert {"month": "2026-01", "format": "csv", "code": KEY} in page.own_queries


def test_foreign_text_stays_text() -> None:
    error = {"code": MARKUP, "message": "m"}
    page = ParsedPage(show(replace(rejected(), error=error, source=MARKUP)))
    assert (page.tags.count("script"), page.tags.count("img")) == (1, 0)


@pytest.mark.parametrize(("count", "text"), [(1, "1 day of this month is as sealed"), (5, "Not as they were")])
def test_given_a_sealed_day_then_the_page_says_whether_it_is_as_it_was(count: int, text: str) -> None:
    store = SealStore(cast(TableClient, MemoryTable()), lambda: TODAY)
    reports = reports_of(Reader(healed()))
    store.add(dataclasses.replace(seal(NOW.date(), None, reports.of(Month.of(NOW)).outcomes), count=count))
    page = ReportPage(reports, lambda: store, Mode.HEAL, lambda: TODAY, dict)
    assert text in ParsedPage(page.show(http_request("GET", "/report"))).text


def test_the_csv_is_one_that_the_command_verifies(tmp_path: Path) -> None:
    file = tmp_path / "report.csv"
    odd = replace(rejected(), error={"code": "=1\ud800\r\n,;=1+1", "message": "m"})
    store, told = SealStore(cast(TableClient, MemoryTable()), lambda: TODAY), StringIO()
    store.add(seal(NOW.date() - timedelta(days=1), None, []))
    page = ReportPage(reports_of(Reader(odd, healed())), lambda: store, Mode.HEAL, lambda: TODAY, dict)
    file.write_bytes(page.show(http_request("GET", "/report", query={"format": "csv"})).get_body())
    assert verify([str(file)], told) == DONE
    assert "2 of 2 outcomes have a hash" in told.getvalue()


# In the dashboard's function, whose key opens no other


def with_a_heal() -> DashboardPage:
    page = DashboardPage(now=TODAY)
    page.keep(healed())
    return page


def test_every_page_leads_to_the_report_of_this_month_and_the_last() -> None:
    for page in (DashboardPage().open(), DashboardPage().open(report="2026-01"), ParsedPage(show(code=KEY))):
        led_to = [parse_qs(reference.partition("?")[2]) for reference in page.references]
        months = [query["report"] for query in led_to if "report" in query and "format" not in query]
        assert months == [["2026-01"], ["2025-12"]]


def test_the_dashboard_shows_the_same_report() -> None:
    own, alone = with_a_heal().open(report="2026-01"), ParsedPage(show(healed(), month="2026-01", code=KEY))
    assert own.text == alone.text


def test_the_dashboard_leads_to_the_same_csv() -> None:
    page = with_a_heal()
    [link] = [query for query in page.open(report="2026-01").own_queries if "format" in query]
    assert page.get(**link).get_body() == show(healed(), month="2026-01", format="csv").get_body()


@pytest.mark.parametrize("query", [{"report": "2026-13"}, {"report": ""}, {"report": "2026-01", "format": "pdf"}])
def test_a_report_that_the_dashboard_cannot_show_is_refused(query: dict[str, str]) -> None:
    assert DashboardPage().open(**query).status == 400


def test_where_storage_does_not_answer_the_dashboard_says_so() -> None:
    page = DashboardPage(storage=Mock(side_effect=ServiceRequestError("no connection")))
    assert page.open(report="2026-01").status == 503
