"""Answers of Resource Graph, byte for byte over https: all broken instances, or why there are none."""

import json
import logging
from datetime import timedelta
from unittest.mock import create_autospec

import pytest

from shared.clients.arm_transport import ArmTransport
from shared.clients.credential import TokenCache
from shared.clients.http_session import pooled_session
from shared.clients.resource_graph import QuerySucceeded, ResourceGraph
from tests.support.alert_bodies import VAULT
from tests.support.corpus import Case, cases
from tests.support.remediations import NOW
from tests.support.scripted_server import ScriptedServer


@pytest.mark.parametrize("case", cases("resource_graph"))
def test_an_answer_of_resource_graph_is_the_right_result(
    case: Case, https: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    text = json.dumps(case.input["answers"]).replace("{vault}", VAULT).replace("{vault_lower}", VAULT.lower())
    https.script(json.loads(text))
    tokens = create_autospec(TokenCache, instance=True)
    tokens.get.return_value = "token"
    url = f"https://localhost:{https.port}"
    transport = ArmTransport(tokens, pooled_session(url, 1), (5.0, 5.0))
    sleeps: list[float] = []
    graph = ResourceGraph(url, (), transport, lambda: NOW, sleeps.append)
    with caplog.at_level(logging.WARNING):
        result = graph.broken_instances(NOW + timedelta(seconds=case.input.get("seconds", 30)))
    found = {"fact": type(result).__name__, "sleeps": sleeps, "calls": len(https.requests)}
    if isinstance(result, QuerySucceeded):
        found |= {"instances": [each.id.name for each in result.instances], "unreadable": result.unreadable}
    else:
        found |= {"code": result.error["code"], "status": getattr(result, "status", None)}
    verdict = dict(case.verdict)
    assert verdict.pop("warned", "") in caplog.text
    assert {name: found.get(name) for name in verdict} == verdict
