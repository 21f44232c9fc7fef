"""Hosts that are killed at any moment while backups are made up for: one heal and one recovery of each instance.

The half of the instances is broken, the other half is well but for its last backup. `RECOVERY_SIGNALS` sets how many
there are: 300 take some minutes.
"""

import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from dev.stack.failure_event import failure_event
from tests.integration.hosts import (
    BETWEEN_POLLS,
    Json,
    delivering,
    instance_ids,
    kill_and_restart,
    two_hosts,
)
from tests.support.processes import until
from tests.support.simulator import SUBSCRIPTION, Simulator

SIGNALS = int(os.environ.get("RECOVERY_SIGNALS", "40"))
KILLS = 12
SEED = 20_240_402
pytestmark = [pytest.mark.timeout(400), pytest.mark.once]
SETTINGS = {"RECOVERY": "Backup", "ARM_WRITE_BURST": "1000", "ARM_WRITES_PER_SECOND": "1000", "ARM_READ_BURST": "5000"}
BROKEN, WELL = "ProtectionError", "ProtectionConfigured"


@dataclass(frozen=True)
class Story:
    """Outcome events and calls, as the simulated Azure had received them when every recovery had ended."""

    state_before: dict[str, str]
    """Of each instance, by its id."""
    point_before: datetime
    events: list[Json]
    backups: list[Json]
    syncs: list[Json]
    kills: int
    cut_off_runs: int
    """Poll runs that a kill ended."""

    def extra_backups(self) -> Counter[str]:
        """Backups beyond one, by instance."""
        return Counter(instance_of(entry) for entry in self.backups) - Counter(list(self.state_before))


def instance_of(entry: Json) -> str:
    """The instance that a call for a backup is about."""
    return str(entry["path"]).removesuffix("/backup")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Failed backups, told to two hosts that are killed, one, the other or both, and started again."""
    chance = random.Random(SEED)
    ids = instance_ids(SUBSCRIPTION, SIGNALS)
    state_before = {instance_id: (BROKEN, WELL)[number % 2] for number, instance_id in enumerate(ids)}
    point_before = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    began = time.monotonic()
    with two_hosts(tmp_path_factory.mktemp("recovery"), **SETTINGS) as (azure, hosts):
        # An answer takes as long as from Azure, so that a kill can come between a call and its record.
        azure.set(latencySeconds=0.05)
        behaviour = {"operationSeconds": 1, "retryAfter": 1, "backupSeconds": 1}
        documents = [
            {
                "id": instance_id,
                "protectionState": state,
                "behaviour": behaviour,
                "recoveryPoints": [point_before.isoformat()],
            }
            for instance_id, state in state_before.items()
        ]
        azure.control("PUT", "instances", documents)
        with delivering(hosts, [failure_event(instance_id) for instance_id in ids], seconds=60):
            kills = kill_and_restart(hosts, chance, KILLS)
        print(f"\nall delivered, {kills} kills after {time.monotonic() - began:.1f} s")
        until(lambda: nearly_all_called(azure), lambda: missing(azure, ids), 200, BETWEEN_POLLS)
        # A kill between slot and call leaves the instance to its schedule for half an hour: the night comes early.
        night = [point_before.isoformat(), datetime.now(UTC).isoformat()]
        left = [each for each in documents if each["id"] not in recovered(azure)]
        synced = {str(entry["path"]).removesuffix("/sync") for entry in azure.journal("sync")}
        states = {each["id"]: WELL if each["id"] in synced else each["protectionState"] for each in left}
        azure.control(
            "PUT",
            "instances",
            [{**each, "protectionState": states[each["id"]], "recoveryPoints": night} for each in left],
        )
        until(lambda: recovered(azure) == set(ids), lambda: missing(azure, ids), 200, BETWEEN_POLLS)
        cut_off = sum(host.cut_off(name) for host in hosts for name in ("poll_operations", "poll_shard"))
        story = Story(
            state_before, point_before, azure.events(), azure.journal("backup"), azure.journal("sync"), kills, cut_off
        )
        print(f"all recovered after {time.monotonic() - began:.1f} s; {summary(story)}")
    return story


def recovered(azure: Simulator) -> set[str]:
    return {event["subject"] for event in azure.events() if event["type"].endswith("Recovered")}


def nearly_all_called(azure: Simulator) -> bool:
    """Whether all backups that were asked for are back, and no more calls are missing than kills can have prevented."""
    called = {instance_of(entry) for entry in azure.journal("backup")}
    return recovered(azure) >= called and len(called) >= SIGNALS - KILLS


def missing(azure: Simulator, ids: list[str]) -> str:
    left = sorted(set(ids) - recovered(azure))
    return f"a recovery of each instance; {len(left)} have none, among them {left[:3]}"


def summary(story: Story) -> str:
    return (
        f"{story.extra_backups().total()} of {len(story.backups)} backups were extra; "
        f"{len(story.syncs)} sync calls; {story.kills} kills cut off {story.cut_off_runs} poll runs"
    )


def test_each_signal_has_one_outcome_of_its_heal_and_one_of_its_recovery(story: Story) -> None:
    ids_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in story.events:
        ids_of[event["subject"], event["type"].rpartition(".")[2]].add(event["id"])
    assert set(ids_of) == {(each, status) for each in story.state_before for status in ("Healed", "Recovered")}
    assert {key: ids for key, ids in ids_of.items() if len(ids) > 1} == {}


def test_only_what_was_broken_is_synced_and_repaired(story: Story) -> None:
    # Where a kill took the reading from before the sync, none is claimed.
    expected = {BROKEN: ("Repaired", None), WELL: ("NothingToRepair", None)}
    for event in story.events:
        assert event["data"]["resolution"] in expected[story.state_before[event["subject"]]]
    synced = {str(entry["path"]).removesuffix("/sync") for entry in story.syncs}
    assert synced == {instance_id for instance_id, state in story.state_before.items() if state == BROKEN}


def test_each_recovery_names_the_old_point_and_the_new_one(story: Story) -> None:
    for event in story.events:
        if event["type"].endswith("Recovered"):
            recovery = event["data"]["recovery"]
            assert datetime.fromisoformat(recovery["pointBefore"]) == story.point_before
            assert datetime.fromisoformat(recovery["point"]) > datetime.fromisoformat(recovery["failedAt"])


def test_each_instance_has_one_backup_and_one_more_for_a_kill_at_the_most(
    story: Story, record_property: Callable[[str, object], None]
) -> None:
    record_property("recovery under kills", summary(story))
    assert len({instance_of(entry) for entry in story.backups}) >= SIGNALS - KILLS
    assert {entry["status"] for entry in story.backups} == {202}
    assert story.kills >= KILLS
    assert max(story.extra_backups().values(), default=0) <= 1
    assert story.extra_backups().total() <= story.cut_off_runs
