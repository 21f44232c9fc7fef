"""Timer triggers: schedules, one run at a time, missed ticks. Time is the test's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from dev.functions_host.bindings import LocalFunction, load_function
from dev.functions_host.invoker import Invoker
from dev.functions_host.settings import ConfigurationError
from dev.functions_host.timers import Timer, TimerStatuses, is_monitored, parse_schedule
from tests.dev.functions_host.conftest import HostFactory
from tests.dev.functions_host.processes import until

START = datetime(2026, 11, 23, 20, 0, 0, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("*/30 * * * * *", "2026-11-23T20:00:30+00:00"),
        ("0 */5 * * * *", "2026-11-23T20:05:00+00:00"),
        ("*/5 * * * *", "2026-11-23T20:05:00+00:00"),
        ("0 30 9-17 * * 1-5", "2026-11-24T09:30:00+00:00"),
        ("0 0 0 1 * *", "2026-12-01T00:00:00+00:00"),
        ("0 0 0 24 12 4", "2026-12-24T00:00:00+00:00"),
        ("0 0 9 * Jan Mon", "2027-01-04T09:00:00+00:00"),
        ("00:00:45", "2026-11-23T20:00:45+00:00"),
        ("1.00:00:00", "2026-11-24T20:00:00+00:00"),
    ],
)
def test_next_due_time(schedule: str, due: str) -> None:
    assert parse_schedule(schedule).next_after(START).isoformat() == due


def test_day_of_month_and_day_of_week_must_both_fit() -> None:
    # The first 1 January that is a Wednesday after 2026; in cron either would do.
    assert parse_schedule("0 0 0 1 1 3").next_after(START) == datetime(2031, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "schedule", ["", "* * *", "61 * * * * *", "every day", "00:00:00", "25:61:00", "* * * * * * *"]
)
def test_schedule_that_cannot_be_read_is_refused(schedule: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_schedule(schedule)


def test_schedule_of_seconds_is_not_monitored() -> None:
    assert not is_monitored(parse_schedule("*/30 * * * * *"), START)


def test_schedule_of_a_minute_is_monitored() -> None:
    assert is_monitored(parse_schedule("0 * * * * *"), START)


class Clock:
    """Time that passes only when somebody sleeps or a function says that it took time."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)  # gives way as a real sleep does, so that a cancellation arrives


class Ticks:
    """The timer function: notes when it ran and with what; ends the timer after `count` runs."""

    def __init__(self, clock: Clock, count: int, takes: timedelta = timedelta(0)) -> None:
        self.times: list[datetime] = []
        self.requests: list[Any] = []  # func.timer.TimerRequest, whose public base lacks schedule_status
        self._clock, self._count, self._takes = clock, count, takes
        self.running: asyncio.Task[None] | None = None

    async def __call__(self, timer: func.TimerRequest) -> None:
        self.times.append(self._clock.now)
        self.requests.append(timer)
        self._clock.now += self._takes
        if len(self.times) == self._count:
            assert self.running is not None
            self.running.cancel()


def timer_function(body: Any, schedule: str, **options: Any) -> LocalFunction:
    app = func.FunctionApp()

    @app.timer_trigger(arg_name="timer", schedule=schedule, **options)
    async def tick(timer: func.TimerRequest) -> None:
        await body(timer)

    return load_function(app.get_functions()[0], {})


async def no_output(*_: object) -> None:
    raise AssertionError("a timer has no output here")


def run(
    schedule: str,
    *,
    count: int = 1,
    takes: timedelta = timedelta(0),
    statuses: Callable[[], TimerStatuses] = lambda: TimerStatuses(None),
    **options: Any,
) -> Ticks:
    async def scenario() -> Ticks:
        clock = Clock()
        ticks = Ticks(clock, count, takes)
        function = timer_function(ticks, schedule, **options)
        timer = Timer(function, Invoker(None, no_output), statuses(), clock, clock.sleep)
        ticks.running = asyncio.create_task(timer.run())
        await asyncio.wait([ticks.running], timeout=10)
        return ticks

    return asyncio.run(scenario())


def offsets(ticks: Ticks) -> list[float]:
    return [(time - START).total_seconds() for time in ticks.times]


def test_timer_ticks_by_its_schedule() -> None:
    assert offsets(run("*/30 * * * * *", count=3)) == [30, 60, 90]


def test_ticks_during_a_long_run_are_skipped() -> None:
    assert offsets(run("*/10 * * * * *", count=3, takes=timedelta(seconds=25))) == [10, 40, 70]


def test_interval_counts_from_the_end_of_the_last_run() -> None:
    assert offsets(run("00:00:10", count=2, takes=timedelta(seconds=25))) == [10, 45]


def test_timer_runs_on_startup_when_asked() -> None:
    assert offsets(run("*/30 * * * * *", run_on_startup=True)) == [0]


def test_ordinary_tick_is_not_past_due() -> None:
    assert run("*/30 * * * * *").requests[0].past_due is False


def kept(path: Path, last: datetime | None = None) -> Callable[[], TimerStatuses]:
    if last is not None:
        path.write_text(json.dumps({"tick": last.isoformat()}))
    return lambda: TimerStatuses(path)


def test_missed_tick_runs_at_start_past_due(tmp_path: Path) -> None:
    ticks = run("0 */5 * * * *", statuses=kept(tmp_path / "t.json", START - timedelta(hours=1)))
    assert (offsets(ticks), ticks.requests[0].past_due) == ([0], True)


def test_many_missed_ticks_run_once(tmp_path: Path) -> None:
    ticks = run("0 */5 * * * *", count=2, statuses=kept(tmp_path / "t.json", START - timedelta(days=1)))
    assert offsets(ticks) == [0, 300]


def test_tick_not_missed_is_not_made_up_for(tmp_path: Path) -> None:
    ticks = run("0 */5 * * * *", statuses=kept(tmp_path / "t.json", START - timedelta(seconds=10)))
    assert offsets(ticks) == [300]


def test_last_run_is_remembered_by_the_next_host(tmp_path: Path) -> None:
    run("0 */5 * * * *", count=2, statuses=kept(tmp_path / "t.json"))
    assert TimerStatuses(tmp_path / "t.json").last_run("tick") == START + timedelta(minutes=10)


def test_schedule_status_names_the_last_run(tmp_path: Path) -> None:
    last = START - timedelta(hours=1)
    ticks = run("0 */5 * * * *", statuses=kept(tmp_path / "t.json", last))
    assert ticks.requests[0].schedule_status["Last"] == last.isoformat()


def test_status_file_that_is_no_json_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{")
    assert offsets(run("0 */5 * * * *", statuses=kept(tmp_path / "t.json"))) == [300]


APP = """
import logging
import azure.functions as func

app = func.FunctionApp()


@app.timer_trigger(arg_name="timer", schedule="%SCHEDULE%")
def tick(timer: func.TimerRequest) -> None:
    logging.info("ticked")
    raise ValueError("every time")
"""


def test_failing_timer_goes_on_ticking(new_host: HostFactory) -> None:
    host = new_host(APP).start({"SCHEDULE": "*/1 * * * * *"})
    until(lambda: host.log().count("root: ticked") >= 2, "two ticks")
