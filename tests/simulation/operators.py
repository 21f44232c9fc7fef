"""Steps of people in a world, and of other timers than that of the poller."""

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from shared.domain.remediation_json import CorruptDocument
from shared.domain.repair import Repair
from shared.healing.retention import Retention
from shared.healing.sweep import SweepFailed
from shared.storage.backup_slots import BackupSlots
from tests.simulation.hosts import SimulatedHost

if TYPE_CHECKING:
    from tests.simulation.world import World


class Operators:
    """They reach the app by way of its hosts."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.sweeps = 0
        """That are planned, or go on."""

    def cancel(self, remediation_id: str) -> None:
        """An operator wants it to end."""
        if self._world.hosts:
            host = self._world.random.choice(self._world.hosts)
            work = partial(host.app.cancel.run, remediation_id, "cancelled")
            self._world.run_step(host, f"cancel {remediation_id}", work, announced=CorruptDocument)

    def purge(self, retention_days: int) -> None:
        """The daily retention runs."""
        host = self._world.hosts[0]
        slots = BackupSlots(host.app.store._table, 1, host.app.clock)
        retention = Retention(host.app.store, slots, retention_days, host.app.clock)
        self._world.run_step(host, "purge", retention.purge)

    def repair(self, scope: str) -> None:
        """Somebody has assigned a role there, says an event; whether that mends anything is another matter."""
        occurred_at = self._world.scheduler.now
        repair = Repair(scope, acts_below=True, operation="a role is assigned", occurred_at=occurred_at)

        def wake(host: SimulatedHost) -> Collection[str]:
            host.app.wake.run(repair)
            return ()

        self._world.events.send("repair", wake)

    def sweep(self, delay: float = 0.0) -> None:
        """A host sweeps then, if there is one."""
        self.sweeps += 1
        self._world.scheduler.after(delay, self._sweep)

    def _sweep(self) -> None:
        def over(*_: object) -> None:
            self.sweeps -= 1

        if not self._world.hosts:
            over()
            return
        host = self._world.random.choice(self._world.hosts)

        def work() -> None:
            opened = host.sweep.run().opened
            self._world.accepted({each.remediation_id for each in opened if each.remediation_id})

        self._world.run_step(host, "sweep", work, over, over, announced=SweepFailed)
