"""An outage of Resource Manager that a few calls find out, not thousands."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import create_autospec

import pytest
import requests

from shared.clients.arm import ArmClient
from shared.clients.arm_circuit import ArmCircuit
from shared.clients.arm_transport import ArmTransport
from shared.domain.arm_results import InstanceRead, TransientFailure, new_error
from shared.domain.resource_ids import BackupInstanceId
from shared.rate_limits.circuit_breaker import MAX_FAILURES, CircuitBreaker
from shared.rate_limits.rate_limiter import RateLimiter
from tests.support.remediations import INSTANCE, NOW

ELSEWHERE = BackupInstanceId("14cf684a-d41f-4550-9f70-7708a3a2283b", "testrg", "testvault", "testbi")
Result = requests.Response | TransientFailure


def response(status: int, body: bytes = b'{"error": {"code": "x", "message": "y"}}') -> Callable[[], Result]:
    def make() -> requests.Response:
        made = requests.Response()
        made.status_code, made._content = status, body
        return made

    return make


def failure(code: str) -> Callable[[], Result]:
    return lambda: TransientFailure(new_error(code, "m"))


WELL = response(200, b'{"properties": {"currentProtectionState": "ProtectionConfigured"}}')


class Azure:
    """The client behind a circuit, and a Resource Manager that gives the same result to every call."""

    def __init__(self) -> None:
        self.now = NOW
        self.result: Callable[[], Result] = WELL
        self.calls = 0
        transport = create_autospec(ArmTransport, instance=True)
        transport.send.side_effect = self._send
        writes, reads = (create_autospec(RateLimiter, instance=True) for _ in range(2))
        circuit = ArmCircuit(transport, CircuitBreaker(lambda: self.now, lambda: 0.0))
        self.client = ArmClient("https://management.azure.com", (), circuit, writes, reads)

    def _send(self, *_: Any) -> Result:
        self.calls += 1
        return self.result()

    def read(self, times: int = 1, instance: BackupInstanceId = INSTANCE) -> Any:
        """The result of the last of so many reads."""
        return [self.client.read(instance) for _ in range(times)][-1]


@pytest.fixture
def azure() -> Azure:
    return Azure()


@pytest.mark.parametrize("outage", [response(503), response(500), response(502, b"<html>"), failure("NoResponse")])
def test_in_an_outage_a_few_calls_are_made_and_the_others_are_told_when_to_come(
    azure: Azure, outage: Callable[[], Result]
) -> None:
    azure.result = outage
    told = azure.read(1000)
    assert azure.calls == MAX_FAILURES
    assert told.error["code"] == "CircuitOpen"
    assert told.retry_after >= 5


def test_in_six_hours_of_outage_a_thousand_instances_make_fewer_calls_than_one_each(azure: Azure) -> None:
    azure.result = response(503)
    for _ in range(6 * 60):
        azure.read(100)
        azure.now += timedelta(minutes=1)
    assert azure.calls < 200


def test_after_the_outage_the_first_probe_opens_the_way(azure: Azure) -> None:
    azure.result = response(503)
    azure.read(1000)
    azure.result = WELL
    azure.now += timedelta(minutes=5)
    assert isinstance(azure.read(), InstanceRead)
    azure.calls = 0
    azure.read(1000)
    assert azure.calls == 1000


@pytest.mark.parametrize(
    "answer", [response(429), response(404), response(409), response(403, b"<html>"), failure("TokenUnavailable")]
)
def test_what_is_no_outage_keeps_nobody_from_calling(azure: Azure, answer: Callable[[], Result]) -> None:
    azure.result = answer
    azure.read(100)
    assert azure.calls == 100


def test_a_token_that_is_missing_is_no_answer_of_a_probe(azure: Azure) -> None:
    azure.result = response(503)
    azure.read(10)
    azure.now += timedelta(minutes=5)
    azure.result = failure("TokenUnavailable")
    azure.read()
    assert azure.read().error["code"] == "CircuitOpen"


def test_other_subscriptions_and_the_check_of_access_go_on(azure: Azure) -> None:
    azure.result = response(503)
    azure.read(10)
    azure.result = WELL
    assert isinstance(azure.read(instance=ELSEWHERE), InstanceRead)
    calls = azure.calls
    azure.client.check_access()
    assert azure.calls == calls + 1
