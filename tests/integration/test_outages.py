"""Azure that does not answer in time, an identity endpoint that keeps silent, storage that is too busy."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import requests
from azure.core.exceptions import AzureError

from shared.clients import credential
from shared.clients.arm import ArmClient
from shared.clients.arm_transport import ArmTransport
from shared.clients.credential import TokenCache, managed_identity
from shared.domain.remediation import Remediation, Status
from shared.storage import connection
from shared.storage.remediation_store import RemediationStore
from tests.integration.conftest import FAST, INSTANCE, App
from tests.support.scripted_server import scripted_server
from tests.support.silence import BusyStorage, busy_storage, silent_port, unreachable_port
from tests.support.simulator import ARM_AUDIENCE

LATER = {"minutes": 2}
_TABLES = r"TableEndpoint=http://[^:]+:(?P<port>\d+)"


def with_azure_at(app: App, port: int, timeouts: tuple[float, float] = (0.2, 0.2)) -> App:
    """The app, whose Resource Manager is at this port of the machine."""
    tokens = TokenCache(lambda: managed_identity(None), ARM_AUDIENCE)
    transport = ArmTransport(tokens, requests.Session(), timeouts)
    host = app.host
    there = ArmClient(f"https://localhost:{port}", (), transport, host.write_limit, host.read_limit)
    return replace(app, host=replace(host, arm=there))


def error_of(app: App, remediation: Remediation) -> str:
    error = app.now(remediation).error
    assert error is not None
    return f"{error['code']}: {error['message']}"


@pytest.fixture
def opened(app: App) -> Remediation:
    app.azure.put(str(INSTANCE), behaviour=FAST)
    return app.open()


def assert_heals_later(app: App, remediation: Remediation) -> None:
    app.clock.advance(**LATER)
    app.submit(remediation)
    app.clock.advance(**LATER)
    app.host.poller.run()
    assert app.now(remediation).status is Status.HEALED


@pytest.mark.parametrize(("azure", "said"), [(unreachable_port, "ConnectTimeout"), (silent_port, "Timeout")])
def test_a_sync_call_that_gets_no_connection_or_no_answer_in_time_is_made_later(
    app: App, opened: Remediation, azure: Callable[[], AbstractContextManager[int]], said: str
) -> None:
    with azure() as port:
        with_azure_at(app, port).submit(opened)
    assert app.now(opened).status is Status.VERIFYING
    assert re.search(f"NoResponse: .*{said}", error_of(app, opened))
    app.clock.advance(**LATER)
    app.host.poller.run()
    assert_heals_later(app, opened)


def test_a_look_whose_answer_stays_away_is_taken_later(app: App, opened: Remediation) -> None:
    app.submit(opened)
    app.azure.set(latencySeconds=0.5)
    hasty = with_azure_at(app, urlsplit(app.azure.url).port or 443, (5, 0.1))
    hasty.host.poller.run()
    assert app.now(opened).status is Status.RUNNING
    assert "Read timed out" in error_of(app, opened)
    app.azure.set(latencySeconds=0)
    app.clock.advance(**LATER)
    app.host.poller.run()
    assert app.now(opened).status is Status.HEALED


def test_an_identity_endpoint_that_keeps_silent_holds_no_job_for_long(
    app: App, opened: Remediation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with silent_port() as port, monkeypatch.context() as patch:
        patch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/msi/token")
        patch.setattr(credential, "_CLIENT_OPTIONS", {**credential._CLIENT_OPTIONS, "read_timeout": 0.2})
        with_azure_at(app, urlsplit(app.azure.url).port or 443, (5, 5)).submit(opened)
    assert app.now(opened).status is Status.QUEUED
    assert "TokenUnavailable" in error_of(app, opened)
    assert_heals_later(app, opened)


def test_an_identity_endpoint_that_answers_with_a_web_page_decides_nothing(
    app: App, opened: Remediation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted_server() as gateway, monkeypatch.context() as patch:
        gateway.script([{"status": 502, "headers": {"Content-Type": "text/html"}, "text": "<h1>Bad Gateway</h1>"}])
        patch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{gateway.port}/msi/token")
        with_azure_at(app, urlsplit(app.azure.url).port or 443).submit(opened)
    assert app.now(opened).status is Status.QUEUED
    assert "TokenUnavailable" in error_of(app, opened)
    assert_heals_later(app, opened)


@pytest.fixture
def door(connection_string: str) -> Iterator[BusyStorage]:
    """In front of the table storage."""
    found = re.search(_TABLES, connection_string)
    assert found
    with busy_storage(int(found["port"])) as server:
        yield server


@pytest.fixture
def busy(app: App, door: BusyStorage, connection_string: str) -> App:
    """The app, whose table storage is behind the door."""
    through = re.sub(_TABLES, f"TableEndpoint=http://127.0.0.1:{door.server_port}", connection_string)
    store = RemediationStore(connection.open_table(app.table.table_name, {"AzureWebJobsStorage": through}))
    return replace(app, host=replace(app.host, store=store))


def test_storage_that_is_busy_for_a_moment_is_asked_again(
    app: App, busy: App, opened: Remediation, door: BusyStorage
) -> None:
    door.refusals = 1
    busy.submit(opened)
    assert app.now(opened).status is Status.RUNNING
    assert app.calls() == ["instance", "sync"]


def test_a_job_that_storage_is_too_busy_for_fails_so_that_the_queue_brings_it_again(
    app: App, busy: App, opened: Remediation, door: BusyStorage
) -> None:
    door.refusals = 99
    with pytest.raises(AzureError, match="ServerBusy"):
        busy.submit(opened)
    door.refusals = 0
    busy.submit(opened)
    busy.host.poller.run()
    assert app.now(opened).status is Status.HEALED
    assert app.calls().count("sync") == 1


def test_a_tick_that_storage_is_too_busy_for_leaves_everything_due(
    app: App, busy: App, opened: Remediation, door: BusyStorage
) -> None:
    busy.submit(opened)
    door.refusals = 99
    with pytest.raises(AzureError, match="ServerBusy"):
        busy.host.poller.run()
    door.refusals = 0
    busy.host.poller.run()
    assert app.now(opened).status is Status.HEALED
    assert [event["id"] for event in app.azure.events()] == [opened.id]
