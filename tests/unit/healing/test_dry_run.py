"""Dry runs: when Azure is asked."""

from datetime import timedelta

from shared.domain.instance_view import Answer, InstanceView
from shared.domain.signal import REQUEST, Signal
from shared.rate_limits.rate_limiter import Gcra
from shared.settings import Settings
from tests.support.api_parts import ShownInstance, dry_run
from tests.support.memory_store import MemoryStore
from tests.support.remediations import INSTANCE, NOW, read

SIGNAL = Signal(INSTANCE, REQUEST, "asked", NOW)
SOON = NOW + timedelta(seconds=20)


def looked(view: InstanceView | None) -> Answer:
    assert view
    return view.answer


def test_what_the_policy_drops_costs_no_read() -> None:
    arm = ShownInstance(read("ProtectionError"))
    result = dry_run(MemoryStore(), Settings(exclude=("*",)), arm).run(SIGNAL, SOON)
    assert (result.view, arm.reads) == (None, 0)


def test_a_used_up_limit_for_reads_is_an_answer() -> None:
    arm = ShownInstance(read("ProtectionError"))
    run = dry_run(MemoryStore(), arm=arm, limit=Gcra(burst=1, rate=0.01))
    answers = [looked(run.run(SIGNAL, SOON).view) for _ in range(2)]
    assert (answers, arm.reads) == ([Answer.READ, Answer.NOT_ASKED], 1)


def test_once_the_time_is_up_azure_is_not_asked() -> None:
    arm = ShownInstance(read("ProtectionError"))
    assert looked(dry_run(MemoryStore(), arm=arm).run(SIGNAL, NOW).view) is Answer.NOT_ASKED
    assert arm.reads == 0
