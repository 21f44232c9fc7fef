"""The page on a store in memory, and what it shows, for the tests of the dashboard and of the browser."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any, cast
from unittest.mock import Mock
from urllib.parse import parse_qsl, urlencode, urlsplit

import azure.functions as func
from azure.data.tables import TableClient
from msgspec import structs

from shared.api.health import Health
from shared.api.signed_in_request import Principal, SignedInRequest
from shared.api.status import Status as AppStatus
from shared.dashboard.forms import FORM_CONTENT_TYPE
from shared.dashboard.known_reads import KnownReads
from shared.dashboard.page import Dashboard
from shared.dashboard.report import ReportPage
from shared.domain import arm_results, state_machine
from shared.domain.arm_results import Reachable, TransientFailure
from shared.domain.remediation import Remediation, Status, new_id
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.state_machine import Moment
from shared.domain.summary import Summary
from shared.healing.acknowledge import Acknowledge
from shared.healing.cancel import Cancel
from shared.healing.intake import Intake
from shared.healing.monthly_report import MonthlyReports
from shared.healing.pausing import Pausing
from shared.healing.poll_cache import PollCache
from shared.settings import Settings
from shared.storage.finding_store import FindingStore
from shared.storage.pause_store import PauseStore
from shared.storage.remediation_list import Filters, RemediationReader
from shared.storage.remediation_list import Page as Listed
from shared.storage.run_store import RunStore
from shared.storage.seal_store import SealStore
from tests.support import remediations as episodes
from tests.support.api_parts import recorder
from tests.support.memory_queue import MemoryQueue
from tests.support.memory_store import MemoryStore
from tests.support.remediations import INSTANCE, LATER, NOW

KEY = "a+key/with==signs"
MARKUP = "<script>alert(1)<script>\"'&amp;<img src=x onerror=alert(1)>"
_REFERENCES = {"href", "src", "action", "formaction", "data", "poster"}


def summary(
    status: Status = Status.HEALED,
    name: str = "testbi",
    opened_at: datetime = NOW - timedelta(hours=1),
    took: timedelta = timedelta(minutes=4),
    instance: BackupInstanceId | None = None,
    error_code: str | None = None,
    attention_from: datetime | None = None,
    source: str = "Event",
    datasource_type: str | None = None,
    attempts: int = 1,
) -> Summary:
    """A remediation in short."""
    of = instance or BackupInstanceId(INSTANCE.subscription_id, INSTANCE.resource_group, INSTANCE.vault, name)
    ended_at = opened_at + took if status.is_terminal else None
    since = attention_from or (ended_at if status.is_unhealed else None)
    return Summary(
        new_id(of, opened_at),
        status,
        str(of),
        source,
        opened_at,
        ended_at,
        attempts,
        None,
        error_code,
        attention_from=since,
        datasource_type=datasource_type,
    )


def newest_first(summaries: Sequence[Summary]) -> list[Summary]:
    """As the store gives them."""
    return sorted(summaries, key=lambda each: each.id)


class ParsedPage(HTMLParser):
    """A response of the page, parsed as a browser does."""

    def __init__(self, response: func.HttpResponse) -> None:
        super().__init__()
        self.status = response.status_code
        self.headers = response.headers
        self.html = response.get_body().decode()
        self.tags: list[str] = []
        self.values: list[str] = []
        """Of form fields."""
        self.text = ""
        self.references: list[str] = []
        """URLs, relative and absolute."""
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value for name, value in attrs if name in _REFERENCES and value is not None]
        self.values += [value for name, value in attrs if name == "value" and value is not None]

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def own_queries(self) -> list[dict[str, str]]:
        """The query of each reference to the page itself."""
        return [_query(each) for each in self.references if each.startswith("?")]

    @property
    def external(self) -> list[str]:
        """References that lead elsewhere than to the page itself."""
        return [each for each in self.references if not each.startswith(("?", "#", "data:"))]

    @property
    def redirect(self) -> dict[str, str]:
        """The query of the `Location`, which is one of the page itself."""
        location: str = self.headers["Location"]
        assert (self.status, location[0]) == (303, "?")
        return _query(location)


def _query(reference: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(reference).query))


@dataclass
class Page:
    """The page on a store in memory."""

    summaries: Sequence[Summary] = ()
    settings: Settings = field(default_factory=Settings)
    now: datetime = NOW
    store: MemoryStore = field(default_factory=MemoryStore)
    jobs: list[str] = field(default_factory=list)
    """The messages that were queued."""
    storage: Callable[[], None] = lambda: None
    """Called before each read of a table: raises where storage does not answer."""
    poison: MemoryQueue = field(default_factory=MemoryQueue)
    principal: Principal | None = None
    """Who has signed in; without it, requests have a key."""
    reached: Reachable | TransientFailure = field(default_factory=lambda: Reachable(1))

    def __post_init__(self) -> None:
        self.reads = KnownReads(self._now)
        health = Health(
            self._stored,
            lambda: self._stored().buckets,
            MemoryQueue,
            lambda: self.poison,
            lambda: "token",
            lambda: self.reached,
            self._now,
            self.settings.mode,
            lambda: self.runs,
        )
        self.status = AppStatus(lambda: health, self._now)

    @property
    def runs(self) -> RunStore:
        """The records of the timers in the same table."""
        self.storage()
        return RunStore(cast(TableClient, self.store.table), self._now)

    def _stored(self) -> MemoryStore:
        self.storage()
        return self.store

    def _read(self, since: datetime) -> list[Summary]:
        self.storage()
        return list(self.summaries)

    def _list(self, filters: Filters, top: int) -> Listed:
        self.storage()
        return RemediationReader(cast(TableClient, self.store.table), self.store, self._now).page(filters, top)

    def get(self, key: str = KEY, **query: str) -> func.HttpResponse:
        """Request it as a browser does."""
        return self.answer("GET", {"code": key, **query}, b"", {})

    def open(self, key: str = KEY, **query: str) -> ParsedPage:
        """Request it and parse the response."""
        return ParsedPage(self.get(key, **query))

    def post(self, fields: Mapping[str, str | list[str]] | bytes, content_type: str = FORM_CONTENT_TYPE) -> ParsedPage:
        """Submit a form as a browser does."""
        body = fields if isinstance(fields, bytes) else urlencode(fields, doseq=True).encode()
        return ParsedPage(self.answer("POST", {"code": KEY}, body, {"Content-Type": content_type}))

    @property
    def _report(self) -> ReportPage:
        self.storage()
        table = cast(TableClient, self.store.table)
        reader = RemediationReader(table, self.store, self._now)
        reports = MonthlyReports(lambda: reader, timedelta(days=self.settings.retention_days), self._now)
        seals = SealStore(table, self._now)
        names = self.runs.subscription_names
        return ReportPage(reports, lambda: seals, self.settings.mode, self._now, names)

    @property
    def findings(self) -> FindingStore:
        """The findings in the same table."""
        return FindingStore(cast(TableClient, self.store.table))

    def keep(self, remediation: Remediation) -> Remediation:
        """The remediation, in the store."""
        self.store.open(remediation, self.store.latest_pointer(remediation.instance))
        return remediation

    def _now(self) -> datetime:
        return self.now

    def answer(
        self, method: str, query: Mapping[str, str], body: bytes, headers: Mapping[str, str]
    ) -> func.HttpResponse:
        """The response to any request."""
        intake = Intake(self.store, MemoryQueue(), PollCache(), self.settings.policy(), lambda: self.now)
        cancel = Cancel(self.store, recorder(self.store, announces=False), lambda: self.now)
        reader = Mock(summaries=self._read, page=self._list)
        acknowledge = Acknowledge(self.store, recorder(self.store, announces=False), lambda: self.now)
        pauses = Pausing(self.settings.mode, PauseStore(cast(TableClient, self.store.table), self._now), self._now)
        parts = (
            lambda: intake,
            lambda: cancel,
            lambda: acknowledge,
            lambda: pauses,
            lambda: reader,
            lambda: self.store,
        )
        finds = self.settings.stale_after is not None
        page = Dashboard(
            *parts,
            self.settings,
            lambda: self.now,
            (lambda: self.findings) if finds else None,
            status=lambda: self.status,
            reads=self.reads,
            runs=lambda: self.runs,
            report=lambda: self._report,
        )
        url = "https://app.example/api/dashboard"
        request = func.HttpRequest(method, url, headers=headers, params=query, body=body)
        if self.principal:
            request = SignedInRequest(request, self.principal, {})
        return page.answer(request, Mock(set=self.jobs.extend))


REMEDIATION_ID = episodes.queued().id
SYNC = {"do": "sync", "backupInstanceId": str(INSTANCE)}
MANY = newest_first([summary(name=f"bi{number}") for number in range(60)])
"""More than fit on one page."""


def failed(error: Any) -> Remediation:
    """A remediation whose only attempt ended with this error of Azure's."""
    lost = arm_results.OperationFailed("Failed", error, "job-1")
    return state_machine.on_operation_status(episodes.running(), lost, Moment(LATER, 0.0, None))


def detail_page(remediation: Remediation, **query: str) -> ParsedPage:
    page = Page(now=LATER + timedelta(minutes=5))
    # The id is that of INSTANCE, whatever the remediation's instance is called.
    page.keep(structs.replace(remediation, id=REMEDIATION_ID))
    parsed = page.open(id=REMEDIATION_ID, **query)
    assert parsed.status == 200
    return parsed


def with_queued_remediation() -> Page:
    page = Page()
    page.keep(episodes.queued())
    return page
