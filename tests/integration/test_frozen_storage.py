"""Storage that takes requests and never answers: the page and the status answer in time, with what is known."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit
from uuid import uuid4

import azure.functions as func
import pytest

from shared.api.health import Health
from shared.api.status import Status
from shared.clock import utc_now
from shared.dashboard.known_reads import KnownReads
from shared.dashboard.page import Dashboard
from shared.domain import lifecycle
from shared.domain.arm_results import Reachable
from shared.domain.coverage import Coverage
from shared.domain.mode import Mode
from shared.domain.remediation import Remediation
from shared.domain.signal import Signal, SyncType
from shared.healing.pausing import Pausing
from shared.settings import Settings
from shared.storage import connection
from shared.storage.bucket_store import BucketStore
from shared.storage.pause_store import PauseStore
from shared.storage.queues import SyncJobQueue
from shared.storage.remediation_list import RemediationReader
from shared.storage.remediation_store import RemediationStore
from shared.storage.run_store import LastSweep, RunStore
from tests.integration.conftest import INSTANCE
from tests.support.api_parts import Json, document, http_request
from tests.support.bindings import OutputBinding
from tests.support.dashboard_parts import ParsedPage
from tests.support.gateway import Fault, Gateway

SILENCE = Fault("silence", "be silent")
MAX_SECONDS = 5


class Door:
    """Table and queue storage behind gateways, and the page on them."""

    def __init__(self, connection_string: str) -> None:
        self._gateways = []
        for kind in ("Table", "Queue"):
            found = re.search(rf"{kind}Endpoint=(http://[^/;]+)", connection_string)
            assert found
            self._gateways.append(Gateway(found[1], lambda _: "any"))
            address = urlsplit(self._gateways[-1].url).netloc.replace("localhost", "127.0.0.1")
            connection_string = connection_string.replace(found[1], f"http://{address}")
        environment = {"AzureWebJobsStorage": connection_string}
        self.table = connection.open_table(f"test{uuid4().hex}", environment)
        self.store = RemediationStore(self.table)
        self.runs = RunStore(self.table, utc_now)
        queue = SyncJobQueue(connection.open_queue(f"test{uuid4().hex}", environment))
        reader = RemediationReader(self.table, self.store, utc_now)
        pausing = Pausing(Mode.HEAL, PauseStore(self.table, utc_now), utc_now)
        health = Health(
            lambda: self.store,
            lambda: BucketStore(self.table, utc_now),
            lambda: queue,
            lambda: queue,
            lambda: "token",
            lambda: Reachable(1),
            utc_now,
            Mode.HEAL,
            lambda: self.runs,
        )
        self.status = Status(lambda: health, utc_now)
        self.page = Dashboard(
            Mock(),
            Mock(),
            Mock(),
            lambda: pausing,
            lambda: reader,
            lambda: self.store,
            Settings(),
            utc_now,
            status=lambda: self.status,
            reads=KnownReads(utc_now),
            runs=lambda: self.runs,
            report=Mock(),
        )

    @contextmanager
    def frozen(self) -> Iterator[None]:
        table, queue = self._gateways
        with table.fault("any", SILENCE), queue.fault("any", SILENCE):
            yield

    def close(self) -> None:
        self.table.delete_table()
        for gateway in self._gateways:
            gateway.close()

    def open(self, query: Mapping[str, str] | None = None) -> ParsedPage:
        request = http_request("GET", "/dashboard", query=query)
        response, seconds = timed(lambda: self.page.answer(request, OutputBinding()))
        assert seconds < MAX_SECONDS
        return ParsedPage(response)

    def remediation(self) -> Remediation:
        signal = Signal(INSTANCE, "Event", "backup failed", utc_now())
        opened = lifecycle.open_remediation(signal, SyncType.DEFAULT, utc_now())
        self.store.open(opened, None)
        return opened


def timed(serve: Any) -> tuple[func.HttpResponse, float]:
    started = time.monotonic()
    response = serve()
    return response, time.monotonic() - started


@pytest.fixture
def door(connection_string: str) -> Iterator[Door]:
    door = Door(connection_string)
    yield door
    door.close()


def status_of(door: Door) -> Json:
    response, seconds = timed(lambda: door.status.show(http_request("GET", "/status")))
    assert (response.status_code, seconds < MAX_SECONDS) == (200, True)
    return document(response)


def test_given_frozen_storage_when_the_page_was_shown_before_then_it_shows_in_time_what_was_known(door: Door) -> None:
    door.remediation()
    door.runs.put_sweep(LastSweep(utc_now(), coverage=Coverage(2, 2, instances=40)))
    door.open()
    with door.frozen():
        page = door.open()
    assert page.status == 200
    assert INSTANCE.name in page.text
    assert "40 instances, 2 subscriptions" in page.text
    assert "Storage does not answer." in page.text


def test_given_frozen_storage_when_nothing_was_known_then_the_page_says_in_time_who_answers(door: Door) -> None:
    with door.frozen():
        page = door.open()
    assert (page.status, page.headers["Retry-After"]) == (503, "10")
    assert re.search(r"Not reachable\s*storage\s", page.text)


def test_given_frozen_storage_when_a_remediation_is_asked_for_then_the_page_says_in_time_that_it_cannot_tell(
    door: Door,
) -> None:
    opened = door.remediation()
    with door.frozen():
        page = door.open({"id": opened.id})
    assert page.status == 503


def test_given_frozen_storage_when_many_look_at_the_page_then_each_has_an_answer_in_time(door: Door) -> None:
    door.open()
    with door.frozen():
        assert [door.open().status for _ in range(4)] == [200] * 4
        assert door.status.document()["reachable"] == {"storage": False, "resourceManager": True, "token": True}


def test_given_frozen_storage_when_the_status_is_asked_for_then_it_says_in_time_what_was_known(door: Door) -> None:
    door.runs.put_poll_run(3, 2)
    before = status_of(door)
    with door.frozen():
        found = status_of(door)
    assert found["lastPollRun"] == before["lastPollRun"] is not None
    assert found["problems"]["poller"] == "no answer within 3 s"


def test_given_storage_that_was_frozen_when_it_answers_again_then_the_page_is_up_to_date(door: Door) -> None:
    door.open()
    with door.frozen():
        door.open()
    door.remediation()
    deadline = time.monotonic() + 60
    while INSTANCE.name not in door.open().text:
        assert time.monotonic() < deadline
