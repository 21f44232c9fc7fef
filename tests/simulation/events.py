"""Event Grid on a virtual clock: it delivers an event until a host has taken it, for a day."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Protocol

from tests.simulation.hosts import SimulatedHost
from tests.simulation.scheduler import Scheduler

_DELIVERIES = (0.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, *(10_800.0,) * 7)
"""Seconds between the deliveries of an event: Event Grid, "Delivery and retry", 24 hours."""
_MAX_REPEAT_DELAY = 600.0

Handle = Callable[[SimulatedHost], Collection[str]]
"""Takes an event in; returns the ids of the remediations to which it led."""


class Runtime(Protocol):
    """Runs the function of an event."""

    hosts: list[SimulatedHost]

    def run_step(
        self,
        host: SimulatedHost,
        name: str,
        work: Callable[[], object],
        then: Callable[[BaseException | None], object],
        killed: Callable[[], object],
    ) -> object:
        """Run it on this host; `then` hears how it ended, `killed` that its host died."""

    def accepted(self, remediation_ids: Collection[str]) -> None:
        """An event that led to these is delivered for good."""


@dataclass
class EventGrid:
    """One event is one delivery, until it is acknowledged."""

    scheduler: Scheduler
    random: Random
    runtime: Runtime
    lost: float = 0.0
    """Probability that an event that an instance failed is never delivered."""
    repeated: float = 0.0
    """Probability that an event is delivered again."""
    undelivered: int = 0

    def send(self, name: str, handle: Handle, delay: float = 0.0) -> None:
        """Deliver the event after so many seconds."""
        self.undelivered += 1
        self.scheduler.after(delay, partial(self._deliver, name, handle, 0))

    def _deliver(self, name: str, handle: Handle, number: int) -> None:
        if not self.runtime.hosts:
            self._deliver_later(name, handle, number)
            return
        found: set[str] = set()

        def then(failure: BaseException | None) -> None:
            if failure is not None:
                self._deliver_later(name, handle, number)
                return
            self.undelivered -= 1
            self.runtime.accepted(found)
            if self.repeated > 0 and self.random.random() < self.repeated:
                self.undelivered += 1
                delay = self.random.uniform(0, _MAX_REPEAT_DELAY)
                self.scheduler.after(delay, partial(self._deliver, name, handle, number))

        host = self.random.choice(self.runtime.hosts)
        self.runtime.run_step(
            host, name, lambda: found.update(handle(host)), then, lambda: self._deliver_later(name, handle, number)
        )

    def _deliver_later(self, name: str, handle: Handle, number: int) -> None:
        if number + 1 < len(_DELIVERIES):
            self.scheduler.after(_DELIVERIES[number + 1], partial(self._deliver, name, handle, number + 1))
        else:
            self.undelivered -= 1
