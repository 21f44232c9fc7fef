"""Findings of the sweep: what it does about instances that are well, but whose backups are not."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from azure.data.tables import TableClient
from msgspec.structs import replace as replace_struct

from shared.clients.outcome_topic import PublishFailed, finding_event
from shared.clients.resource_graph import QueryFailed, QueryResult, QuerySucceeded, ResourceGraph
from shared.domain import lifecycle
from shared.domain.arm_results import Refused
from shared.domain.backup_results import Schedule
from shared.domain.finding import FindingKind, ScheduledJob, WellInstance
from shared.domain.policy import Open
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.remediation import Remediation, Status
from shared.domain.resource_ids import BackupInstanceId, normalize
from shared.domain.signal import Signal
from shared.healing import finding_reports, finding_search, sweep
from shared.healing.finding_reports import FindingReports
from shared.healing.finding_search import FindingSearch, FindingsResult
from shared.healing.intake import Intake
from shared.healing.poll_cache import PollCache
from shared.healing.sweep import Sweep, SweepResult
from shared.rate_limits.rate_limiter import Gcra
from shared.rate_limits.sweep_quota import SweepQuota
from shared.settings import Settings
from shared.storage.finding_store import FindingStore
from shared.storage.first_points import FirstPoints
from tests.support.clock import Clock
from tests.support.memory_queue import MemoryQueue
from tests.support.memory_store import MemoryStore
from tests.support.memory_table import damage, repeat_next_write
from tests.support.remediations import ERROR, INSTANCE, NOW, instance_named

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
POLICY = "/policies/daily"
DAILY = Schedule("BackupDaily", "Default", DAY, is_continuous=False)
JOB = ScheduledJob("job-1", NOW - 2 * HOUR, NOW - HOUR, has_failed=True, error_code="UserErrorSnapshotLimit")


@dataclass
class MemoryInventory:
    """Knows these backups, and fails after so many pages."""

    pages: list[list[WellInstance]] = field(default_factory=lambda: [[]])
    failed: dict[str, ScheduledJob] = field(default_factory=dict)
    good_pages: int | None = None

    def schedules(self, deadline: datetime) -> Mapping[str, Schedule]:
        return {POLICY: DAILY}

    def jobs(self, deadline: datetime) -> Mapping[str, ScheduledJob]:
        return self.failed

    def instances(self, deadline: datetime) -> Iterator[list[WellInstance]]:
        yield from self.pages[: self.good_pages]
        if self.good_pages is not None:
            raise QueryFailed(Refused(403, ERROR))

    def add(self, instance: BackupInstanceId, point: datetime | None, job: ScheduledJob | None = None) -> None:
        self.pages[-1].append(WellInstance(str(instance), POLICY, point))
        if job:
            self.failed[normalize(str(instance))] = job


class MemoryTopic:
    """Keeps the findings that are announced, unless it is down."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.failure: PublishFailed | None = None

    def publish_findings(self, documents: Sequence[Mapping[str, Any]]) -> None:
        if self.failure:
            raise self.failure
        self.events += documents


class NothingBroken:
    def broken_instances(self, deadline: datetime) -> QueryResult:
        return QuerySucceeded([], unreadable=0)


class World:
    def __init__(self, recovery: RecoveryMode = RecoveryMode.WATCH, **changes: object) -> None:
        settings = replace(Settings(), recovery=recovery, **changes)  # type: ignore[arg-type] # named by each test
        self.clock, self.store, self.queue, self.inventory = Clock(), MemoryStore(), MemoryQueue(), MemoryInventory()
        self.topic, self.finding_store = MemoryTopic(), FindingStore(cast(TableClient, self.store.table))
        self.intake = Intake(self.store, self.queue, PollCache(), settings.policy(), self.clock)
        self.sweep = Sweep(
            cast(ResourceGraph, NothingBroken()),
            self.intake,
            SweepQuota(Gcra(40, 4), self.store.buckets, self.clock),
            self.queue,
            self.clock,
            lambda: 0.5,
            FindingSearch(self.inventory, settings.policy(), 6 * HOUR, self.clock, FirstPoints(self.store._table)),
            FindingReports(self.finding_store, self.topic if recovery is RecoveryMode.OFF else None, self.clock),
        )

    def opened(self) -> list[Remediation]:
        return [each for each in self.store.remediations() if each.source == "Sweep"]

    def remediated(self, status: Status, opened_at: datetime, ended_at: datetime | None) -> None:
        """The instance had a remediation that came to this."""
        signal = Signal(INSTANCE, "Alert", "backup failed", opened_at, backup_failed=True)
        sync_type = self.intake.policy.default_sync_type
        fresh = lifecycle.open_remediation(signal, sync_type, opened_at, RecoveryMode.WATCH)
        stored = self.store.open(fresh, None)
        assert stored is not None
        self.store.save(stored, replace_struct(fresh, status=status, ended_at=ended_at))


