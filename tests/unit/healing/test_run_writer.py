"""Results of polls are stored and announced while the other polls of the run go on."""

from datetime import timedelta

from msgspec.structs import replace

from shared.domain import arm_results
from shared.domain.arm_results import OperationUrls
from shared.domain.recovery import BackupRun, Recovery
from shared.domain.recovery_mode import RecoveryMode
from shared.domain.resource_ids import BackupInstanceId
from shared.healing.incidents import Incidents
from shared.healing.run_writer import RunWriter
from shared.healing.shard_failures import ShardFailures
from shared.settings import Settings
from shared.storage.table_rows import Change
from tests.support.memory_azure import HealingArm, MemoryApp
from tests.support.processes import until


class WaitingArm(HealingArm):
    """Gives no answer to a late poll before an outcome is announced."""

    def __init__(self, app: MemoryApp, late: int) -> None:
        super().__init__()
        self._app = app
        self._late = late

    def operation(self, instance: BackupInstanceId, urls: OperationUrls) -> arm_results.OperationResult:
        result = super().operation(instance, urls)
        if self.calls.count("operation") == self._late:
            until(lambda: self._app.topic.announced, "an outcome is announced")
        return result


def test_results_are_stored_and_announced_while_other_polls_go_on() -> None:
    app = MemoryApp(arm=lambda app: WaitingArm(app, late=300))
    by_shard = app.start_many(300)
    app.host.poller.run()
    assert sorted(app.topic.announced) == sorted(one.id for of_shard in by_shard.values() for one in of_shard)


def test_a_call_for_a_backup_is_stored_before_the_run_is_over() -> None:
    app = MemoryApp()
    stored = app.store.load(app.open("any").id)
    assert stored
    begun = BackupRun(requested_at=app.clock(), status="Accepted")
    recovery = Recovery(mode=RecoveryMode.BACKUP, failed_at=app.clock(), backup=begun)
    incidents = Incidents(app.store, Settings().policy(), timedelta(), app.clock)
    writer = RunWriter(app.store, incidents, app.jobs, None, app.clock)
    with writer.open(app.clock(), ShardFailures()) as results:
        results.add(Change(stored, replace(stored.remediation, recovery=recovery)))
        until(lambda: app.store.remediations()[0].recovery, "the call is on record")
