"""Invariants, whatever happens: checked at each change of the table, and once all is over."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

from azure.data.tables import TableEntity

from shared.clock import from_iso, to_millis
from shared.domain.arm_results import new_error
from shared.domain.error_codes import BUILT_IN, ErrorClass
from shared.domain.mode import Mode
from shared.domain.remediation import Remediation, Status, instance_key_of
from shared.domain.remediation_json import CorruptDocument
from shared.domain.state_machine import MAX_DEFERRALS
from shared.domain.steps import MAX_HISTORY
from shared.domain.wake import MAX_WAKES_A_DAY
from shared.settings import Settings
from shared.storage.table_rows import shard_of, stored_in
from tests.simulation.azure import BROKEN, Backup, ResourceManager, SyncCall, Topic
from tests.simulation.hosts import SimulatedHost
from tests.simulation.incidents import INCIDENTS, IncidentRecord
from tests.simulation.scheduler import Scheduler
from tests.support.memory_table import Key, MemoryTable, Row

MAX_DOCUMENT_CHARS = 300_000
"""Far below 1 MiB, the most that a row of Table storage may have."""
_DUE_AT = re.compile(r'"dueAt":"([^"]+)"')
_LATER_FIELD = '"laterField"'
_MAX_OPENING_AGE = 11.0
"""Seconds for which an opening is submitted without being read again (`poll_cache`), and the time of its way."""


_EARLY_ATTEMPTS = 2
"""More than the ladder has, after errors that a sync alone may mend (docs/operations.md)."""
_WOKEN = ": next attempt in "
"""In the reason of a step that a repair brought forward (`domain.wake`)."""
_MAX_SKEW = timedelta(minutes=5)


class Violation(AssertionError):
    """Something that must hold does not."""


class Record:
    """The record of a schedule, seen from outside."""

    def __init__(
        self, scheduler: Scheduler, table: MemoryTable, azure: ResourceManager, topic: Topic, settings: Settings
    ) -> None:
        self._scheduler = scheduler
        self._table = table
        self._azure = azure
        self._topic = topic
        self._settings = settings
        self.incidents = IncidentRecord(table, topic, self.violate)
        self.accepted: set[str] = set()
        """Remediations of signals whose delivery was acknowledged."""
        self.opened: dict[str, float] = {}
        """Remediations whose row was written, and when."""
        self.unfinished: set[str] = set()
        """Those of them that are still to be polled or announced."""
        self._most_unfinished = 0
        self.ended_at: dict[str, float] = {}
        self.is_swept = False
        """Whether sweeps came after the last fault: then nothing is broken that the app does not know of."""
        self.damaged: set[str] = set()
        """Remediations whose rows a fault has destroyed: nothing is asked of them."""
        self.violations: list[str] = []
        table.changed = self._changed

    @property
    def has_incidents(self) -> bool:
        """Whether there is one that poll runs attend to."""
        return self.incidents.has_attended

    def violate(self, invariant: str, detail: object) -> None:
        """Remember that an invariant is broken, and stop."""
        self.violations.append(f"{invariant}: {detail}")
        self._scheduler.is_stopped = True

    def remediation(self, remediation_id: str) -> Remediation | None:
        """As it stands in the table, read by nobody."""
        row = self._table.row(shard_of(remediation_id), f"r:{remediation_id}")
        try:
            return stored_in(_as_read(row)).remediation if row else None
        except CorruptDocument:
            return None

    def _changed(self, before: Mapping[Key, Row | None]) -> None:
        for (partition, row_key), row_before in before.items():
            row = self._table.row(partition, row_key)
            if partition == INCIDENTS:
                self.incidents.changed(row_key)
            elif row_key.startswith("r:"):
                self._check_row(row_key.removeprefix("r:"), row_before, row)
            elif row_key.startswith("d:") and row is None and row_key.count(":") == 2:
                self._check_woken(row_key.split(":")[2], self._table.row(partition, f"r:{row_key.split(':')[2]}"))

    def _check_row(self, remediation_id: str, before: Row | None, row: Row | None) -> None:
        self.opened.setdefault(remediation_id, self._scheduler.time)
        if row is None:
            self.unfinished.discard(remediation_id)
            if before is not None and remediation_id not in self.ended_at:
                self.violate("what is active is not removed", remediation_id)
            return
        text = _document(row)
        if before is not None and _LATER_FIELD in _document(before) and _LATER_FIELD not in text:
            self.violate("fields of a later version are kept", remediation_id)
        if len(text) > MAX_DOCUMENT_CHARS:
            self.violate("a document is bounded", f"{remediation_id} has {len(text)} characters")
        if text.count('"from":') > MAX_HISTORY:
            self.violate("a history is bounded", f"{remediation_id} has {text.count(chr(34) + 'from' + chr(34))}")
        if Status(row["Status"]).is_terminal:
            self._check_end(remediation_id, before, row)
        elif remediation_id in self.ended_at and row["Status"] != Status.RECOVERING:
            self.violate("an end is final", f"{remediation_id} is {row['Status']} again")
        self._check_woken(remediation_id, row)

    def _check_end(self, remediation_id: str, before: Row | None, row: Row) -> None:
        if remediation_id in self.ended_at:
            goes_on = before is not None and before["Status"] == Status.RECOVERING
            if before is not None and before["Status"] != row["Status"] and not goes_on:
                self.violate("an end is final", f"{remediation_id}: {before['Status']}, then {row['Status']}")
            return
        self.ended_at[remediation_id] = self._scheduler.time
        if row["Status"] == Status.TIMED_OUT:
            instance = self._azure.instances[row["InstanceKey"]]
            instance.settle(self._scheduler.time)
            step = self._scheduler.current
            if instance.healed_at is not None and instance.healed_at < (step.began if step else 0):
                self.violate("a healed instance is never timed out", f"{remediation_id}, {instance}")
            self._check_time_out(stored_in(_as_read(row)).remediation)

    def _check_time_out(self, remediation: Remediation) -> None:
        """Only an accepted operation has a time-out; whoever waits for a verdict gives up after many calls."""
        submitted_at, ended_at = remediation.attempt.submitted_at, remediation.ended_at
        if submitted_at and ended_at and ended_at - submitted_at > self._settings.operation_timeout - 2 * _MAX_SKEW:
            return
        if remediation.deferrals < MAX_DEFERRALS and "no verdict" not in remediation.history[-1].reason:
            self.violate("waiting is not working", _described(remediation))

    def _check_woken(self, remediation_id: str, row: Row | None) -> None:
        """Each row that is not finished names an entry that is there, and is due no later than the remediation."""
        if row is None or remediation_id in self.damaged:
            return
        due_at = _DUE_AT.search(_document(row))
        if due_at is None:
            self.unfinished.discard(remediation_id)
            if not Status(row["Status"]).is_terminal:
                self.violate("nothing waits for ever", f"{remediation_id} is {row['Status']} and never due")
            return
        self.unfinished.add(remediation_id)
        entry = f"d:{row['EntryAt']}:{remediation_id}"
        if self._table.row(shard_of(remediation_id), entry) is None:
            self.violate("nothing waits for ever", f"{remediation_id} is {row['Status']}, and {entry} is missing")
        ends_now = Status(row["Status"]).is_terminal
        if int(row["EntryAt"]) > to_millis(from_iso(due_at[1])) and not ends_now:
            self.violate("nothing waits for ever", f"{remediation_id} is due at {due_at[1]}, its entry is later")

    def check_queue(self, waiting: int, repeats: int) -> None:
        """There is about a message for each remediation at work; one that is needed no more may still wait its time."""
        self._most_unfinished = max(self._most_unfinished, len(self.unfinished))
        if waiting > 3 * self._most_unfinished + repeats + 10:
            self.violate("the queue is bounded", f"{waiting} messages for {self._most_unfinished} remediations")

    def check_all_over(self) -> None:
        """Every accepted signal has had its one outcome, and no call was made without need."""
        remediations = {each: self.remediation(each) for each in sorted(self.opened.keys() | self.accepted)}
        announced = defaultdict(set)
        for remediation_id, status in self._topic.announced:
            announced[remediation_id].add(status)
        for remediation_id, remediation in remediations.items():
            if remediation_id in self.damaged:
                continue
            if remediation is None:
                self.violate("what was accepted is there", remediation_id)
            elif not remediation.status.is_terminal:
                self.violate("nothing waits for ever", _described(remediation))
            elif announced[remediation_id] != set(_ends(remediation)):
                told = sorted(announced[remediation_id])
                self.violate("every end is announced as it is", f"{_described(remediation)}, announced {told}")
            elif not _has_one_outcome(remediation):
                self.violate("one outcome", _described(remediation))
            else:
                self._check_attention(remediation)
                self._check_wakes(remediation)
        known = [each for each in remediations.values() if each]
        self._check_one_active(known)
        self._check_calls()
        self._check_backups()
        self._check_observers()
        self.incidents.check_all_over(known)
        for repeats in self._topic.outcomes.values():
            if differences := _differences(repeats):
                self.violate("an outcome that is repeated says the same", differences)
        if self.is_swept:
            self._check_swept(known)

    def _check_attention(self, remediation: Remediation) -> None:
        """Whoever needs a person at the end was announced, by the remediation in which the need began."""
        attention = remediation.attention
        is_wanted = remediation.history[-1].reason == "cancelled"
        if remediation.status.is_unhealed and attention is None and not is_wanted:
            self.violate("an unhealed end needs a person", _described(remediation))
        elif attention is not None and attention.remediation_id not in self.damaged:
            event = (remediation.instance.key, f"{attention.remediation_id}-attention")
            if event not in self._topic.attention:
                self.violate("a need of a person is announced", f"{_described(remediation)}, since {attention.since}")

    def _check_wakes(self, remediation: Remediation) -> None:
        """A wake costs an attempt of its own, a few times a day, and leaves the ladder's where they are."""
        most = self._settings.max_attempts
        if most > 1 and BUILT_IN.class_of(new_error(self._azure.code, "")) is ErrorClass.TRANSIENT:
            most += _EARLY_ATTEMPTS
        if len(remediation.attempts) > most + remediation.wakes:
            detail = f"{len(remediation.attempts)} of {most} and {remediation.wakes} wakes"
            self.violate("attempts are the ladder's, and one for each wake", f"{_described(remediation)}: {detail}")
        days = 1 + ((remediation.ended_at or remediation.opened_at) - remediation.opened_at) // timedelta(days=1)
        woken = sum(_WOKEN in step.reason for step in remediation.history)
        if woken > MAX_WAKES_A_DAY * days:
            self.violate("wakes are few", f"{_described(remediation)}: {woken} in {days} days")

    def _check_one_active(self, remediations: Iterable[Remediation]) -> None:
        active = Counter(each.instance.key for each in remediations if not each.status.is_terminal)
        for key, count in active.items():
            if count > 1:
                self.violate("one active remediation for an instance", key)

    def _check_calls(self) -> None:
        by_attempt: dict[tuple[str, int], list[SyncCall]] = defaultdict(list)
        for call in self._azure.calls:
            if call.step is None:
                continue
            remediation_id, _, attempt = call.step.name.partition("/")
            by_attempt[remediation_id, int(attempt)].append(call)
            ended = self.ended_at.get(remediation_id, float("inf"))
            if call.step.began > ended and call.step.began - self.opened[remediation_id] > _MAX_OPENING_AGE:
                self.violate("no call after the end", f"{remediation_id} ended at {ended}, call at {call.at}")
        for (remediation_id, number), calls in by_attempt.items():
            if len(calls) > MAX_DEFERRALS + len({call.step for call in calls if call.step and call.step.is_disturbed}):
                self.violate("calls are bounded", f"{remediation_id}/{number}: {len(calls)} calls")
            verdicts = [call for call in calls if call.has_verdict]
            for earlier, later in pairwise(verdicts):
                if not _may_repeat(earlier, later):
                    at = f"at {earlier.at:.1f} and {later.at:.1f}"
                    self.violate("an attempt is one call", f"{remediation_id}/{number}: {at}")

    def _check_observers(self) -> None:
        """A host that observes changes nothing in Azure."""
        calls: list[SyncCall | Backup] = [*self._azure.calls, *self._azure.backups]
        for call in calls:
            host = call.step.owner if call.step else None
            if isinstance(host, SimulatedHost) and host.app.settings.mode is Mode.OBSERVE:
                self.violate("who observes changes nothing", f"{type(call).__name__} of {call.instance_key}")

    def _check_swept(self, known: Iterable[Remediation]) -> None:
        """Whatever is broken at last was tried to the end, or an operator does not want it."""
        latest = {each.instance.key: each for each in sorted(known, key=lambda each: each.id, reverse=True)}
        unreadable = {instance_key_of(each) for each in self.damaged}
        for key, instance in self._azure.instances.items():
            instance.settle(self._scheduler.time)
            if instance.state != BROKEN or key in unreadable:
                continue
            last = latest.get(key)
            if last is None or last.status.is_healed or last.status is Status.WOULD_HEAL:
                self.violate("a sweep finds what is broken", _described(last) if last else instance)

    def _check_backups(self) -> None:
        """A backup on demand is made once, but for those whose record was lost."""
        by_request: dict[str, list[Backup]] = defaultdict(list)
        for backup in self._azure.backups:
            by_request[backup.request_id].append(backup)
        for request_id, backups in by_request.items():
            unrecorded = sum(each.is_unheard_of or bool(each.step and each.step.is_disturbed) for each in backups)
            if len(backups) > 1 + unrecorded:
                self.violate("a backup is made once", f"{request_id}: {len(backups)}, {unrecorded} unrecorded")


