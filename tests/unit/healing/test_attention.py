"""Which instances need a person, hour by hour: one host on storage and Azure in memory, with a clock to be set."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import cast
from unittest.mock import Mock

import pytest
from azure.data.tables import TableClient

from shared.clients.notice_webhook import NoticeWebhook
from shared.clients.resource_graph import BrokenInstance, QueryResult, QuerySucceeded, ResourceGraph
from shared.domain.arm_results import (
    ArmError,
    InstanceRead,
    InstanceResult,
    OperationFailed,
    OperationResult,
    OperationSucceeded,
    OperationUrls,
    Refused,
    SyncAccepted,
    SyncResult,
)
from shared.domain.backup_slot import FreeSlot, NoSlot
from shared.domain.error_codes import BUILT_IN
from shared.domain.mode import Mode
from shared.domain.notice import Message
from shared.domain.pause import Pause
from shared.domain.protection_state import BROKEN, VALID
from shared.domain.remediation import Remediation, Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType
from shared.domain.summary import Summary, needs_attention, summarize
from shared.healing.intake import Dropped, Opened
from shared.healing.needing_person import NeedingPerson
from shared.healing.notices import NoticeTopic, Notifier
from shared.healing.pausing import Pausing, SlotsOutsidePauses, never_paused
from shared.healing.sweep import Sweep
from shared.rate_limits.rate_limiter import Gcra
from shared.rate_limits.sweep_quota import SweepQuota
from shared.storage.notice_outbox import NoticeOutbox
from shared.storage.pause_store import PauseStore
from shared.storage.remediation_list import RemediationReader
from shared.storage.table_rows import SHARDS, DueEntry, LatestPointer, Stored, shard_of
from tests.support.memory_azure import MemoryApp
from tests.support.memory_table import damage
from tests.support.remediations import instance_named

MISSING_ROLE: ArmError = {"code": "UserErrorMissingRequiredPermissions", "message": "the vault lacks a role"}
PASSES: ArmError = {"code": "CloudInternalError", "message": "try again"}
UNKNOWN_CODE: ArmError = {"code": "SomethingNew", "message": "?"}
NOT_THERE: ArmError = {"code": "ResourceNotFound", "message": "no such instance"}
HOUR = timedelta(hours=1)


class FaultyInstances:
    """Resource Manager and Resource Graph, in which each instance has its own trouble."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.errors: dict[str, ArmError] = {}
        """With which an instance's syncs fail."""
        self.healed_by_sync: set[str] = set()
        self.syncs: list[str] = []

    def sync(self, instance: BackupInstanceId, sync_type: SyncType, request_id: str) -> SyncResult:
        if instance.name not in self.states:
            return Refused(404, NOT_THERE)
        self.syncs.append(instance.name)
        return SyncAccepted(OperationUrls(f"https://arm.example/{len(self.syncs)}", None), 1.0)

    def operation(self, instance: BackupInstanceId, urls: OperationUrls) -> OperationResult:
        error = self.errors.get(instance.name)
        if instance.name in self.healed_by_sync:
            self.states[instance.name] = VALID
        return OperationFailed("Failed", error, "job") if error else OperationSucceeded("job")

    def read(self, instance: BackupInstanceId) -> InstanceResult:
        if instance.name not in self.states:
            return Refused(404, NOT_THERE)
        return InstanceRead(self.states[instance.name], self.errors.get(instance.name))

    def broken_instances(self, deadline: datetime) -> QueryResult:
        states = self.states.items()
        broken = [BrokenInstance(instance_named(name), state) for name, state in states if state in BROKEN]
        return QuerySucceeded(broken, unreadable=0)


class Notices:
    """A receiver of notices."""

    def __init__(self) -> None:
        self.told: list[str] = []
        """Their ids."""

    def send(self, message: Message) -> None:
        self.told += [each.id for section in message.sections for each in section.notices]


