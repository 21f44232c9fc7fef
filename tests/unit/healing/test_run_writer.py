"""Results of polls are stored and announced while the other polls of the run go on."""

from shared.domain import arm_results
from shared.domain.arm_results import OperationUrls
from shared.domain.resource_ids import BackupInstanceId
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
