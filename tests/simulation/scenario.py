"""Worlds for scenarios: what befalls them is written in the test, nothing is left to chance but latency."""

from collections import Counter
from random import Random
from typing import Any

from shared.domain.remediation import Remediation
from shared.domain.resource_ids import BackupInstanceId
from shared.settings import Settings
from tests.simulation.hosts import Limits
from tests.simulation.world import World

SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"


def new_world(skews: tuple[float, ...] = (0.0,), limits: Limits | None = None, **settings: Any) -> World:
    """A world in which nothing fails, with a host for each skew of a clock in seconds."""
    with_topic = Settings(**{"outcome_topic_endpoint": "https://topic.example", "daily_cap": 99, **settings})
    world = World(Random(1), with_topic, limits or Limits())
    for number, skew in enumerate(skews):
        world.start_host(f"host {number}", skew)
    return world


def instance(name: object, subscription: str = SUBSCRIPTION) -> BackupInstanceId:
    """The instance of this name."""
    return BackupInstanceId(subscription, "rg", "vault", f"bi-{name}")


def break_many(world: World, count: int, name: str = "") -> list[BackupInstanceId]:
    """So many instances fail, now, and their events come."""
    broken = [instance(f"{name}{number}") for number in range(count)]
    for each in broken:
        world.azure.breaks(each)
        world.signal(each)
    return broken


def remediations(world: World) -> list[Remediation]:
    """All, as they stand."""
    return [each for each in map(world.record.remediation, world.record.opened) if each]


def ends(world: World) -> Counter[str]:
    """How many stand at which status."""
    return Counter(each.status.value for each in remediations(world))
