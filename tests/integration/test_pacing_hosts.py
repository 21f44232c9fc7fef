"""Two hosts share the write budget of a subscription, and one subscription's famine is no other's.

Scaled down from 2,000 failures at Azure's 200 and 10/s: a bucket of half the size that is filled at half the
speed, in the simulator and in the app's settings alike, and fewer failures. Its clock is not run faster: delays
on a queue have whole seconds, and in one of them a bucket must not get full.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pytest

from dev.stack.failure_event import failure_event
from tests.integration.hosts import (
    BETWEEN_POLLS,
    Json,
    SyncCalls,
    accepted,
    delivering,
    instance_ids,
    instance_of,
    moment,
    put_all,
    two_hosts,
)
from tests.support.processes import until
from tests.support.simulator import SUBSCRIPTION

FAILURES = 320
BURST, PER_SECOND = 100, 5
AT_BEST = (FAILURES - BURST) / PER_SECOND
"""Seconds that the buckets themselves need."""
SETTINGS = {"ARM_WRITE_BURST": str(BURST), "ARM_WRITES_PER_SECOND": str(PER_SECOND)}
LIMITS = {"writeBurst": BURST, "writesPerSecond": PER_SECOND}
pytestmark = [pytest.mark.timeout(180), pytest.mark.once]
ELSEWHERE = SUBSCRIPTION.replace("0", "1")


@dataclass(frozen=True)
class Story:
    """The sync calls that the simulated Azure had received when the last of them was accepted."""

    many: list[str]
    single: str
    syncs: list[Json]
    accepted_before_single: int
    """How many of the many were accepted when the single failure was signalled."""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Very many failures in one subscription, and then, while they wait, a single one in another."""
    many, single = instance_ids(SUBSCRIPTION, FAILURES), instance_ids(ELSEWHERE, 1)[0]
    with two_hosts(tmp_path_factory.mktemp("pacing"), **SETTINGS) as (azure, hosts):
        azure.set(**LIMITS)
        put_all(azure, [*many, single], operationSeconds=0.5, retryAfter=1)
        calls = SyncCalls(azure)
        began = time.monotonic()
        with delivering(hosts, [failure_event(instance_id) for instance_id in many], seconds=60):
            pass
        delivered = time.monotonic() - began
        before = len(accepted(calls()))
        with delivering(hosts, [failure_event(single)], seconds=10):
            pass
        until(
            lambda: len(accepted(calls())) > FAILURES,
            lambda: f"{FAILURES + 1} accepted, but {len(accepted(calls()))}",
            seconds=110,
            interval=BETWEEN_POLLS,
        )
        story = Story(many, single, calls(), before)
        print(f"\n{FAILURES} failures delivered in {delivered:.1f} s, {before} accepted by then; {summary(story)}")
    return story


def seconds(story: Story) -> float:
    """From the first sync call to the last accepted one."""
    times: list[datetime] = [moment(entry["at"]) for entry in story.syncs]
    return (max(times) - min(times)).total_seconds()


def refused(story: Story) -> list[Json]:
    return [entry for entry in story.syncs if entry["status"] == 429]


def summary(story: Story) -> str:
    return (
        f"all accepted in {seconds(story):.1f} s ({seconds(story) / AT_BEST:.2f} of {AT_BEST:.0f} s at best), "
        f"{len(refused(story))} of {len(story.syncs)} sync calls refused with 429"
    )


def test_each_sync_is_accepted_once(story: Story) -> None:
    assert sorted(instance_of(entry) for entry in accepted(story.syncs)) == sorted([*story.many, story.single])


def test_no_more_than_one_call_in_a_hundred_is_refused(
    story: Story, record_property: Callable[[str, object], None]
) -> None:
    # How long it took says as much about the machine: told, not asserted.
    record_property("pacing", summary(story))
    assert {entry["status"] for entry in story.syncs} <= {202, 429}
    assert len(refused(story)) <= len(story.syncs) / 100


def test_a_single_failure_elsewhere_does_not_wait_for_the_others(story: Story) -> None:
    if story.accepted_before_single >= FAILURES:
        pytest.skip("this machine took the events more slowly than the budget let the calls out: there was no famine")
    order = [instance_of(entry) for entry in accepted(story.syncs)]
    assert order.index(story.single) < FAILURES
