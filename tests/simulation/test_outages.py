"""Something that the app needs is away for hours: it costs that time, and few calls."""

from datetime import timedelta

import pytest

from tests.simulation.scenario import break_many, ends, instance, new_world, remediations

HOURS = 3_600.0
pytestmark = pytest.mark.once


def test_six_hours_without_a_host_cost_no_heal() -> None:
    world = new_world(operation_timeout=timedelta(hours=1))
    world.azure.duration = (60.0, 300.0)
    break_many(world, 8)
    world.run(30)
    assert ends(world) == {"Running": 8}
    world.kill(world.hosts[0], restart_after=6 * HOURS)
    world.run_until_over(12 * HOURS)
    assert ends(world) == {"Healed": 8}
    assert len(world.azure.calls) == 8


def test_six_hours_of_503_cost_a_bounded_number_of_calls() -> None:
    world = new_world()
    world.azure.outage = "503"
    break_many(world, 1)
    world.run(6 * HOURS)
    assert len(world.azure.calls) < 25
    world.azure.outage = ""
    world.run_until_over(12 * HOURS)
    [remediation] = remediations(world)
    assert (remediation.status, len(remediation.attempts)) == ("Healed", 1)


def test_an_outage_is_found_out_by_a_few_calls_and_not_by_those_of_each_instance() -> None:
    world = new_world()
    world.azure.outage = "503"
    break_many(world, 100)
    world.run(6 * HOURS)
    assert len(world.azure.calls) + world.azure.reads + world.azure.polls < 150
    world.azure.outage = ""
    world.run(2 * HOURS)
    assert ends(world) == {"Healed": 100}


def test_six_hours_of_conflicts_are_watched_at_a_growing_pace() -> None:
    world = new_world()
    break_many(world, 1)
    world.azure.instances[instance(0).key].busy_until = 6 * HOURS
    world.run(6 * HOURS)
    assert len(world.azure.calls) < 25
    assert world.azure.reads < 25
    world.run_until_over(12 * HOURS)
    [remediation] = remediations(world)
    assert remediation.status == "Healed"
    assert len(remediation.history) < 10


def test_a_table_that_is_away_while_the_queue_works_fails_nothing() -> None:
    world = new_world(skews=(0.0, 0.0))
    world.job_seconds = 1.0
    break_many(world, 50)
    world.run(0.8)
    world.storage_is_down = True
    world.run(180)
    world.storage_is_down = False
    assert world.queue.poisoned
    world.run_until_over(2 * HOURS)
    assert ends(world) == {"Healed": 50}
    assert len(world.azure.calls) == 50


def test_a_topic_that_is_down_for_a_day_hears_of_everything_before_retention_removes_it() -> None:
    world = new_world(retention_days=1)
    world.topic.is_down, world.poll_interval = True, 300.0
    break_many(world, 10)
    world.run(25 * HOURS)
    world.operators.purge(retention_days=1)
    world.run(60)
    assert len(remediations(world)) == 10
    world.topic.is_down = False
    world.run_until_over(1 * HOURS)
    assert len(world.topic.announced) == 10


@pytest.mark.parametrize("outage", ["429", "silent"])
def test_an_hour_of_other_answers_than_a_verdict_costs_few_calls(outage: str) -> None:
    world = new_world()
    world.azure.outage = outage
    break_many(world, 1)
    world.run(1 * HOURS)
    assert len(world.azure.calls) < 15
    world.azure.outage = ""
    world.run_until_over(12 * HOURS)
    assert ends(world) == {"Healed": 1}
