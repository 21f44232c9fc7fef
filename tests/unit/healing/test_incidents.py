"""Incidents: 50 instances with one cause cost a few canaries, and are all healed soon after its repair."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain import incident
from shared.domain.error_codes import BUILT_IN
from shared.domain.incident import MAX_CANARIES, MIN_MEMBERS, Counted, Incident, IncidentEvent
from shared.domain.incident_cause import Cause, ScopeKind, causes_of
from shared.domain.notice import NoticeKind
from shared.domain.remediation import Status, new_id
from shared.healing.notices import NoticeTopic
from shared.healing.retention import Retention
from shared.storage.backup_slots import BackupSlots
from shared.storage.conflicts import WriteConflict
from shared.storage.notice_outbox import NoticeOutbox
from shared.storage.queues import SyncJob
from shared.storage.remediation_list import Filters, RemediationReader
from tests.support.memory_azure import MemoryApp
from tests.support.memory_store import MemoryStore
from tests.support.memory_table import damage, repeat_next_transaction, repeat_steps
from tests.support.remediations import NOW, instance_named
from tests.support.storm import KEY_VAULT, MANY, MISSING_ROLE, NO_ACCESS, Storm


def test_many_with_one_missing_role_cost_the_canaries_and_a_sync_each_after_its_repair() -> None:
    storm = Storm(MANY)
    storm.go_on(minutes=15)
    before = sum(storm.guarded.syncs.values())
    # The canaries and those few that failed before the incident was known go on; the others hold.
    assert before <= MANY + 2 * (MAX_CANARIES + 4)
    storm.grant()
    storm.go_on(minutes=5)
    assert storm.statuses() == {Status.HEALED: MANY}
    assert sum(storm.guarded.syncs.values()) - before <= MAX_CANARIES + MANY


def test_the_heal_of_one_that_failed_before_the_incident_was_known_releases_the_others() -> None:
    storm = Storm(12)
    storm.go_on(minutes=4)
    storm.guarded.is_granted = True  # and no event tells
    storm.go_on(minutes=6)
    assert storm.statuses() == {Status.HEALED: 12}


def test_a_repair_that_was_none_costs_the_canaries_only() -> None:
    storm = Storm()
    storm.go_on(minutes=4)
    before = sum(storm.guarded.syncs.values())
    storm.grant()
    storm.guarded.is_granted = False
    storm.go_on(minutes=3)
    assert sum(storm.guarded.syncs.values()) - before <= 2 * MAX_CANARIES + 4


def test_without_a_heal_all_go_on_when_the_canaries_time_is_over() -> None:
    storm = Storm()
    storm.go_on(minutes=33)
    assert min(storm.guarded.syncs.values()) >= 2


def test_a_few_with_one_cause_are_no_incident() -> None:
    storm = Storm(4)
    storm.go_on(minutes=7)
    assert {each.incident_id for each in storm.all()} == {None}
    assert set(storm.guarded.syncs.values()) == {2}


def test_a_lost_row_keeps_nobody_waiting_for_longer() -> None:
    storm = Storm()
    storm.go_on(minutes=7)
    for key in incident_rows(storm):
        storm.store.table._put(key, None, "")
    storm.go_on(minutes=30)
    assert min(storm.guarded.syncs.values()) >= 2


@pytest.mark.parametrize("row", [{"Recent": "junk"}, {}, {"Recent": "{}", "Incident": "x"}, {"Document": "{}"}])
def test_a_damaged_row_counts_anew(row: dict[str, str]) -> None:
    storm = Storm()
    storm.go_on(minutes=1)
    for key in incident_rows(storm):
        storm.store.table._put(key, {"PartitionKey": key[0], "RowKey": key[1], **row}, "damaged")
    storm.go_on(minutes=33)
    assert min(storm.guarded.syncs.values()) >= 2


def test_a_row_of_an_earlier_version_counts_anew() -> None:
    storm = Storm()
    [cause] = causes_of(replace(storm.opened[0], error=MISSING_ROLE), BUILT_IN)
    earlier = {"Recent": '{"0123456789abcdef": 1767323045678}', "Incident": storm.opened[0].id, "Canaries": "a,b"}
    storm.store.table._put(("incidents", cause.key), {"PartitionKey": "incidents", "RowKey": cause.key, **earlier}, "1")
    storm.go_on(minutes=1)
    assert storm.topic.incidents


def test_the_members_of_an_incident_can_be_listed() -> None:
    storm = Storm(8)
    storm.go_on(minutes=1)
    members = [each for each in storm.all() if each.incident_id]
    (incident_id,) = {each.incident_id for each in members}
    reader = RemediationReader(storm.store._table, storm.store, storm.clock)
    page = reader.page(Filters(incident_id=incident_id), 50)
    assert {each.remediation.id for each in page.items} == {each.id for each in members}


def test_those_that_failed_before_the_incident_was_known_are_members_too() -> None:
    storm = Storm(5)
    storm.go_on(minutes=1)
    assert None not in {each.incident_id for each in storm.all()}


def test_those_that_failed_before_the_incident_was_known_are_its_canaries_or_hold() -> None:
    storm = Storm(5)
    storm.go_on(minutes=1)
    assert sum(each.is_canary for each in storm.all()) == MAX_CANARIES
    assert all(bool(each.held_until) != each.is_canary for each in storm.all())


def test_a_storm_is_announced_once_when_it_begins_and_once_when_all_are_healed() -> None:
    storm = Storm()
    storm.go_on(minutes=4)
    [opened] = storm.topic.incidents
    storm.grant()
    storm.go_on(minutes=8)
    assert storm.topic.incidents == [opened, opened.replace("-opened", "-closed")]


def test_a_partial_repair_opens_no_second_incident() -> None:
    storm = Storm(20)
    storm.go_on(minutes=4)
    storm.guarded.never_granted = {each.instance for each in storm.opened[10:]}
    storm.grant()
    storm.go_on(minutes=40)
    assert len(storm.topic.incidents) == 1
    assert storm.statuses()[Status.HEALED] == 10


def test_a_partial_repair_costs_those_that_are_left_no_more_than_one_sync_beside_their_ladder() -> None:
    storm = Storm(20)
    storm.go_on(minutes=4)
    storm.guarded.never_granted = {each.instance for each in storm.opened[10:]}
    before = Counter(storm.guarded.syncs)
    storm.grant()
    storm.go_on(minutes=4)
    left = [storm.guarded.syncs[each] - before[each] for each in storm.guarded.never_granted]
    assert max(left) <= 2  # the one that a heal released, and the ladder's own


def test_an_incident_is_closed_once_the_last_member_is_healed() -> None:
    storm = Storm(20)
    storm.go_on(minutes=4)
    storm.guarded.never_granted = {storm.opened[10].instance}
    storm.grant()
    storm.go_on(minutes=20)
    assert len(storm.topic.incidents) == 1
    storm.guarded.never_granted = set()
    storm.grant()
    storm.go_on(minutes=8)
    assert len(storm.topic.incidents) == 2


def test_an_incident_stays_open_while_one_that_was_not_healed_needs_a_person() -> None:
    storm = Storm(6, max_attempts=2)
    storm.go_on(hours=2)
    assert storm.statuses() == {Status.FAILED: 6}
    assert len(storm.topic.incidents) == 1
    storm.guarded.is_granted = True
    for number in range(6):
        storm.jobs.send(SyncJob(storm.open(f"bi-{number}").id, 1))
    storm.go_on(minutes=30)
    assert len(storm.topic.incidents) == 2


def test_what_the_topic_does_not_take_is_announced_later_in_order() -> None:
    storm = Storm()
    storm.topic.is_down = True
    storm.go_on(minutes=4)
    storm.grant()
    storm.go_on(minutes=10)
    assert storm.topic.incidents == []
    storm.topic.is_down = False
    storm.go_on(minutes=10)
    assert [each.rpartition("-")[2] for each in storm.topic.incidents] == ["opened", "closed"]


def test_without_a_topic_an_incident_is_closed_all_the_same() -> None:
    storm = Storm(has_topic=False)
    storm.go_on(minutes=4)
    storm.grant()
    storm.go_on(minutes=8)
    [known] = storm.store.incidents.page(10)
    assert known.is_over


def test_an_incident_that_is_over_costs_no_read_any_more() -> None:
    storm = Storm()
    storm.go_on(minutes=4)
    storm.grant()
    storm.go_on(minutes=10)
    assert not [row for _, row in incident_rows(storm) if row.startswith("open:")]


def test_a_member_that_fails_with_a_fault_that_passes_waits_no_longer_than_its_delays() -> None:
    storm = Storm(error={"code": "CloudInternalError", "message": "later"})
    storm.go_on(minutes=4)
    # One minute and two are the delays after such an error; half a minute each are the polls.
    assert min(storm.guarded.syncs.values()) >= 2


def test_an_error_that_names_a_key_vault_makes_one_incident_of_several_vaults() -> None:
    names = [f"{vault}/bi-{number}" for vault in ("va", "vb", "vc") for number in range(2)]
    storm = Storm(names=names, error=NO_ACCESS)
    storm.go_on(minutes=2)
    [known] = storm.store.incidents.page(10)
    assert (known.scope_kind, known.scope, known.members) == (ScopeKind.RESOURCE, KEY_VAULT, 6)


def test_instances_of_several_vaults_are_one_incident_of_the_datasources_subscription() -> None:
    names = [f"{vault}/bi-{number}" for vault in ("va", "vb", "vc") for number in range(2)]
    storm = Storm(names=names, datasource="/subscriptions/1b1f6471-1bf0-4dda-aec3-cb9272f09590/disk")
    storm.go_on(minutes=2)
    [known] = storm.store.incidents.page(10)
    assert known.scope == "/subscriptions/1b1f6471-1bf0-4dda-aec3-cb9272f09590"


def test_who_fails_for_another_cause_is_no_member_any_more() -> None:
    storm = Storm(8)
    storm.go_on(minutes=2)
    storm.guarded.error = {"code": "UserErrorInvalidSecret", "message": "another cause"}
    storm.go_on(hours=1)
    ids = {each.incident_id for each in storm.all()}
    assert ids == {storm.store.incidents.page(1)[0].id}
    assert storm.store.incidents.page(1)[0].code == "UserErrorInvalidSecret"


@pytest.mark.parametrize("count", [5, 8, MANY])
def test_a_storm_is_one_notice_when_it_begins_and_one_when_it_is_over(count: int) -> None:
    storm = Storm(count)
    outbox = NoticeOutbox(storm.store._table, storm.clock)
    storm.host.topic = NoticeTopic(outbox, BUILT_IN, storm.topic)
    storm.host.__post_init__()
    storm.go_on(minutes=2)
    assert [each.kind for each in outbox.due(100)] == [NoticeKind.INCIDENT_OPENED]
    storm.grant()
    storm.go_on(minutes=8)
    assert sorted(each.kind for each in outbox.due(100)) == [NoticeKind.INCIDENT_CLOSED, NoticeKind.INCIDENT_OPENED]


def test_a_heal_closes_the_incident_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    storm = Storm()
    storm.go_on(minutes=4)
    storm.grant()
    storm.go_on(minutes=8)
    opened = [record for record in caplog.messages if '"incident.opened"' in record]
    closed = [record for record in caplog.messages if '"incident.closed"' in record]
    assert len(opened) == len(closed) == 1


@pytest.mark.parametrize("is_answered", [True, False], ids=["server error", "no answer"])
def test_an_end_that_the_sdk_repeats_after_it_was_carried_out_is_logged(
    is_answered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    storm = Storm()
    storm.go_on(minutes=4)
    storm.grant()
    repeat_steps(storm.store.table, is_answered, begin="i:")
    storm.go_on(minutes=8)
    assert sum('"incident.closed"' in message for message in caplog.messages) == 1


def test_what_another_host_makes_of_an_incident_is_a_conflict_though_it_is_the_same() -> None:
    storm = Storm()
    storm.go_on(minutes=1)
    [stored] = storm.store.incidents.attended()
    storm.store.incidents.save(stored, stored.incident)
    with pytest.raises(WriteConflict):
        storm.store.incidents.save(stored, stored.incident)


def test_old_incidents_and_failures_are_forgotten() -> None:
    storm = Storm()
    storm.go_on(minutes=4)
    storm.grant()
    storm.go_on(minutes=10)
    storm.clock.advance(hours=25)
    Retention(storm.store, BackupSlots(storm.store._table, 1, storm.clock), 1, storm.clock).purge()
    assert incident_rows(storm) == []


def test_open_incidents_are_kept() -> None:
    storm = Storm()
    storm.go_on(minutes=4)
    storm.clock.advance(hours=25)
    Retention(storm.store, BackupSlots(storm.store._table, 1, storm.clock), 1, storm.clock).purge()
    assert len(storm.store.incidents.attended()) == 1


def test_a_run_without_incidents_costs_one_request_for_them() -> None:
    with_watch, without = MemoryApp(), MemoryApp()
    without.host.poller._attend_incidents = lambda: None
    assert requests_of(with_watch) - requests_of(without) == 1


def requests_of(app: MemoryApp) -> int:
    """Requests to storage of one idle poll run."""
    boundaries: list[None] = []
    app.store._tells = lambda: boundaries.append(None)
    app.host.poller.run()
    return len(boundaries)


def incident_rows(storm: Storm) -> list[tuple[str, str]]:
    return [each for each in storm.store.table._rows if each[0] == "incidents"]


@pytest.mark.parametrize("is_answered", [True, False], ids=["server error", "no answer"])
@pytest.mark.parametrize("failing", [MIN_MEMBERS, 1])
def test_a_count_that_the_sdk_repeats_after_it_was_carried_out_counts_once(failing: int, is_answered: bool) -> None:
    store = MemoryStore()
    cause = Cause("UserErrorMissingRequiredPermissions", ScopeKind.VAULT, "/a")
    ids = [new_id(instance_named(f"bi-{number}"), NOW) for number in range(MIN_MEMBERS + 1)]
    if failing == 1:
        store.incidents.count([cause], ids[:MIN_MEMBERS])
    repeat_next_transaction(store.table, is_answered)
    counted = store.incidents.count([cause], ids[-failing:])
    assert counted.incident is not None
    assert counted.incident.members == MIN_MEMBERS + (failing == 1)
    assert counted.is_new == (failing == MIN_MEMBERS)


def test_of_two_that_open_an_incident_within_the_same_millisecond_one_has_opened_it() -> None:
    """Both have the same id."""
    store = MemoryStore(now=lambda: NOW)
    cause = Cause("UserErrorMissingRequiredPermissions", ScopeKind.VAULT, "/a")
    ids = [new_id(instance_named(f"bi-{number}"), NOW) for number in range(2 * MIN_MEMBERS)]
    counted: list[Counted] = []
    transact = store.table.submit_transaction

    def after_another(operations: Any, **options: Any) -> Any:
        del store.table.submit_transaction  # the instance's own, which hides the class's
        counted.append(store.incidents.count([cause], ids[:MIN_MEMBERS]))
        return transact(operations, **options)

    store.table.submit_transaction = after_another  # type: ignore[method-assign] # once
    counted.append(store.incidents.count([cause], ids[MIN_MEMBERS:]))
    assert [each.is_new for each in counted] == [True, False]


def test_an_incident_that_cannot_be_read_now_is_attended_to_once_it_can_be() -> None:
    storm = Storm()
    storm.topic.is_down = True
    storm.go_on(minutes=4)
    [key] = [key for key in incident_rows(storm) if key[1].startswith("i:")]
    row = dict(storm.store.table.row(*key) or {})
    damage(storm.store.table, *key, Document="{}")
    storm.topic.is_down = False
    storm.go_on(minutes=2)
    assert storm.topic.incidents == []
    damage(storm.store.table, *key, Document=row["Document"])
    storm.go_on(minutes=2)
    assert len(storm.topic.incidents) == 1


def test_the_mark_of_an_incident_that_is_gone_is_removed() -> None:
    storm = Storm()
    storm.go_on(minutes=4)
    [key] = [key for key in incident_rows(storm) if key[1].startswith("i:")]
    storm.store.table._put(key, None, "")
    storm.go_on(minutes=1)
    assert not [key for key in incident_rows(storm) if key[1].startswith("open:")]


def test_an_incident_that_cannot_be_attended_to_keeps_no_other_and_no_poll_run_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storm = Storm(names=[f"vault-{vault}/bi-{number}" for vault in "ab" for number in range(MIN_MEMBERS)])
    without_founders = incident.without_founders

    def unforeseen(known: Incident) -> Incident:
        if known.scope.endswith("vault-a"):
            raise ArithmeticError("nobody foresaw it")
        return without_founders(known)

    monkeypatch.setattr(incident, "without_founders", unforeseen)
    storm.go_on(minutes=3)
    founders = {known.scope[-7:]: known.founders for known in storm.store.incidents.page(10)}
    assert founders.pop("vault-a")
    assert founders == {"vault-b": ()}


def test_an_incident_whose_event_cannot_be_made_is_closed_all_the_same_and_tried_again_after_a_back_off() -> None:
    storm = Storm()
    tried: list[datetime] = []

    def unforeseen(incident: Incident, event: IncidentEvent) -> None:
        tried.append(storm.clock())
        raise UnicodeError("no text of this world")

    storm.topic.publish_incident = unforeseen  # type: ignore[method-assign] # for any of them
    storm.go_on(minutes=4)
    assert {each.incident_id for each in storm.all()} != {None}
    storm.grant()
    storm.go_on(minutes=20)
    [known] = storm.store.incidents.page(10)
    assert (known.founders, known.closed_at is not None, storm.statuses()) == ((), True, {Status.HEALED: 12})
    assert tried[-1] - tried[-2] > timedelta(minutes=2)
