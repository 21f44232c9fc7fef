"""Hosts whose clocks are minutes off, on real storage: they go by its clock, and lose nothing but the first guess."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.clock import utc_now
from shared.domain.remediation import Status
from shared.storage import connection
from shared.storage.remediation_store import RemediationStore
from shared.storage.storage_clock import StorageClock
from tests.integration.conftest import FAST, INSTANCE, App, AppMaker
from tests.support.host import Host

MINUTES = timedelta(minutes=1)
PRECISION = timedelta(seconds=1.5)
"""How far apart two hosts may be that go by storage's clock: its answers name whole seconds."""
MakeHost = Callable[[timedelta], Host]


@pytest.fixture
def host_ahead(make_app: AppMaker, connection_string: str, monkeypatch: pytest.MonkeyPatch) -> MakeHost:
    """Makes a host whose clock is so far ahead, with connections of its own to the storage that all share."""
    app: App = make_app()
    app.azure.put(str(INSTANCE), behaviour=FAST)

    def make(ahead: timedelta) -> Host:
        clock = StorageClock(lambda: utc_now() + ahead)
        monkeypatch.setattr(connection, "STORAGE_CLOCK", clock)
        table = connection.open_table(app.table.table_name, {"AzureWebJobsStorage": connection_string})
        store = RemediationStore(table, clock)
        store.soonest("0")  # the first answer, before which a host knows its own time only
        return replace(make_app().host, store=store, clock=clock)

    return make


@pytest.mark.parametrize(("one_ahead", "other_ahead"), [(5, -5), (-5, 5)])
def test_hosts_ten_minutes_apart_heal_without_a_delay(
    host_ahead: MakeHost, make_app: AppMaker, one_ahead: int, other_ahead: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="backup_autoheal")
    one, other, app = host_ahead(one_ahead * MINUTES), host_ahead(other_ahead * MINUTES), make_app()
    result = one.intake.accept(replace(app.signal(), occurred_at=one.clock()))
    assert result.job is not None
    other.submit.run(result.job.to_message())
    answered = one.clock()
    while not app.now(result.remediation).status.is_terminal and one.clock() < answered + PRECISION:
        one.poller.run()
    assert app.now(result.remediation).status is Status.HEALED
    assert [event["id"] for event in app.azure.events()] == [result.remediation.id]
    assert "job.early" not in caplog.text
    assert abs(one.clock() - utc_now()) < PRECISION


def test_what_was_opened_by_a_clock_that_is_ahead_is_healed_with_a_delay(make_app: AppMaker) -> None:
    ahead, app = make_app(clock_ahead=5 * MINUTES), make_app()
    app.azure.put(str(INSTANCE), behaviour=FAST)
    opened = ahead.open()
    app.submit(opened)
    assert app.calls() == []
    app.clock.advance(minutes=5, seconds=1)
    app.submit(opened)
    app.host.poller.run()
    assert app.now(opened).status is Status.HEALED