@pytest.fixture
def world() -> World:
    return World()


def kinds(swept: SweepResult) -> Sequence[FindingKind]:
    assert swept.findings is not None
    return [finding.kind for finding in swept.findings.listed]


def test_given_a_failed_scheduled_job_when_recovery_is_on_then_a_remediation_of_a_failed_backup_is_opened(
    world: World,
) -> None:
    world.inventory.add(INSTANCE, NOW - DAY, JOB)
    swept = world.sweep.run()
    [opened] = world.opened()
    assert opened.reason.startswith("JobFailed: the last scheduled backup failed with UserErrorSnapshotLimit")
    assert opened.recovery is not None
    assert (opened.recovery.backup_failed, opened.recovery.failed_at) == (True, JOB.ended_at)
    assert [each.remediation_id for each in swept.opened] == [opened.id]


def test_given_an_old_point_when_recovery_is_on_then_a_remediation_is_opened(world: World) -> None:
    world.inventory.add(INSTANCE, NOW - 2 * DAY)
    assert kinds(world.sweep.run()) == [FindingKind.STALE]
    assert [each.reason.partition(":")[0] for each in world.opened()] == ["Stale"]


def test_given_recovery_off_when_it_sweeps_then_findings_are_told_and_nothing_is_opened() -> None:
    world = World(RecoveryMode.OFF)
    world.inventory.add(INSTANCE, NOW - 2 * DAY)
    assert kinds(world.sweep.run()) == [FindingKind.STALE]
    assert world.store.remediations() == []


def test_given_instances_that_are_well_backed_up_when_it_sweeps_then_nothing_is_found(world: World) -> None:
    world.inventory.add(INSTANCE, NOW - DAY)
    assert kinds(world.sweep.run()) == []


@pytest.mark.parametrize(
    ("status", "ended_at", "code"),
    [
        (Status.RECOVERING, NOW - HOUR, "Recovering"),
        (Status.RUNNING, None, "AlreadyActive"),
        (Status.NOT_RECOVERED, NOW - HOUR, "LateDuplicate"),
        (Status.HEALED, NOW - HOUR, "LateDuplicate"),
    ],
)
def test_what_the_last_remediation_answers_or_answered_is_left_alone(
    world: World, status: Status, ended_at: datetime | None, code: str
) -> None:
    world.remediated(status, JOB.ended_at + timedelta(seconds=1), ended_at)
    world.inventory.add(INSTANCE, NOW - DAY, JOB)
    assert world.sweep.run().skipped_by_code == {code: 1}
    assert world.opened() == []


def test_while_it_recovers_not_even_the_next_failed_job_opens_another(world: World) -> None:
    world.remediated(Status.RECOVERING, JOB.ended_at - HOUR, JOB.ended_at - HOUR)
    world.inventory.add(INSTANCE, NOW - DAY, JOB)
    assert world.sweep.run().skipped_by_code == {"Recovering": 1}


def test_an_instance_that_breaks_while_it_recovers_is_healed_though_its_error_is_that_of_a_job(world: World) -> None:
    world.remediated(Status.RECOVERING, NOW - HOUR, NOW - HOUR)
    broken = Signal(INSTANCE, "Sweep", "found", NOW, backup_failed=True, protection_state="ProtectionError")
    assert isinstance(world.intake.evaluate(broken), Open)


def test_a_job_that_failed_after_the_last_remediation_is_a_new_failure(world: World) -> None:
    world.remediated(Status.NOT_RECOVERED, JOB.ended_at - 3 * HOUR, JOB.ended_at - 2 * HOUR)
    world.inventory.add(INSTANCE, NOW - DAY, JOB)
    assert len(world.sweep.run().opened) == 1


