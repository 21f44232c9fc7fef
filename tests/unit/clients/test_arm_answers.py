"""Answers of Resource Manager, byte for byte over https, and the facts that the client makes of them."""

import dataclasses
import json
from typing import Any
from unittest.mock import call, create_autospec

import pytest

from shared.clients.arm import ArmClient
from shared.clients.arm_transport import ArmTransport
from shared.clients.credential import TokenCache
from shared.clients.http_session import pooled_session
from shared.domain.arm_error import advice_of
from shared.domain.arm_results import OperationUrls
from shared.domain.resource_ids import BackupInstanceId, BackupVaultId
from shared.domain.signal import SyncType
from shared.rate_limits.rate_limiter import RateLimiter
from tests.support.alert_bodies import INSTANCE, SUBSCRIPTION, VAULT
from tests.support.corpus import Case, cases
from tests.support.scripted_server import ScriptedServer

Json = dict[str, Any]


class Azure:
    """The client on a scripted Resource Manager."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.url = f"https://localhost:{server.port}"
        self.writes, self.reads = (create_autospec(RateLimiter, instance=True) for _ in range(2))
        tokens = create_autospec(TokenCache, instance=True)
        tokens.get.return_value, tokens.renew.return_value = "token", "token"
        transport = ArmTransport(tokens, pooled_session(self.url, 1), (5.0, 5.0))
        self._client = ArmClient(self.url, (), transport, self.writes, self.reads)

    def call(self, name: str, operation: Json) -> object:
        """One of the client's methods."""
        instance = BackupInstanceId.parse(INSTANCE)
        match name:
            case "sync":
                return self._client.sync(instance, SyncType.DEFAULT, "request-1")
            case "operation":
                return self._client.operation(instance, OperationUrls(operation.get("status"), operation.get("result")))
            case "read":
                return self._client.read(instance)
            case "list":
                return self._client.instances(BackupVaultId.parse(VAULT))
            case "access":
                return self._client.check_access()
            case other:
                raise AssertionError(other)

    def fill_in(self, value: Any) -> Any:
        """A part of a case with the ids and the endpoint that stand for `{arm}`, `{instance}` and so on."""
        text = json.dumps(value)
        for name, filling in {
            "{arm}": self.url,
            "{instance}": INSTANCE,
            "{vault}": VAULT,
            "{subscription}": SUBSCRIPTION,
        }.items():
            text = text.replace(name, filling)
        return json.loads(text)


@pytest.fixture
def azure(https: ScriptedServer) -> Azure:
    return Azure(https)


def facts(result: Any) -> Json:
    """A result as a case names it."""
    found = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    error = found.pop("error", None)
    if error is not None:
        found |= {"code": error["code"], "message": error["message"], "advice": advice_of(error)}
    if isinstance(operation := found.pop("operation", None), OperationUrls):
        found |= {"statusUrl": operation.status_url, "resultUrl": operation.result_url}
    if "instances" in found:
        found["instances"] = [listed.id.name for listed in found["instances"]]
    return {"fact": type(result).__name__, **found}


@pytest.mark.parametrize("case", cases("arm"))
def test_an_answer_of_resource_manager_is_the_right_fact(case: Case, azure: Azure) -> None:
    given, verdict = azure.fill_in(case.input), azure.fill_in(case.verdict)
    azure.server.script(given["answers"])
    found = facts(azure.call(given["call"], given.get("operation", {})))
    calls = verdict.pop("calls", len(given["answers"]))
    learned = verdict.pop("learned", None)
    assert {name: found.get(name) for name in verdict} == verdict
    assert len(azure.server.requests) == calls
    if learned is not None:
        limiter = azure.writes if given["call"] == "sync" else azure.reads
        assert limiter.learn.mock_calls == [call(SUBSCRIPTION, learned.get("remaining"), learned.get("retryAfter"))]


def test_every_call_asks_for_json_and_nothing_else(azure: Azure) -> None:
    # A charset in `Accept` was seen to be answered with 406.
    for name in ("sync", "read", "list", "access"):
        azure.server.script([{"status": 404, "body": {"error": {"code": "x", "message": "y"}}}])
        azure.call(name, {})
        assert [headers["accept"] for _, _, headers in azure.server.requests] == ["application/json"]


def test_a_server_that_hangs_up_is_no_verdict(azure: Azure) -> None:
    azure.server.script([{"status": 200, "body": {}, "cut": 10_000}])
    assert facts(azure.call("read", {}))["code"] == "NoResponse"
