"""More is due than one host can poll in a run."""

import pytest

from tests.simulation.scenario import break_many, ends, new_world
from tests.simulation.world import World

pytestmark = pytest.mark.once


def much_due(hosts: int, max_due_per_host: int) -> World:
    """Hosts that have to poll 400 operations."""
    world = new_world()
    world.hosts.clear()
    world.max_due_per_host = max_due_per_host
    for number in range(hosts):
        world.start_host(f"host {number}")
    world.azure.duration = (60.0, 90.0)
    break_many(world, 400)
    return world


def test_hosts_share_what_is_due_and_do_none_of_it_twice() -> None:
    alone, world = much_due(1, 10_000), much_due(2, 50)
    world.two_timers = True
    for each in (alone, world):
        each.run_until_over(3_600)
        assert ends(each) == {"Healed": 400}
    assert world.shards.taken
    assert world.azure.polls + world.azure.reads <= 1.1 * (alone.azure.polls + alone.azure.reads)


def test_a_shard_whose_host_died_goes_on_with_another() -> None:
    world = much_due(2, 50)
    while not world.shards.leases:
        world.run(0.1)
    world.kill(world.hosts[0], restart_after=1_000)
    world.run(600)
    assert ends(world) == {"Healed": 400}


def test_what_nobody_takes_over_is_polled_by_the_host_that_offered_it() -> None:
    seconds = {}
    for most in (10_000, 50):
        world = much_due(1, most)
        # Those that are woken start cold: none of them comes in time.
        world.shards.wake = lambda message: None
        world.run_until_over(3_600)
        assert ends(world) == {"Healed": 400}
        seconds[most] = max(world.record.ended_at.values())
    # No further run is needed for what the first one has offered.
    assert seconds[50] < seconds[10_000] + world.poll_interval / 2