def test_the_same_finding_in_the_next_sweep_opens_nothing_more(world: World) -> None:
    world.inventory.add(INSTANCE, NOW - 2 * DAY)
    world.sweep.run()
    world.clock.advance(hours=1)
    assert world.sweep.run().skipped_by_code == {"AlreadyActive": 1}


def test_what_is_out_of_scope_is_no_finding() -> None:
    world = World(exclude=("*/testbi",))
    world.inventory.add(INSTANCE, NOW - 2 * DAY)
    world.inventory.add(instance_named("other"), NOW - 2 * DAY)
    swept = world.sweep.run()
    assert swept.findings is not None
    assert [each.instance.name for each in swept.findings.listed] == ["other"]


def test_a_dry_run_says_what_would_be_opened_and_writes_nothing(world: World) -> None:
    world.inventory.add(INSTANCE, NOW - 2 * DAY)
    swept = world.sweep.preview()
    assert ([each.instance for each in swept.opened], kinds(swept)) == ([INSTANCE], [FindingKind.STALE])
    assert (world.store.remediations(), world.queue.sent) == ([], [])


def test_a_query_that_fails_half_way_leaves_what_was_found(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.inventory.add(INSTANCE, NOW - 2 * DAY)
    world.inventory.pages.append([WellInstance(str(instance_named("unseen")), POLICY, NOW - 2 * DAY)])
    world.inventory.good_pages = 1
    swept = world.sweep.run()
    assert swept.findings is not None
    assert (len(swept.opened), swept.findings.error) == (1, ERROR)
    assert "findings.incomplete" in caplog.text


def test_of_very_many_findings_the_first_are_kept_and_all_are_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding_search, "MAX_LISTED", 3)
    monkeypatch.setattr(sweep, "_MAX_SKIPPED", 2)
    for number in range(10):
        world.inventory.add(instance_named(f"bi-{number}"), NOW - 2 * DAY)
    world.sweep.run()
    swept = world.sweep.run()
    assert swept.findings is not None
    assert (len(swept.findings.listed), swept.findings.count) == (3, 10)
    assert (len(swept.skipped), swept.skipped_count, swept.skipped_by_code) == (2, 10, {"AlreadyActive": 10})


def test_without_the_setting_nothing_is_searched(world: World) -> None:
    world.sweep = replace(world.sweep, findings=None)
    world.inventory.add(INSTANCE, NOW - 2 * DAY)
    assert world.sweep.run().findings is None


def stale_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if '"finding.stale"' in message]


@pytest.fixture
def off() -> World:
    """Recovery is off: findings are only reported."""
    world = World(RecoveryMode.OFF)
    world.inventory.add(INSTANCE, NOW - DAY, JOB)
    return world


def test_a_finding_is_told_once_however_many_sweeps_find_it(off: World, caplog: pytest.LogCaptureFixture) -> None:
    results = [off.sweep.run().findings for _ in range(3)]
    assert [result.new for result in results if result] == [1, 0, 0]
    assert len(stale_lines(caplog)) == 1
    [event] = off.topic.events
    assert (event["backupInstanceId"], event["kind"], event["jobId"]) == (str(INSTANCE), "JobFailed", "job-1")


def test_the_next_failure_of_the_same_instance_is_told_again(off: World) -> None:
    off.sweep.run()
    off.inventory.failed[normalize(str(INSTANCE))] = replace(JOB, id="job-2")
    off.sweep.run()
    assert [event["jobId"] for event in off.topic.events] == ["job-1", "job-2"]
    assert len({event["id"] for event in off.topic.events}) == 2


def test_what_is_over_is_forgotten_and_told_anew_when_it_comes_back(off: World) -> None:
    off.sweep.run()
    found, off.inventory.pages = off.inventory.pages, [[]]
    off.sweep.run()
    assert off.finding_store.reported() == []
    off.inventory.pages = found
    off.sweep.run()
    assert len(off.topic.events) == 2


def test_a_search_that_did_not_end_forgets_nothing(off: World) -> None:
    off.sweep.run()
    off.inventory.good_pages = 0
    off.sweep.run()
    assert len(off.finding_store.reported()) == 1


def test_what_the_topic_does_not_take_the_next_sweep_announces(off: World) -> None:
    off.topic.failure = PublishFailed("down")
    off.sweep.run()
    off.topic.failure = None
    off.sweep.run()
    off.sweep.run()
    assert len(off.topic.events) == 1


