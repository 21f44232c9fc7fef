"""A partition that refuses, a row that storage never takes, rows that nobody can read: each harms itself alone."""

from typing import Any

import pytest

from shared.storage.table_rows import SHARDS, shard_of
from tests.simulation.scenario import SUBSCRIPTION, break_many, ends, instance, new_world, remediations
from tests.simulation.world import World
from tests.support.memory_table import damage

SICK = SHARDS[0]
pytestmark = pytest.mark.once


def announced_by_shard(world: World) -> dict[str, bool]:
    """Whether all of a shard's are announced."""
    told = {remediation_id for remediation_id, _ in world.topic.announced}
    by_shard: dict[str, bool] = {}
    for remediation_id in world.record.opened:
        shard = shard_of(remediation_id)
        by_shard[shard] = by_shard.get(shard, True) and remediation_id in told
    return by_shard


@pytest.mark.parametrize("refuses", ["unreadable", "unwritable"])
def test_a_sick_partition_holds_no_other_up(refuses: str) -> None:
    world = new_world()
    break_many(world, 40)
    world.run(2)
    getattr(world.table, refuses).add(SICK)
    world.run(900)
    assert announced_by_shard(world) == {shard: shard != SICK for shard in SHARDS}
    world.run(6 * 3_600)
    getattr(world.table, refuses).discard(SICK)
    world.run_until_over(3_600)
    assert ends(world) == {"Healed": 40}
    assert len(world.azure.calls) == 40


def test_a_row_that_storage_never_takes_holds_no_neighbour_up() -> None:
    world = new_world()
    break_many(world, 40)
    world.run(2)
    stuck = next(iter(world.record.opened))
    world.record.damaged.add(stuck)
    world.table.refused_rows = {f"r:{stuck}"}
    world.run(900)
    others = [each for each in remediations(world) if each.id != stuck]
    assert {each.status for each in others} == {"Healed"}
    assert {each.id for each in others} <= {remediation_id for remediation_id, _ in world.topic.announced}


@pytest.mark.parametrize(
    "key",
    ["d:junk", "d:0000000000000:bad", "d:1:2:3:4", "d:0281474976710:fe6484f0f7d2-0000000000000000", "d:0000000000001:"],
)
def test_a_due_entry_that_cannot_be_read_holds_nothing_up(key: str) -> None:
    world = new_world()
    for shard in SHARDS:
        damage(world.table, shard, key)
    break_many(world, 20)
    world.run(900)
    assert ends(world) == {"Healed": 20}
    assert len(world.topic.announced) == 20


@pytest.mark.parametrize("columns", [{}, {"Horizon": "junk"}, {"Horizon": 5}, {"Horizon": "9999-12-31T23:59:59+00:00"}])
def test_a_bucket_that_cannot_be_read_holds_no_call_up(columns: dict[str, Any]) -> None:
    world = new_world()
    for kind in ("writes", "reads"):
        damage(world.table, "pacing", f"{kind}:{SUBSCRIPTION}", **columns)
    break_many(world, 20)
    world.run(900)
    assert ends(world) == {"Healed": 20}


@pytest.mark.parametrize(
    "columns", [{}, {"Remediation": ""}, {"Remediation": "junk", "Opened": "x"}, {"Remediation": 7, "Opened": 7}]
)
def test_a_latest_pointer_that_cannot_be_read_keeps_no_instance_from_being_healed(columns: dict[str, Any]) -> None:
    world = new_world()
    broken = instance(0)
    shard = SHARDS[int(broken.key[0], 16) % len(SHARDS)]
    damage(world.table, shard, f"o:{broken.key}", **columns)
    break_many(world, 1)
    world.run(900)
    assert ends(world) == {"Healed": 1}


@pytest.mark.parametrize("document", ["", "{}", "[" * 20_000, '{"error":"text"}'])
def test_a_document_that_cannot_be_read_hides_itself_only(document: str) -> None:
    world = new_world()
    break_many(world, 40)
    world.run(2)
    damaged = next(iter(world.record.opened))
    world.record.damaged.add(damaged)
    damage(world.table, shard_of(damaged), f"r:{damaged}", Document0=document)
    world.run(900)
    assert ends(world)["Healed"] == 39
    assert len(world.topic.announced) == 39


def test_the_job_of_a_document_that_cannot_be_read_is_dropped_at_once() -> None:
    world = new_world()
    world.job_seconds = 1.0
    break_many(world, 1)
    world.run(0.5)
    [damaged] = world.record.opened
    world.record.damaged.add(damaged)
    # Another host took the job: the one that opened it has not read it anew.
    world.hosts[0].app.cache.take_opening(damaged, world.scheduler.now)
    damage(world.table, shard_of(damaged), f"r:{damaged}", Document0="")
    world.run(300)
    assert world.queue.deliveries == 1