class Week:
    """An app whose timers run as in Azure, in virtual time."""

    def __init__(self, has_topic: bool = True) -> None:
        self.app = MemoryApp(has_topic=has_topic)
        self.azure = FaultyInstances()
        self.app.host.arm = self.azure
        self.pauses = PauseStore(cast(TableClient, self.app.store.table), self.app.clock)
        self.app.host.pause_of = Pausing(Mode.HEAL, self.pauses, self.app.clock)
        self.notices = Notices()
        outbox = NoticeOutbox(cast(TableClient, self.app.store.table), self.app.clock)
        self.notifier = Notifier(outbox, cast(NoticeWebhook, self.notices), self.app.clock, lambda: 1.0)
        self.app.host.topic = NoticeTopic(outbox, BUILT_IN, self.app.topic if has_topic else None)
        self.app.host.__post_init__()
        quota = SweepQuota(Gcra(burst=200, rate=10), self.app.store.buckets, self.app.clock)
        graph = cast(ResourceGraph, self.azure)
        self.needing = NeedingPerson(lambda: cast(RemediationReader, self), 90, (), self.app.clock)
        self.sweep = Sweep(
            graph, self.app.host.intake, quota, self.app.jobs, self.app.clock, lambda: 0.5, needing_person=self.needing
        )
        self.began = self.app.clock()
        self._jobs: list[tuple[datetime, str]] = []
        """When each sync job becomes visible."""

    def fail(self, name: str, state: str | None = "ProtectionError", error: ArmError | None = None) -> None:
        """An event says that the instance has failed; without a state, there is none, and syncs fail with the error."""
        if state:
            self.azure.states[name] = state
        if error:
            self.azure.errors[name] = error
        if job := self.app.accept(name).job:
            self.app.jobs.send(job)

    def pause(self, scope: str, hours: float) -> None:
        """An operator pauses a scope from now on."""
        self.pauses.add(Pause(scope, "ada", "maintenance", self.app.clock() + hours * HOUR))

    def run_to(self, hour: float) -> None:
        """Go on until so many hours have passed; each hour is swept."""
        end = self.began + hour * HOUR
        while self.app.clock() < end:
            self._run_until(min(self.app.clock() + HOUR, end))
            self.sweep.run()
            self.needing.log()
            self.notifier.run()

    def summaries(self, opened_since: datetime) -> list[Summary]:
        """All remediations in short, newest first."""
        return sorted(map(summarize, self.app.store.remediations()), key=lambda summary: summary.id)

    def load(self, ids: list[str]) -> list[Stored]:
        """These remediations; they are read only."""
        found = {each.id: each for each in self.app.store.remediations()}
        return [Stored(found[each], "", DueEntry(each, self.app.clock())) for each in ids if each in found]

    def needing_a_person(self) -> set[str]:
        """By name, as the page counts them."""
        needing = needs_attention(self.summaries(self.began), self.app.clock())
        return {each.instance.rpartition("/")[2] for each in needing}

    def rounds(self, name: str) -> list[Remediation]:
        """The instance's remediations, newest first."""
        return [each for each in self.app.store.remediations() if each.instance.name == name]

    def _run_until(self, end: datetime) -> None:
        clock, host = self.app.clock, self.app.host
        while True:
            self._jobs += [(clock() + delay, job.to_message()) for job, delay in self.app.jobs.sent]
            self.app.jobs.sent.clear()
            self._jobs.sort()
            entries = [entry.at for shard in SHARDS if (entry := self.app.store.soonest(shard))]
            # Polls are no more often than each half minute, as POLL_SCHEDULE has it.
            poll_at = max(min(entries, default=end), clock() + timedelta(seconds=30))
            job_at = self._jobs[0][0] if self._jobs else end
            if min(poll_at, job_at) >= end:
                clock.now = end
                return
            clock.now = max(min(poll_at, job_at), clock())
            if job_at <= poll_at:
                host.submit.run(self._jobs.pop(0)[1])
            else:
                host.poller.run()
            self.notifier.run()


def attention_of(week: Week) -> list[str]:
    return [event.removesuffix("-attention") for event in week.app.topic.attention]


def test_whatever_happens_in_a_week_attention_is_right_at_every_hour_and_each_trouble_is_told_once() -> None:
    week, storm, paused = Week(), [f"storm-{number}" for number in range(8)], ["maintained-1", "maintained-2"]
    week.pause("*/backupInstances/maintained-*", hours=48)
    week.azure.healed_by_sync.update(paused)
    for name in paused:
        week.fail(name)
    week.fail("role", error=MISSING_ROLE)
    week.fail("stopped", "ProtectionStopped")
    week.fail("mistyped", state=None)
    for hour in range(1, 7 * 24):
        if hour == 24:
            for name in storm:
                week.fail(name, error=PASSES)
        if hour == 27:
            week.azure.states |= dict.fromkeys(storm, VALID)
            for name in storm:
                del week.azure.errors[name]
        week.run_to(hour)
        assert (hour, week.needing_a_person()) == (hour, {"role"})
    for name in (*storm, *paused):
        assert [each.status for each in week.rounds(name)] == [Status.HEALED]
    assert all(each.opened_at - week.began >= 48 * HOUR for name in paused for each in week.rounds(name))
    [cause] = {each.incident_id for name in storm for each in week.rounds(name)}
    assert attention_of(week) == [week.rounds("role")[-1].id]
    assert week.notices.told == [*week.app.topic.attention, *week.app.topic.incidents]
    assert week.app.topic.incidents == [f"{cause}-opened", f"{cause}-closed"]