def test_one_event_that_the_topic_never_takes_keeps_no_other_back(off: World) -> None:
    off.inventory.add(instance_named("other"), NOW - DAY, JOB)

    class Picky(MemoryTopic):
        def publish_findings(self, documents: Sequence[Mapping[str, Any]]) -> None:
            if any("other" in document["backupInstanceId"] for document in documents):
                raise PublishFailed("400", in_parts=True)
            super().publish_findings(documents)

    topic = Picky()
    assert off.sweep.reports is not None
    off.sweep = replace(off.sweep, reports=replace(off.sweep.reports, topic=topic))
    off.sweep.run()
    assert [event["backupInstanceId"] for event in topic.events] == [str(INSTANCE)]


class MakingTopic(MemoryTopic):
    """Makes the events, as the topic's client does."""

    def publish_findings(self, documents: Sequence[Mapping[str, Any]]) -> None:
        super().publish_findings([finding_event(document).data or {} for document in documents])


@pytest.mark.parametrize("damaged", [{"failedAt": "?"}, {}], ids=["unreadable", "missing"])
def test_one_whose_event_cannot_be_made_keeps_no_other_from_being_announced(
    off: World, caplog: pytest.LogCaptureFixture, damaged: dict[str, str]
) -> None:
    topic = MakingTopic()
    assert off.sweep.reports is not None
    off.sweep = replace(off.sweep, reports=replace(off.sweep.reports, topic=topic))
    for number in range(5):
        off.inventory.add(instance_named(f"bi-{number}"), NOW - DAY, JOB)
    topic.failure = PublishFailed("down")
    off.sweep.run()
    topic.failure = None
    [row] = [each for each in off.finding_store.reported() if each.key == INSTANCE.key]
    document = {key: value for key, value in row.document.items() if key != "failedAt"} | damaged
    damage(off.store.table, "findings", INSTANCE.key, Document=json.dumps(document))
    off.clock.advance(hours=1)
    off.sweep.run()
    told = {event["backupInstanceId"] for event in topic.events}
    assert told == {str(instance_named(f"bi-{number}")) for number in range(5)}
    assert f'"finding.not_published", "count": 1, "id": "{row.id}"' in caplog.text
    summary = off.finding_store.summary()
    assert summary is not None
    assert summary.searched_at == NOW + HOUR


def test_two_hosts_that_find_the_same_tell_it_once(off: World, caplog: pytest.LogCaptureFixture) -> None:
    assert off.sweep.reports is not None
    reports = [off.sweep.reports.begin(NOW + HOUR) for _ in range(2)]
    search = off.sweep.findings
    assert search is not None
    news = [search.run(NOW + HOUR, report.take).new for report in reports]
    assert (news, len(stale_lines(caplog))) == ([1, 0], 1)


