"""Thousands of schedules of faults, each from a seed: what must hold, holds in each.

SIMULATION_SCHEDULES=5000 .venv/bin/python -m pytest -n0 tests/simulation/test_schedules.py
SIMULATION_SEED=1234 ...  runs the schedule of that seed alone, and shows the log of its hosts.
"""

import os
from itertools import count, islice

import pytest

from tests.simulation.schedule import Schedule

_SCHEDULES = int(os.environ.get("SIMULATION_SCHEDULES", "150"))
_FIRST_SEED = int(os.environ.get("SIMULATION_FIRST_SEED", "0"))
_SEED = os.environ.get("SIMULATION_SEED")


@pytest.mark.once
@pytest.mark.timeout(3600)
def test_every_schedule_keeps_what_must_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in [int(_SEED)] if _SEED else islice(count(_FIRST_SEED), _SCHEDULES):
        schedule = Schedule(seed)
        if _SEED:
            monkeypatch.setattr("shared.logs._write", schedule.world.tell)
        schedule.run()


def test_a_seed_has_the_same_schedule_each_time() -> None:
    first, second = Schedule(7), Schedule(7)
    first.run()
    second.run()
    assert first.world.topic.announced == second.world.topic.announced
    assert first.world.requests == second.world.requests
    assert first.world.scheduler.time == second.world.scheduler.time
