"""Timer triggers: schedules, and one run at a time. Time is the test's own."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest
from azure.functions.meta import Datum

from dev.functions_host.bindings import Binding, LocalFunction
from dev.functions_host.invoker import Outcome
from dev.functions_host.settings import ConfigurationError
from dev.functions_host.timers import Schedule, Timer
from tests.dev.functions_host.conftest import HostFactory
from tests.support.processes import until

START = datetime(2026, 11, 23, 20, 0, 0, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("*/30 * * * * *", "2026-11-23T20:00:30+00:00"),
        ("0 */5 * * * *", "2026-11-23T20:05:00+00:00"),
        ("0 30 9-17 * * 1-5", "2026-11-24T09:30:00+00:00"),
        ("0 0 0 1 * *", "2026-12-01T00:00:00+00:00"),
        ("0 0 0 24 12 4", "2026-12-24T00:00:00+00:00"),
        ("0 0 9 * Jan Mon", "2027-01-04T09:00:00+00:00"),
    ],
)
def test_next_due_time(schedule: str, due: str) -> None:
    assert Schedule(schedule).next_after(START).isoformat() == due


def test_day_of_month_and_day_of_week_must_both_fit() -> None:
    # The first 1 January that is a Wednesday after 2026; in cron either would do.
    assert Schedule("0 0 0 1 1 3").next_after(START) == datetime(2031, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("schedule", ["", "* * * * *", "61 * * * * *", "every day", "00:00:30", "* * * * * * *"])
def test_schedule_that_cannot_be_read_is_refused(schedule: str) -> None:
    with pytest.raises(ConfigurationError):
        Schedule(schedule)


class Invocations:
    """In place of an invoker, on a clock that passes only when somebody sleeps or an invocation takes time."""

    def __init__(self, takes: timedelta) -> None:
        self.now = START
        self.offsets: list[float] = []
        self.data: list[Datum] = []
        self._takes = takes

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)  # gives way as a real sleep does, so that a cancellation arrives

    async def invoke(self, function: LocalFunction, datum: Datum, *, reason: str) -> Outcome:
        self.offsets.append((self.now - START).total_seconds())
        self.data.append(datum)
        self.now += self._takes
        return Outcome()


def run(schedule: str, *, count: int, takes: timedelta = timedelta(0)) -> Invocations:
    """The invocations by a timer with this schedule, until there are so many."""
    library: Any = func
    converter = library.get_binding_registry().get("timerTrigger")
    trigger = Binding("timer", "timerTrigger", {"schedule": schedule}, converter)

    async def scenario() -> Invocations:
        seen = Invocations(takes)
        timer: Any = Timer(LocalFunction("tick", print, trigger, {}, None), seen, lambda: seen.now, seen.sleep)  # type: ignore[arg-type] # an invoker to the timer
        running = asyncio.create_task(timer.run())
        while len(seen.offsets) < count:
            await asyncio.sleep(0)
        running.cancel()
        return seen

    return asyncio.run(scenario())


def test_timer_runs_by_its_schedule() -> None:
    assert run("*/30 * * * * *", count=3).offsets[:3] == [30, 60, 90]


def test_due_times_during_a_long_run_are_skipped() -> None:
    assert run("*/10 * * * * *", count=3, takes=timedelta(seconds=25)).offsets[:3] == [10, 40, 70]


APP = """
import logging
import azure.functions as func

app = func.FunctionApp()


@app.timer_trigger(arg_name="timer", schedule="*/1 * * * * *")
def tick(timer: func.TimerRequest) -> None:
    logging.info("ticked, past due: %s", timer.past_due)
    raise ValueError("every time")
"""


def test_failing_timer_goes_on_running(new_host: HostFactory) -> None:
    host = new_host(APP).run()
    until(lambda: host.log().count("root: ticked, past due: False") >= 2, "two runs")
