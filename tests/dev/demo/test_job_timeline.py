"""The timeline of a failed backup job, from log lines, requests and events."""

import pytest

from dev.demo.job_timeline import JobTimeline
from tests.dev.demo.test_timeline import INSTANCE, SIGNALLED_AT, call, event, line, transition

HEAL = [("Queued", 0.1), ("Healed", 1), ("Recovering", 1.1)]
CALLS = [call("instance", 0.9), call("topic", 1.05), call("policy", 2), call("backup", 3, 202), call("job", 8)]


def seen(*more: tuple[str, float], events: tuple[str, ...] = ("Healed",), topic: int = 1) -> JobTimeline:
    timeline = JobTimeline(INSTANCE, SIGNALLED_AT)
    lines = [{**transition(to, second), "gapSeconds": 5400.0} for to, second in (*HEAL, *more)]
    timeline.read_log([line(each) for each in lines])
    timeline.read_azure([*CALLS, *[call("topic", 9)] * (topic - 1)], [event(status) for status in events])
    return timeline


def test_a_recovery_has_its_milestones_with_the_time_of_each() -> None:
    milestones = seen(("Recovered", 8.5), events=("Healed", "Recovered"), topic=2).milestones()
    assert [each.seconds for each in milestones] == [0.0, 0.1, 1.0, 3.0, 8.0, 8.5, 9.0]
    assert "90 minutes after the one before" in milestones[5].detail


@pytest.mark.parametrize(
    ("more", "events", "topic", "complete", "succeeded"),
    [
        ((), ("Healed",), 1, False, False),
        ((("Recovered", 8.5),), ("Healed",), 1, False, False),
        ((("Recovered", 8.5),), ("Healed", "Recovered"), 2, True, True),
        ((("NotRecovered", 8.5),), ("Healed", "NotRecovered"), 2, True, False),
    ],
)
def test_it_is_complete_once_both_outcomes_are_published(
    more: tuple[tuple[str, float], ...], events: tuple[str, ...], topic: int, complete: bool, succeeded: bool
) -> None:
    timeline = seen(*more, events=events, topic=topic)
    assert (timeline.is_complete, timeline.succeeded) == (complete, succeeded)
