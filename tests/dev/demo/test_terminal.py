"""The demo's output where there is no terminal."""

import io
from typing import Any

from rich.console import Console

from dev.demo.terminal import TimelineView
from dev.demo.timeline import Milestone


class Stages:
    """A timeline of which these stages are reached."""

    def __init__(self, *reached: str, is_complete: bool = False) -> None:
        self.is_complete = is_complete
        self._reached = reached

    def milestones(self) -> list[Milestone]:
        return [Milestone(each, 1.0 if each in self._reached else None) for each in ("signal", "polling", "outcome")]


def lines(*timelines: Any) -> list[str]:
    output = io.StringIO()
    view = TimelineView(Console(file=output))
    for each in timelines:
        view.update(each)
    return [line.split()[-1] for line in output.getvalue().splitlines()]


def test_given_a_later_stage_that_is_told_first_when_shown_then_each_stage_is_a_line_in_its_order() -> None:
    shown = lines(Stages("signal", "outcome"), Stages("signal", "polling", "outcome", is_complete=True))
    assert shown == ["signal", "polling", "outcome"]


def test_given_the_end_when_a_stage_was_left_out_then_the_stages_behind_it_are_shown() -> None:
    assert lines(Stages("signal"), Stages("signal", "outcome", is_complete=True)) == ["signal", "outcome"]
