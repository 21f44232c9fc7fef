"""Hosts that are killed at any moment lose no signal, announce none under two ids, and repeat no recorded call.

What a kill interrupts comes back by its due entry a minute later, so that most of the time here is waiting.
"""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from dev.stack.failure_event import failure_event
from tests.integration.hosts import (
    BETWEEN_POLLS,
    Json,
    delivering,
    instance_ids,
    instance_of,
    kill_and_restart,
    moment,
    put_all,
    two_hosts,
)
from tests.support.processes import until
from tests.support.simulator import SUBSCRIPTION, Simulator

SIGNALS = 300
KILLS = 8
SEED = 20_240_401
pytestmark = [pytest.mark.timeout(210), pytest.mark.once]
HEALED = "BackupAutoheal.Remediation.Healed"


@dataclass(frozen=True)
class Story:
    """Outcome events and sync calls, as the simulated Azure had received them when every remediation had ended."""

    ids: list[str]
    events: list[Json]
    syncs: list[Json]
    cut_off_jobs: int
    """Invocations of `submit_sync` that a kill ended."""
    kills: int


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """300 signals to two hosts that are killed, one, the other or both, and started again, eight times."""
    chance = random.Random(SEED)
    ids = instance_ids(SUBSCRIPTION, SIGNALS)
    # The pacing has its own test; here it would only make the time longer in which nothing can go wrong.
    settings = {"ARM_WRITE_BURST": "1000", "ARM_WRITES_PER_SECOND": "1000"}
    began = time.monotonic()
    with two_hosts(tmp_path_factory.mktemp("crashes"), **settings) as (azure, hosts):
        # An answer takes as long as from Azure, so that a kill can come between a call and its record.
        azure.set(latencySeconds=0.05)
        put_all(azure, ids, operationSeconds=1, retryAfter=1)
        with delivering(hosts, [failure_event(instance_id) for instance_id in ids], seconds=60):
            kills = kill_and_restart(hosts, chance, KILLS)
        print(f"\nall delivered, {kills} kills after {time.monotonic() - began:.1f} s")
        until(lambda: announced(azure) == set(ids), lambda: missing(azure, ids), 120, BETWEEN_POLLS)
        cut_off = sum(host.cut_off("submit_sync") for host in hosts)
        story = Story(ids, azure.events(), azure.journal("sync"), cut_off, kills)
        print(f"all announced after {time.monotonic() - began:.1f} s; {summary(story)}")
    return story


def announced(azure: Simulator) -> set[str]:
    return {event["subject"] for event in azure.events()}


def missing(azure: Simulator, ids: list[str]) -> str:
    left = sorted(set(ids) - announced(azure))
    return f"an outcome of each instance; {len(left)} have none, among them {left[:3]}"


def extra_calls(story: Story) -> int:
    """Sync calls beyond one for each instance."""
    return len(story.syncs) - len({instance_of(entry) for entry in story.syncs})


def summary(story: Story) -> str:
    return (
        f"{extra_calls(story)} of {len(story.syncs)} sync calls were extra; "
        f"{story.kills} kills cut off {story.cut_off_jobs} sync jobs"
    )


def test_each_signal_has_exactly_one_outcome(story: Story) -> None:
    ids_of = defaultdict(set)
    for event in story.events:
        ids_of[event["subject"]].add(event["id"])
    assert set(ids_of) == set(story.ids)
    assert {subject: ids for subject, ids in ids_of.items() if len(ids) > 1} == {}


def test_each_instance_is_healed(story: Story) -> None:
    assert Counter(event["type"] for event in story.events) == {HEALED: len(story.events)}


def test_each_instance_is_synced_and_none_after_its_call_is_on_record(story: Story) -> None:
    # A call whose record a kill took is not made again either once the instance was seen to be well.
    on_record = {
        event["subject"]: [
            moment(attempt["submittedAt"] or event["data"]["endedAt"]) for attempt in event["data"]["attempts"]
        ]
        for event in story.events
    }
    assert {len(attempts) for attempts in on_record.values()} == {1}
    # Records have storage's time, which a host that has just started knows to half a second.
    tolerance = timedelta(seconds=1)
    late = [entry for entry in story.syncs if moment(entry["at"]) > on_record[instance_of(entry)][0] + tolerance]
    assert late == []
    assert {instance_of(entry) for entry in story.syncs} == set(story.ids)


def test_a_kill_makes_one_call_be_made_again_at_the_most(
    story: Story, record_property: Callable[[str, object], None]
) -> None:
    record_property("crashes", summary(story))
    assert story.kills >= KILLS
    assert {entry["status"] for entry in story.syncs} <= {202, 409}
    assert extra_calls(story) <= min(story.kills, story.cut_off_jobs)