def alerts(caplog: pytest.LogCaptureFixture) -> set[str]:
    """The causes that `docs/kql/needs-attention.kql` finds in what was logged: the newest line about each instance."""
    newest: dict[str, dict[str, str | None]] = {}
    for record in caplog.records:
        line = json.loads(record.getMessage())
        if line["event"].startswith("attention."):
            newest[line["backupInstanceId"].lower()] = line
    needing = [line for line in newest.values() if line["event"] in ("attention.needed", "attention.stays")]
    return {f"{line['incidentId'] or line['remediationId']}" for line in needing}


def test_an_alert_stays_the_same_until_all_is_mended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "backup_autoheal")
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.fail("stopped", "ProtectionStopped")
    week.run_to(1)
    (cause,) = alerts(caplog)
    assert cause == week.rounds("role")[-1].id
    for hour in range(2, 60):
        caplog.clear()  # a day's lines are looked at, and those of an hour suffice
        week.run_to(hour)
        assert (hour, alerts(caplog)) == (hour, {cause})
    week.azure.states["role"] = VALID
    week.azure.errors.clear()
    week.run_to(62)
    assert alerts(caplog) == set()


def test_an_instance_that_somebody_has_repaired_needs_nobody_from_the_next_sweep_on() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(60)
    week.azure.states["role"] = VALID
    week.azure.errors.clear()
    syncs = len(week.azure.syncs)
    week.run_to(62)
    assert (week.needing_a_person(), week.rounds("role")[0].status) == (set(), Status.HEALED)
    assert len(week.azure.syncs) == syncs


def test_an_instance_that_was_deleted_needs_nobody_from_the_next_sweep_on() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(60)
    del week.azure.states["role"]
    week.run_to(62)
    assert (week.needing_a_person(), week.rounds("role")[0].status) == (set(), Status.REJECTED)


def test_an_instance_that_heals_by_itself_never_needs_a_person() -> None:
    week = Week()
    for number in range(20):
        week.fail(f"storm-{number}", error=PASSES)
    week.run_to(1 / 60)
    assert week.needing_a_person() == set()
    week.azure.states, week.azure.errors = dict.fromkeys(week.azure.states, VALID), {}
    week.run_to(1)
    assert (week.needing_a_person(), week.app.topic.attention) == (set(), [])
    assert {each.status for each in week.app.store.remediations()} == {Status.HEALED}


def test_an_error_that_a_person_must_mend_is_told_with_the_first_attempt() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(2 / 60)
    waiting = week.rounds("role")[0]
    assert (waiting.status, waiting.due_at) == (Status.WAITING_TO_RETRY, waiting.not_before)
    assert attention_of(week) == [waiting.id]


def test_what_the_topic_did_not_take_is_told_later_and_the_next_attempt_waits_its_time() -> None:
    week = Week()
    week.app.topic.is_down = True
    week.fail("role", error=MISSING_ROLE)
    week.run_to(3 / 60)
    week.app.topic.is_down = False
    week.run_to(5 / 60)
    assert attention_of(week) == [week.rounds("role")[0].id]
    assert week.azure.syncs == ["role"]
    week.run_to(7 / 60)
    assert week.azure.syncs == ["role", "role"]


def test_without_a_topic_attempts_are_made_when_they_are_due() -> None:
    week = Week(has_topic=False)
    week.fail("role", error=MISSING_ROLE)
    week.run_to(5 / 60)
    assert week.azure.syncs == ["role"]
    week.run_to(7 / 60)
    assert (week.azure.syncs, week.needing_a_person()) == (["role", "role"], {"role"})


