"""More than the hosts can do at once: what waits is waited for, and is not taken for lost or for failed."""

from datetime import timedelta

import pytest

from shared.rate_limits.rate_limiter import Gcra
from tests.simulation.hosts import Limits
from tests.simulation.scenario import break_many, ends, new_world, remediations

pytestmark = pytest.mark.once


def test_a_backlog_drains_and_each_job_is_delivered_once() -> None:
    world = new_world()
    # One job at a time, two a second; one signal each second is half of that.
    world.capacity, world.job_seconds = 1, 0.4
    break_many(world, 360)
    for second in range(600):
        break_many(world, 1, f"later-{second}-")
        world.run(1)
    assert world.queue.waiting < 30
    assert world.queue.sent == len(world.record.opened) == 960
    world.run_until_over(3_600)
    assert ends(world) == {"Healed": 960}
    # Each instance is read before its sync and after it, and between polls of its operation; none while its job waits.
    assert world.azure.reads <= world.azure.polls + 2 * 960


def test_waiting_for_a_slot_of_the_write_limit_uses_up_no_time_out() -> None:
    limits = Limits(writes=Gcra(burst=1, rate=1))
    world = new_world(limits=limits, operation_timeout=timedelta(minutes=5))
    world.azure.duration = (1.0, 60.0)
    break_many(world, 900)
    world.run_until_over(7_200)
    assert ends(world) == {"Healed": 900}
    assert len(world.azure.calls) == 900


def test_sync_calls_keep_the_rate_limit() -> None:
    world = new_world(skews=(0.0, 0.0), limits=Limits(writes=Gcra(burst=20, rate=2)))
    break_many(world, 300)
    world.run_until_over(3_600)
    times = sorted(call.at for call in world.azure.calls)
    for first, call in enumerate(times):
        assert sum(call <= other < call + 30 for other in times[first:]) <= 20 + 2 * 30


def test_junk_in_the_queue_holds_no_good_job_up() -> None:
    world = new_world()
    world.job_seconds = 0.05
    world.junk = 10_000
    for number in range(world.junk):
        world.queue.put(f"junk {number}")
    break_many(world, 20)
    world.run(120)
    assert ends(world)["Queued"] == 0
    assert world.queue.deliveries < 10_100
    world.run_until_over(3_600)
    assert world.queue.poisoned == 0
    assert [each.status for each in remediations(world)] == ["Healed"] * 20
