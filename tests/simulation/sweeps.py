"""Sweeps: Resource Graph as one host reaches it, and the sweep of a host."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, cast

from azure.data.tables import TableClient

from shared.clients.resource_graph import BrokenInstance, QueryResult, QuerySucceeded, ResourceGraph
from shared.healing.needing_person import NeedingPerson
from shared.healing.sweep import Sweep
from shared.rate_limits.sweep_quota import SweepQuota
from shared.storage.bucket_store import BucketStore
from shared.storage.remediation_list import RemediationReader
from tests.simulation.azure import BROKEN, Instance, ResourceManager
from tests.simulation.hosts import Limits
from tests.support.host import Host

_MAX_LAG = 600.0
"""Seconds by which Resource Graph is behind."""
_RETENTION_DAYS = 30


@dataclass(frozen=True)
class HostGraph:
    """`turn` is called before and after each query, where others may go on."""

    azure: ResourceManager
    turn: Callable[[], None]

    def broken_instances(self, deadline: datetime) -> QueryResult:
        self.turn()
        then = self.azure.scheduler.time - self.azure.random.uniform(0, _MAX_LAG)
        found = [
            BrokenInstance(each.id, BROKEN, self.azure.code)
            for each in self.azure.instances.values()
            if self._was_broken(each, then)
        ]
        self.turn()
        return self.azure.outage_now(is_sync=False) or QuerySucceeded(found, unreadable=0)

    def _was_broken(self, instance: Instance, then: float) -> bool:
        instance.settle(self.azure.scheduler.time)
        if instance.broken_at is None or instance.broken_at > then:
            return False
        return instance.state == BROKEN or (instance.healed_at or 0.0) > then


def sweep_of(
    app: Host,
    azure: ResourceManager,
    table: object,
    limits: Limits,
    random: Random,
    turn: Callable[[], None],
) -> Sweep:
    """The sweep of a host, as `composition` puts it together, without the search for findings."""
    client = cast(TableClient, table)
    # A reader of its own for each: those who share one wait for its lock, and there is one thread only.
    needing_person = NeedingPerson(
        reader=lambda: RemediationReader(client, app.store, app.clock),
        retention_days=_RETENTION_DAYS,
        subscriptions=(),
        now=app.clock,
    )
    graph: Any = HostGraph(azure, turn)
    quota = SweepQuota(limits.writes, BucketStore(client, app.clock), app.clock)
    return Sweep(
        cast(ResourceGraph, graph),
        app.intake,
        quota,
        app.jobs,
        app.clock,
        random.random,
        needing_person=needing_person,
    )