def test_sweeps_try_ever_more_rarely_what_a_person_must_mend() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(7 * 24)
    opened = [each.opened_at for each in reversed(week.rounds("role"))]
    gaps = [later - earlier for earlier, later in pairwise(opened)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > timedelta(days=1)


def test_an_acknowledged_instance_needs_attention_again_once_that_is_over() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(1)
    until = week.app.clock() + timedelta(days=3)
    week.app.host.acknowledge.run(instance_named("role"), "ada@example.com", "order 4711", until)
    for hour in range(2, 5 * 24):
        week.run_to(hour)
        assert (hour, week.needing_a_person()) == (hour, set() if hour < 73 else {"role"})
    assert len(attention_of(week)) == 1
    assert len(week.rounds("role")) > 2


def test_an_acknowledgement_outlives_an_opening_that_is_on_its_way() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(30)
    week.app.clock.advance(hours=30)
    store, open_one = week.app.store, type(week.app.store).open
    until = week.app.clock() + timedelta(days=3)
    acknowledged: list[Remediation | None] = []

    def open_late(remediation: Remediation, pointer: LatestPointer | None, opener: str | None = None) -> Stored:
        """Somebody acknowledges between the reading of the latest remediation and the opening of the next."""
        if pointer and not acknowledged:
            acknowledged.append(week.app.host.acknowledge.run(remediation.instance, "ada", "known", until))
        return open_one(store, remediation, pointer, opener)

    store.open = open_late  # type: ignore[method-assign] # the moment that matters
    attention = week.app.open("role").attention
    assert acknowledged
    assert attention is not None
    assert attention.acknowledgement is not None


def test_a_forced_request_begins_within_the_cool_down_and_beyond_the_daily_cap() -> None:
    week = Week()
    week.fail("role", error=MISSING_ROLE)
    week.run_to(9)
    attention = week.rounds("role")[0].attention
    for _ in range(8):
        wanted = replace(week.app.signal("role"), source="Request")
        opened = week.app.host.intake.accept(replace(wanted, is_forced=True))
        assert isinstance(opened, Opened)
        assert opened.remediation.attention == attention
        week.app.host.cancel.run(opened.remediation.id, "enough")
        week.app.clock.advance(seconds=1)
    assert isinstance(week.app.accept("role"), Dropped)


def test_in_a_paused_scope_nothing_is_begun_and_next_attempts_wait() -> None:
    week = Week()
    week.fail("begun", error=MISSING_ROLE)
    week.run_to(1 / 60)
    assert week.azure.syncs == ["begun"]
    week.pause("*/backupInstances/BEG*", hours=30)
    week.pause("*/backupinstances/new*", hours=30)
    week.fail("new-1", error=MISSING_ROLE)
    for hour in range(1, 30):
        week.run_to(hour)
        assert (hour, week.azure.syncs, week.needing_a_person()) == (hour, ["begun"], {"begun"})
    week.run_to(40)
    assert {*week.azure.syncs} == {"begun", "new-1"}
    assert sorted(attention_of(week)) == sorted(week.rounds(name)[-1].id for name in ("begun", "new-1"))


def test_a_pause_that_is_ended_early_lets_the_next_attempt_go_within_minutes() -> None:
    week = Week()
    week.fail("begun", error=MISSING_ROLE)
    week.run_to(1 / 60)
    week.pause("*", hours=30)
    week.run_to(2)
    week.pauses.remove("*")
    week.run_to(2.2)
    assert week.azure.syncs == ["begun", "begun"]


def test_an_app_whose_mode_is_paused_begins_nothing_even_if_it_is_forced() -> None:
    app = MemoryApp(mode=Mode.PAUSED)
    pausing = Pausing(Mode.PAUSED, PauseStore(cast(TableClient, app.store.table), app.clock), app.clock)
    app.host.pause_of = pausing
    app.host.__post_init__()
    dropped = app.host.intake.accept(replace(app.signal("any"), is_forced=True))
    assert isinstance(dropped, Dropped)
    assert dropped.code == "Paused"


def test_a_paused_instance_gets_no_backup() -> None:
    paused = Pause("*", "ada", "known", None)
    slots = Mock(look=Mock(return_value=FreeSlot()))
    assert SlotsOutsidePauses(slots, lambda _: paused).look(instance_named("a"), "id") == NoSlot()
    assert SlotsOutsidePauses(slots, never_paused).look(instance_named("a"), "id") == FreeSlot()


def test_a_request_after_a_cancel_begins_at_once() -> None:
    week = Week()
    opened = week.app.open("changed-my-mind")
    week.app.host.cancel.run(opened.id, "no")
    assert isinstance(week.app.accept("changed-my-mind"), Dropped)
    week.app.clock.advance(1)
    wanted = replace(week.app.signal("changed-my-mind"), source="Request")
    assert isinstance(week.app.host.intake.accept(wanted), Opened)


def test_attention_that_cannot_be_read_is_found_in_the_latest_pointer() -> None:
    week = Week()
    week.fail("unknown", error=UNKNOWN_CODE)
    week.run_to(30)
    first, latest = week.rounds("unknown")[-1], week.rounds("unknown")[0]
    assert latest.attention is not None
    damage(week.app.store.table, shard_of(latest.id), f"r:{latest.id}", Document0="{")
    week.app.clock.advance(hours=30)
    reopened = week.app.open("unknown")
    assert reopened.attention is not None
    assert reopened.attention.remediation_id == first.id
