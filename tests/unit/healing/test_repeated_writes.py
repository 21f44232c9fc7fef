"""Storage carries each step out and answers with an error, or not at all.

The SDK repeats it, and meets its own rows as a conflict.
"""

import pytest

from shared.domain.remediation import Status
from shared.storage.conflicts import WriteConflict
from tests.support.memory_azure import MemoryApp
from tests.support.memory_table import repeat_steps
from tests.support.storm import Storm


@pytest.fixture
def app() -> MemoryApp:
    return MemoryApp()


def logged(caplog: pytest.LogCaptureFixture, status: Status) -> int:
    """How many transitions to this status."""
    return sum(f'"to": "{status}"' in record.message for record in caplog.records)


@pytest.fixture(params=[True, False], ids=["server error", "no answer"])
def is_answered(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_a_poll_runs_steps_are_logged_and_announced_at_once(
    app: MemoryApp, is_answered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    started = [app.start(f"bi-{number}") for number in range(50)]
    app.clock.advance(minutes=1)
    caplog.set_level("INFO")
    repeat_steps(app.store.table, is_answered)
    app.host.poller.run()
    assert {app.now(each).status for each in started} == {Status.HEALED}
    assert logged(caplog, Status.HEALED) == len(started)
    assert sorted(app.topic.announced) == sorted(each.id for each in started)


def test_the_heal_of_a_member_releases_the_others_of_its_incident(is_answered: bool) -> None:
    storm = Storm()
    storm.go_on(minutes=4)
    storm.guarded.is_granted = True  # and no event tells
    repeat_steps(storm.store.table, is_answered)
    storm.go_on(minutes=6)
    assert storm.statuses() == {Status.HEALED: 12}


def test_a_triggers_step_is_logged(app: MemoryApp, is_answered: bool, caplog: pytest.LogCaptureFixture) -> None:
    opened = app.open("bi")
    caplog.set_level("INFO")
    repeat_steps(app.store.table, is_answered)
    app.host.cancel.run(opened.id, "enough")
    assert logged(caplog, Status.CANCELLED) == 1


def test_a_signal_counts_once(app: MemoryApp, is_answered: bool) -> None:
    opened = app.open("bi")
    repeat_steps(app.store.table, is_answered)
    app.accept("bi")
    assert app.now(opened).signals == 2


def test_what_another_host_has_written_is_a_conflict_though_it_is_the_same(app: MemoryApp) -> None:
    opened = app.open("bi")
    stored = app.store.load(opened.id)
    assert stored is not None
    app.store.save(stored, opened)
    with pytest.raises(WriteConflict):
        app.store.save(stored, opened)
