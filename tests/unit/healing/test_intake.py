"""Intake, where storage carries an opening out, answers with an error, and the SDK repeats what it has sent."""

from dataclasses import replace

import pytest

from shared.healing.intake import Coalesced, Opened
from shared.storage.queues import SyncJob
from tests.support.memory_azure import MemoryApp
from tests.support.memory_table import repeat_next_transaction


@pytest.fixture
def app() -> MemoryApp:
    return MemoryApp(has_topic=False)


def test_an_opening_that_meets_its_own_rows_has_opened(app: MemoryApp) -> None:
    repeat_next_transaction(app.store.table)
    result = app.accept("bi")
    assert isinstance(result, Opened)
    assert (result.job, app.now(result.remediation).signals) == (SyncJob(result.remediation.id, 1), 1)


def test_so_does_the_opening_of_an_instance_that_has_failed_before(app: MemoryApp) -> None:
    app.follow("bi")
    app.clock.advance(days=2)
    repeat_next_transaction(app.store.table)
    result = app.accept("bi")
    assert isinstance(result, Opened)
    assert (result.job, app.now(result.remediation).signals) == (SyncJob(result.remediation.id, 1), 1)


def test_it_is_in_the_log_as_opened_once(app: MemoryApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    repeat_next_transaction(app.store.table)
    app.accept("bi")
    assert sum('"from": null' in record.message for record in caplog.records) == 1
    assert "signal.coalesced" not in caplog.text


def test_another_hosts_opening_of_the_same_millisecond_is_its_own(app: MemoryApp) -> None:
    """Both have the same id, and all else that they hold."""
    other = replace(app.host)
    first, second = other.intake.accept(app.signal("bi")), app.accept("bi")
    assert isinstance(first, Opened)
    assert isinstance(second, Coalesced)
    assert (second.job, app.now(first.remediation).signals) == (None, 2)


def test_a_later_signal_does_not_count_as_the_one_that_opened(app: MemoryApp) -> None:
    repeat_next_transaction(app.store.table)
    app.accept("bi")
    app.clock.advance(seconds=1)
    assert isinstance(app.accept("bi"), Coalesced)
