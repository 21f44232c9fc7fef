"""Timer triggers: six-field NCRONTAB or `hh:mm:ss`, one run at a time, in UTC.

As in Azure a tick that comes while the function still runs is skipped, and a schedule of a minute or more is
monitored: when the host was down at a due time, the function runs once at start with `past_due` set.
In Azure a blob lease makes the timer a singleton across hosts. Here there is none: two local hosts on one
storage both tick, which is the harder test for an app whose correctness must not hang on that lease.
Source: Microsoft Learn "Timer trigger for Azure Functions" and TimerListener of azure-webjobs-sdk-extensions.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from azure.functions.meta import Datum
from croniter import croniter

from dev.functions_host.bindings import LocalFunction
from dev.functions_host.invoker import Invoker
from dev.functions_host.settings import ConfigurationError, parse_timespan

_logger = logging.getLogger("Host.Timers")
_MONITORED_FROM = timedelta(minutes=1)
Clock = Callable[[], datetime]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Schedule(Protocol):
    """When a timer is due."""

    def next_after(self, moment: datetime) -> datetime:
        """The first due time later than `moment` (aware, UTC)."""
        ...


class CronSchedule:
    """`{second} {minute} {hour} {day} {month} {day of week}`; with five fields the second is 0."""

    def __init__(self, expression: str) -> None:
        fields = expression.split()
        self._expression = " ".join(["0", *fields] if len(fields) == 5 else fields)
        if len(fields) not in (5, 6) or not croniter.is_valid(self._expression, second_at_beginning=True):
            raise ConfigurationError(f"the schedule expression '{expression}' was not recognized")

    def next_after(self, moment: datetime) -> datetime:
        """The next due time; day of month and day of week must both fit, as NCRONTAB has it."""
        times = croniter(self._expression, moment, second_at_beginning=True, day_or=False)
        following: datetime = times.get_next(datetime)
        return following


class IntervalSchedule:
    """Every so often, counted from the end of the last run."""

    def __init__(self, interval: timedelta) -> None:
        if interval <= timedelta(0):
            raise ConfigurationError("a timer's interval must be longer than 0")
        self._interval = interval

    def next_after(self, moment: datetime) -> datetime:
        """`moment` plus the interval."""
        return moment + self._interval


def parse_schedule(text: str) -> Schedule:
    """NCRONTAB or a time span; raises ConfigurationError for anything else."""
    return IntervalSchedule(parse_timespan(text)) if ":" in text else CronSchedule(text)


def is_monitored(schedule: Schedule, now: datetime) -> bool:
    """Whether a missed tick is made up for: not when two of the next five are less than a minute apart."""
    previous = schedule.next_after(now)
    for _ in range(4):
        following = schedule.next_after(previous)
        if following - previous < _MONITORED_FROM:
            return False
        previous = following
    return True


class TimerStatuses:
    """The last run of each monitored timer, in a JSON file; without a path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def last_run(self, function: str) -> datetime | None:
        """When the timer last ran, or was first seen; None when nothing is known."""
        text = self._read().get(function)
        return None if text is None else datetime.fromisoformat(text)

    def record(self, function: str, moment: datetime) -> None:
        """Remember a run; whole-file replacement, so that a killed host leaves no half of it."""
        if self._path is None:
            return
        document = self._read() | {function: moment.isoformat()}
        draft = self._path.with_suffix(f".{os.getpid()}.tmp")
        draft.write_text(json.dumps(document), encoding="utf-8")
        draft.replace(self._path)

    def _read(self) -> dict[str, str]:
        if self._path is None or not self._path.exists():
            return {}
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
        except ValueError:
            return {}  # only a missed tick hangs on it
        return document if isinstance(document, dict) else {}


class Timer:
    """Runs one timer function by its schedule."""

    def __init__(
        self,
        function: LocalFunction,
        invoker: Invoker,
        statuses: TimerStatuses,
        clock: Clock = _utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Raises ConfigurationError when the function's schedule cannot be read."""
        self._sleep = sleep
        properties = function.trigger.properties
        self._function = function
        self._invoker = invoker
        self._statuses = statuses
        self._clock = clock
        self._schedule = parse_schedule(str(properties["schedule"]))
        self._run_on_startup = bool(properties.get("runOnStartup"))
        wanted = properties.get("useMonitor")
        self._monitored = wanted is not False and is_monitored(self._schedule, clock())

    async def run(self) -> None:
        """Tick until cancelled."""
        await self._start()
        while True:
            due = self._schedule.next_after(self._clock())
            while (remaining := (due - self._clock()).total_seconds()) > 0:
                await self._sleep(remaining)
            await self._tick(past_due=False)

    async def _start(self) -> None:
        last = self._statuses.last_run(self._function.name) if self._monitored else None
        if last is not None and self._schedule.next_after(last) < self._clock():
            _logger.info("Function '%s' is past due on startup. Executing now.", self._function.name)
            await self._tick(past_due=True)
        elif self._run_on_startup:
            await self._tick(past_due=False)
        elif self._monitored and last is None:
            # A timer that never ran can miss its first tick too.
            self._statuses.record(self._function.name, self._clock())

    async def _tick(self, *, past_due: bool) -> None:
        now = self._clock()
        await self._invoker.invoke(
            self._function,
            Datum(json.dumps(self._value(now, past_due)), "json"),
            reason=f"Timer fired at {now.isoformat()}",
        )
        if self._monitored:
            self._statuses.record(self._function.name, now)

    def _value(self, now: datetime, past_due: bool) -> dict[str, Any]:
        status = None
        if self._monitored:
            last = self._statuses.last_run(self._function.name)
            status = {
                "Last": last.isoformat() if last is not None else "0001-01-01T00:00:00+00:00",
                "Next": self._schedule.next_after(now).isoformat(),
                "LastUpdated": last.isoformat() if last is not None else "0001-01-01T00:00:00+00:00",
            }
        return {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
