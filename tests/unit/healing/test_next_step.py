"""The next step of an operation whose status cannot be had, though the instance can be read."""

import pytest

from shared.domain import arm_results
from shared.domain.arm_results import OperationUrls, TransientFailure, new_error
from shared.domain.remediation import Remediation, Status
from shared.domain.resource_ids import BackupInstanceId
from tests.support.memory_azure import HealingArm, MemoryApp

RETRY_AFTER = 600.0


class ThrottledStatus(HealingArm):
    """Each poll is refused with a 429, which empties the read limit as the real client does."""

    def __init__(self, app: MemoryApp) -> None:
        super().__init__()
        self._app = app

    def operation(self, instance: BackupInstanceId, urls: OperationUrls) -> arm_results.OperationResult:
        self.calls.append("operation")
        self._app.host.read_limit.learn(instance.subscription_id, None, RETRY_AFTER)
        return TransientFailure(new_error("TooManyRequests", "later"), RETRY_AFTER)


@pytest.fixture
def app() -> MemoryApp:
    app = MemoryApp()
    app.arm = ThrottledStatus(app)
    app.host.arm = app.arm
    app.host.__post_init__()
    return app


def polled(app: MemoryApp, times: int) -> Remediation:
    started = app.start("bi")
    for _ in range(times):
        app.clock.advance(hours=1)
        app.host.poller.run()
    return app.now(started)


def test_an_instance_that_is_well_ends_a_heal_whose_status_is_throttled_for_good(app: MemoryApp) -> None:
    assert polled(app, times=4).status is Status.HEALED
    assert app.arm.calls.count("operation") == 3


def test_a_status_that_is_throttled_for_a_moment_is_polled_again(app: MemoryApp) -> None:
    assert polled(app, times=3).status is Status.RUNNING
    assert "read" not in app.arm.calls[1:]
