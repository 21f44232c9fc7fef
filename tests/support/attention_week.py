"""One host on storage and Azure in memory, whose timers run in virtual time, and instances with troubles."""

from datetime import datetime, timedelta
from typing import cast

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
from shared.domain.error_codes import BUILT_IN
from shared.domain.mode import Mode
from shared.domain.notice import Message
from shared.domain.pause import Pause
from shared.domain.protection_state import BROKEN, VALID
from shared.domain.remediation import Remediation
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import SyncType
from shared.domain.summary import Summary, needs_attention, summarize
from shared.healing.needing_person import NeedingPerson
from shared.healing.notices import NoticeTopic, Notifier
from shared.healing.pausing import Pausing
from shared.healing.sweep import Sweep
from shared.rate_limits.rate_limiter import Gcra
from shared.rate_limits.sweep_quota import SweepQuota
from shared.storage.notice_outbox import NoticeOutbox
from shared.storage.pause_store import PauseStore
from shared.storage.remediation_list import RemediationReader
from shared.storage.table_rows import SHARDS, DueEntry, Stored
from tests.support.memory_azure import MemoryApp
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

    def mend(self, name: str) -> None:
        """Somebody has repaired the instance."""
        self.azure.states[name] = VALID
        self.azure.errors.pop(name, None)

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
