"""Many failures in one subscription, and hosts of any speed: the write limit is kept, and the time is in proportion."""

from functools import partial
from itertools import pairwise

import pytest

from dev.azure_simulator.throttling import Limit
from shared.rate_limits.rate_limiter import Gcra
from tests.simulation.hosts import Limits
from tests.simulation.scenario import break_many, ends, new_world
from tests.simulation.world import World

_FAILURES = 500
_LIMIT = Gcra(burst=200, rate=10)
_AT_BEST = (_FAILURES - _LIMIT.burst) / _LIMIT.rate
"""Seconds from the first sync call to the last, as Resource Manager has it."""
_MAX_REFUSED = 0.01
_SPEEDS = (0.004, 0.032, 0.064, 0.128)
"""Seconds of a processor for each request; with the first two the limit decides, then the processor."""
pytestmark = pytest.mark.once


def paced(request_seconds: float, away_at: float | None = None) -> World:
    """All failures are healed by two hosts; both may be away for a minute."""
    world = new_world(skews=(0.0, 0.0), limits=Limits(writes=_LIMIT))
    world.azure.writes.set_limit(Limit(_LIMIT.burst, _LIMIT.rate))
    world.azure.duration = (1.0, 5.0)
    world.request_seconds = request_seconds
    break_many(world, _FAILURES)
    if away_at is not None:
        for host in world.hosts:
            world.scheduler.after(away_at, partial(world.kill, host, restart_after=60.0))
    world.run_until_over(7_200)
    assert ends(world) == {"Healed": _FAILURES}
    return world


def seconds(world: World) -> float:
    times = [call.at for call in world.azure.calls]
    return max(times) - min(times)


@pytest.fixture(scope="module")
def worlds(one_thread: None) -> dict[float, World]:
    """By the speed of their hosts."""
    return {speed: paced(speed) for speed in _SPEEDS}


def test_hosts_of_any_speed_are_hardly_ever_refused(worlds: dict[float, World]) -> None:
    refused = {speed: world.azure.throttled / len(world.azure.calls) for speed, world in worlds.items()}
    assert max(refused.values()) < _MAX_REFUSED, refused


def test_hosts_that_are_fast_enough_use_the_whole_limit(worlds: dict[float, World]) -> None:
    assert seconds(worlds[0.004]) < 1.1 * _AT_BEST


def test_the_time_grows_no_faster_than_hosts_get_slower(worlds: dict[float, World]) -> None:
    times = {speed: seconds(world) for speed, world in worlds.items()}
    for speed, slower in pairwise(_SPEEDS):
        assert times[slower] < 1.15 * slower / speed * times[speed], times


def test_turns_that_came_while_no_host_was_there_do_not_become_a_crowd() -> None:
    world = paced(0.004, away_at=10.0)
    assert world.azure.throttled / len(world.azure.calls) < _MAX_REFUSED