def _ends(remediation: Remediation) -> list[str]:
    return [step.after.value for step in remediation.history if step.after.is_terminal]


def _has_one_outcome(remediation: Remediation) -> bool:
    """Of its heal, and one of its recovery where that was wanted and the heal succeeded."""
    first, *others = _ends(remediation)
    is_followed = first == Status.HEALED and remediation.recovery is not None
    return len(others) == (1 if is_followed else 0) and (not others or remediation.status.ends_recovery)


def _may_repeat(earlier: SyncCall, later: SyncCall) -> bool:
    """Whether the record of the earlier call was lost, or both were made at the same time by a repeated message."""
    first, second = earlier.step, later.step
    if first is None or second is None:
        return False
    return first.is_disturbed or first.ended is None or second.began <= first.ended


def _differences(repeats: Sequence[Mapping[str, Any]]) -> str:
    """In what later events differ from the first; a version of the app may tell more than another."""
    first = repeats[0]
    names = first.keys() - {_LATER_FIELD.strip('"')}
    differing = sorted({name for later in repeats for name in names if later.get(name) != first[name]})
    values = ", ".join(f"{name} {[each.get(name) for each in repeats]}" for name in differing)
    return f"{first['id']}: {values}" if values else ""


def _document(row: Row) -> str:
    first = str(row["Document0"])
    return first if "Document1" not in row else "".join(row.get(f"Document{number}", "") for number in range(40))


def _as_read(row: Row) -> TableEntity:
    entity = TableEntity(row)
    entity._metadata = {"etag": "", "timestamp": None}
    return entity


def _described(remediation: Remediation) -> str:
    steps = " ".join(f"{step.after}*{step.times}" for step in remediation.history)
    return f"{remediation.id} is {remediation.status}, due {remediation.due_at}: {steps}"
