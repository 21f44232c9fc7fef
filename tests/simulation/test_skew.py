"""Clocks of hosts that differ from each other and from storage's: it costs a delay, and nothing else."""

import pytest

from shared.rate_limits.rate_limiter import Gcra
from tests.simulation.hosts import Limits
from tests.simulation.scenario import break_many, ends, new_world

_POLLS = 150.0
"""Seconds: an operation of some seconds, the minute that Azure may ask to wait, and the runs that see its end."""


@pytest.mark.parametrize("skew", [5.0, 10.0, 300.0, -300.0])
def test_a_skewed_clock_costs_a_delay_only(skew: float) -> None:
    world = new_world(skews=(0.0, skew))
    world.azure.duration = (1.0, 5.0)
    break_many(world, 40)
    # For the job that comes too early, for each of two rate limits whose slots another clock took, and for the poll.
    world.run(4 * abs(skew) + _POLLS)
    assert ends(world) == {"Healed": 40}
    world.run_until_over(3_600)
    assert len(world.azure.calls) == 40


@pytest.mark.parametrize("skew", [5.0, 10.0, 300.0, -300.0])
def test_a_job_that_comes_too_early_for_a_host_is_not_lost(skew: float) -> None:
    world = new_world(skews=(skew,))
    world.azure.duration = (1.0, 5.0)
    # One host has taken the events, the other one takes the jobs and polls.
    world.hosts[0].takes_jobs = False
    break_many(world, 10)
    world.run(1)
    world.start_host("another", 0.0)
    world.hosts.reverse()
    world.run(abs(skew) + _POLLS)
    assert ends(world) == {"Healed": 10}
    assert world.queue.sent <= 2 * 10
    # It waits as long as the clock is behind, and nobody has to miss it first.
    assert max(call.at for call in world.azure.calls) < max(skew, 0) + 10


@pytest.mark.parametrize("skew", [10.0, 300.0, -300.0])
def test_waits_for_slots_bear_a_skewed_clock(skew: float) -> None:
    world = new_world(skews=(0.0, skew), limits=Limits(writes=Gcra(burst=2, rate=1)))
    break_many(world, 60)
    world.run(2 * abs(skew) + 900)
    assert ends(world) == {"Healed": 60}
    assert sum(call.has_verdict for call in world.azure.calls) == 60
    assert world.queue.deliveries < 60 * 8