@pytest.mark.parametrize("is_answered", [True, False], ids=["server error", "no answer"])
def test_a_finding_whose_row_the_sdk_writes_again_is_told(
    off: World, is_answered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    repeat_next_write(off.store.table, is_answered)
    off.sweep.run()
    off.inventory.failed[normalize(str(INSTANCE))] = replace(JOB, id="job-2")
    repeat_next_write(off.store.table, is_answered)
    off.sweep.run()
    assert [event["jobId"] for event in off.topic.events] == ["job-1", "job-2"]
    assert len(stale_lines(caplog)) == 2


def test_a_host_that_is_late_forgets_no_failure_that_another_one_found(off: World) -> None:
    assert off.sweep.reports is not None
    off.sweep.run()
    late = off.sweep.reports.begin(NOW + HOUR)
    off.inventory.failed[normalize(str(INSTANCE))] = replace(JOB, id="job-2")
    off.sweep.run()
    late.finish(FindingsResult())
    assert [each.document["jobId"] for each in off.finding_store.reported()] == ["job-2"]


def test_with_recovery_findings_are_kept_and_logged_but_their_remediations_are_announced(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.inventory.add(INSTANCE, NOW - DAY, JOB)
    world.sweep.run()
    assert (len(stale_lines(caplog)), len(world.finding_store.reported()), world.topic.events) == (1, 1, [])


def test_a_dry_run_says_what_would_be_reported_and_reports_nothing(
    off: World, caplog: pytest.LogCaptureFixture
) -> None:
    dry = off.sweep.preview().findings
    assert dry is not None
    assert (dry.new, stale_lines(caplog), off.finding_store.reported(), off.topic.events) == (1, [], [], [])
    assert off.finding_store.summary() is None
    off.sweep.run()
    again = off.sweep.preview().findings
    assert again is not None
    assert (again.new, again.count) == (0, 1)


def test_no_more_are_kept_than_there_is_room_for(
    off: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(finding_reports, "MAX_FINDINGS", 2)
    for number in range(5):
        off.inventory.add(instance_named(f"bi-{number}"), NOW - DAY, JOB)
    result = off.sweep.run().findings
    assert result is not None
    assert (result.count, result.new, len(off.finding_store.reported())) == (6, 2, 2)
    assert "findings.left_out" in caplog.text


def test_the_last_search_is_known_in_numbers(off: World) -> None:
    off.sweep.run()
    summary = off.finding_store.summary()
    assert summary is not None
    assert (summary.count, summary.by_kind, summary.is_complete) == (1, {"JobFailed": 1}, True)


@pytest.mark.parametrize("document", ["", "[]", "{", '{"id": "other"}'])
def test_a_row_that_cannot_be_read_is_reported_anew(off: World, document: str) -> None:
    off.sweep.run()
    off.store.table.upsert_entity({"PartitionKey": "findings", "RowKey": INSTANCE.key, "Document": document})
    off.sweep.run()
    assert len(off.topic.events) == 2


def test_a_summary_that_cannot_be_read_is_none(off: World) -> None:
    off.store.table.upsert_entity({"PartitionKey": "findings", "RowKey": "~summary", "ByKind": "[]"})
    assert off.finding_store.summary() is None


def first_points(world: World) -> Mapping[str, datetime]:
    return FirstPoints(world.store._table).waiting()


def test_given_an_instance_that_never_had_a_point_when_interval_and_grace_have_passed_then_it_is_stale(
    world: World,
) -> None:
    world.inventory.add(INSTANCE, None)
    assert kinds(world.sweep.run()) == []
    met_at = world.clock()
    world.clock.advance(hours=30)
    assert kinds(world.sweep.run()) == []
    world.clock.advance(hours=1)
    swept = world.sweep.run()
    assert kinds(swept) == [FindingKind.STALE]
    assert swept.findings
    assert swept.findings.listed[0].failed_at == met_at + 30 * HOUR
    assert [each.reason for each in world.opened()] == ["Stale: no point yet, the policy's interval is 1 day"]


def test_given_a_first_point_when_it_is_lost_again_then_the_wait_begins_anew(world: World) -> None:
    world.inventory.add(INSTANCE, None)
    world.sweep.run()
    without, world.inventory.pages = world.inventory.pages, [[WellInstance(str(INSTANCE), POLICY, world.clock())]]
    world.sweep.run()
    assert first_points(world) == {}
    world.inventory.pages = without
    world.clock.advance(hours=40)
    assert kinds(world.sweep.run()) == []


def test_a_search_that_did_not_end_forgets_no_wait_and_a_dry_run_notes_none(world: World) -> None:
    world.inventory.add(INSTANCE, None)
    world.sweep.preview()
    assert first_points(world) == {}
    world.sweep.run()
    world.inventory.good_pages = 0
    world.sweep.run()
    assert set(first_points(world)) == {INSTANCE.key}


def test_given_a_first_backup_that_runs_when_it_began_lately_then_it_is_waited_for(world: World) -> None:
    world.inventory.add(INSTANCE, None)
    world.sweep.run()
    world.clock.advance(hours=40)
    running = replace(JOB, started_at=world.clock() - HOUR, has_failed=False, error_code=None)
    world.inventory.failed[normalize(str(INSTANCE))] = running
    assert kinds(world.sweep.run()) == []


@pytest.mark.parametrize("seen", [None, "", "junk", 5])
def test_a_row_that_cannot_be_read_lets_the_wait_begin_anew(world: World, seen: object) -> None:
    world.inventory.add(INSTANCE, None)
    world.store.table.upsert_entity({"PartitionKey": "first-points", "RowKey": INSTANCE.key, "SeenAt": seen})
    world.sweep.run()
    assert first_points(world) == {INSTANCE.key: NOW}


def test_what_is_out_of_scope_takes_no_room_among_those_that_wait_for_their_first_point() -> None:
    world = World(exclude=("*/testbi",))
    world.inventory.add(INSTANCE, None)
    world.sweep.run()
    assert first_points(world) == {}
