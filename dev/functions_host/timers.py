"""Timer triggers: NCRONTAB with six fields, one run at a time, in UTC.

As in Azure a due time that comes while the function still runs is skipped. Two things are simpler: a due time
that passes while the host is down is not made up for, and no blob lease makes the timer a singleton across hosts.
Two local hosts on one storage both run it, which is the harder test for an app whose correctness must not hang on
that lease.
Source: Microsoft Learn "Timer trigger for Azure Functions" and TimerListener of azure-webjobs-sdk-extensions.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from azure.functions.meta import Datum
from croniter import croniter

from dev.functions_host.bindings import LocalFunction
from dev.functions_host.invoker import Invoker
from dev.functions_host.settings import ConfigurationError


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Schedule:
    """`{second} {minute} {hour} {day} {month} {day of week}`."""

    def __init__(self, expression: str) -> None:
        """Raises ConfigurationError for anything but six such fields."""
        self._expression = expression
        if len(expression.split()) != 6 or not croniter.is_valid(expression, second_at_beginning=True):
            raise ConfigurationError(f"the schedule expression '{expression}' was not recognized")

    def next_after(self, moment: datetime) -> datetime:
        """The next due time; day of month and day of week must both fit, as NCRONTAB has it."""
        times = croniter(self._expression, moment, second_at_beginning=True, day_or=False)
        following: datetime = times.get_next(datetime)
        return following


class Timer:
    """Runs one timer function by its schedule."""

    def __init__(
        self,
        function: LocalFunction,
        invoker: Invoker,
        clock: Callable[[], datetime] = _utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Raises ConfigurationError when the function's schedule cannot be read."""
        self._function = function
        self._invoker = invoker
        self._clock = clock
        self._sleep = sleep
        self._schedule = Schedule(str(function.trigger.properties["schedule"]))

    async def run(self) -> None:
        """Call the function at each due time until cancelled."""
        while True:
            due = self._schedule.next_after(self._clock())
            while (remaining := (due - self._clock()).total_seconds()) > 0:
                await self._sleep(remaining)
            reason = f"Timer fired at {self._clock().isoformat()}"
            await self._invoker.invoke(self._function, Datum(json.dumps({"IsPastDue": False}), "json"), reason=reason)
