"""An opener that dies half-way, or does not learn that it has opened: what it has claimed is finished, once."""

from dataclasses import replace

import pytest

from shared.domain import lifecycle
from shared.domain.remediation import Remediation, Status
from shared.domain.signal import SyncType
from shared.healing.intake import Opened
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import DueEntry, entry_row, pointer_row, shard_of
from tests.integration.conftest import FAST, INSTANCE, App
from tests.support.repeating_table import open_repeating_table


@pytest.fixture
def claimed(app: App) -> Remediation:
    """The opener died right after its claim."""
    app.azure.put(str(INSTANCE), behaviour=FAST)
    fresh = lifecycle.open_remediation(app.signal(), SyncType.DEFAULT, app.clock())
    app.table.create_entity(pointer_row(fresh, [fresh.opened_at]))
    return fresh


@pytest.fixture
def entered(app: App, claimed: Remediation) -> Remediation:
    """The opener died after its claim and its due entry."""
    app.table.create_entity(entry_row(DueEntry(claimed.id, claimed.opened_at)))
    return claimed


def due(app: App, remediation: Remediation) -> list[DueEntry]:
    return app.host.store.due(shard_of(remediation.id), app.clock(), 10)


def test_the_repeated_signal_finishes_what_was_claimed(app: App, claimed: Remediation) -> None:
    assert (app.open().id, app.now(claimed).signals, len(app.jobs())) == (claimed.id, 2, 1)


def test_what_the_repeated_signal_has_finished_heals(app: App, claimed: Remediation) -> None:
    app.host.intake.accept(app.signal())
    app.submit(claimed)
    app.host.poller.run()
    assert app.now(claimed).status is Status.HEALED


def test_a_claim_of_this_morning_is_healed_and_has_not_timed_out_already(app: App, claimed: Remediation) -> None:
    app.clock.advance(hours=7)
    app.host.intake.accept(app.signal())
    app.submit(claimed)
    app.host.poller.run()
    assert (app.now(claimed).status, app.calls().count("sync")) == (Status.HEALED, 1)


def test_what_is_finished_by_another_is_in_the_log_as_opened(
    app: App, claimed: Remediation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    app.host.intake.accept(app.signal())
    opened = [record.message for record in caplog.records if '"from": null' in record.message]
    assert [claimed.id in line for line in opened] == [True]


def test_what_was_entered_is_finished_by_the_tick_though_no_signal_comes_again(app: App, entered: Remediation) -> None:
    app.host.poller.run()
    assert app.now(entered).status is Status.QUEUED
    assert [entry.remediation_id for entry in due(app, entered)] == [entered.id]


def test_what_the_tick_has_finished_heals(app: App, entered: Remediation) -> None:
    app.host.poller.run()
    app.clock.advance(seconds=61)
    app.host.poller.run()
    app.submit(entered)
    app.host.poller.run()
    assert app.now(entered).status is Status.HEALED


def test_a_claim_of_yesterday_is_nobodys(app: App, claimed: Remediation) -> None:
    app.clock.advance(hours=25)
    assert app.open().id != claimed.id
    assert app.host.store.load(claimed.id) is None


def test_the_entry_of_a_claim_of_yesterday_is_dropped(app: App, entered: Remediation) -> None:
    app.clock.advance(hours=25)
    app.host.poller.run()
    assert (app.host.store.load(entered.id), due(app, entered)) == (None, [])


def test_the_entry_of_a_claim_that_another_has_taken_over_is_dropped(app: App, entered: Remediation) -> None:
    rival = lifecycle.open_remediation(app.signal(), SyncType.DEFAULT, app.clock())
    app.table.upsert_entity(pointer_row(rival, [rival.opened_at]))
    app.host.poller.run()
    assert (app.host.store.load(entered.id), due(app, entered)) == (None, [])


def test_a_dry_run_finishes_nothing(app: App, claimed: Remediation) -> None:
    app.host.intake.preview(app.signal())
    assert app.host.store.load(claimed.id) is None


def test_an_opening_that_the_sdk_repeats_after_it_was_carried_out_has_opened(app: App, connection_string: str) -> None:
    table, statuses = open_repeating_table(app.table.table_name, connection_string)
    host = replace(app.host, store=RemediationStore(table, app.clock))
    result = host.intake.accept(app.signal())
    assert statuses[:2] == [500, 202], "the SDK repeats it"
    assert isinstance(result, Opened)
    assert result.job is not None
    assert app.now(result.remediation).signals == 1
