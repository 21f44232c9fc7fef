from dataclasses import replace
from datetime import timedelta

import pytest

from shared.policy import Coalesce, Drop, Open, judge
from shared.remediation import Remediation
from shared.signals import Signal
from tests.unit.episodes import INSTANCE, NOW, healed, queued, running

NEWER = Signal(INSTANCE, "Event", "failed again", NOW + timedelta(hours=1))
OLDER = replace(NEWER, occurred_at=NOW - timedelta(seconds=1))


def test_the_first_signal_of_an_instance_opens() -> None:
    assert judge(NEWER, None) == Open()


@pytest.mark.parametrize("active", [queued(), running()])
@pytest.mark.parametrize("signal", [NEWER, OLDER])
def test_a_signal_for_an_instance_that_is_being_healed_is_coalesced(active: Remediation, signal: Signal) -> None:
    assert judge(signal, active) == Coalesce(active)


def test_a_newer_failure_of_a_healed_instance_opens_again() -> None:
    assert judge(NEWER, healed()) == Open()


def test_a_late_repeat_of_what_was_healed_is_dropped_with_its_reason() -> None:
    verdict = judge(OLDER, healed())
    assert isinstance(verdict, Drop)
    assert healed().id in verdict.reason
