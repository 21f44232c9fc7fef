"""Outcomes are published only where the topic itself says so."""

from collections.abc import Iterator
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import pytest
from azure.core.credentials import AccessToken, TokenCredential

from dev.azure_simulator.certificates import server_certificate
from shared.clients.outcome_topic import OutcomeTopic, PublishFailed
from tests.support.remediations import healed
from tests.support.scripted_server import Answer, ScriptedServer, scripted_server

HTML = {"Content-Type": "text/html"}


class Credential(TokenCredential):
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("token", 4102444800)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    ca, certificate = server_certificate(tmp_path)
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with scripted_server(context) as running:
        yield running


@pytest.fixture
def topic(server: ScriptedServer) -> OutcomeTopic:
    return OutcomeTopic(f"https://localhost:{server.port}/api/events", Credential())


def test_an_empty_200_of_the_topic_is_a_delivery(server: ScriptedServer, topic: OutcomeTopic) -> None:
    server.script([{"status": 200, "text": ""}])
    topic.publish([healed()])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "in_parts"),
    [
        ({"status": 200, "headers": HTML, "text": "<html>Sign in</html>"}, False),
        ({"status": 200, "body": {}}, False),
        ({"status": 202, "text": ""}, False),
        ({"status": 400, "body": {"error": {"code": "BadRequest", "message": "x"}}}, True),
        ({"status": 401, "text": ""}, False),
        ({"status": 413, "text": ""}, True),
        ({"status": 429, "headers": {"Retry-After": "3600"}, "text": ""}, False),
        ({"status": 502, "headers": HTML, "text": "<html>Bad Gateway</html>"}, False),
        ({"status": 503, "text": ""}, False),
        ({"status": 200, "text": "", "headers": {"Content-Length": "10"}}, False),
    ],
)
def test_any_other_answer_leaves_the_outcomes_due(
    server: ScriptedServer, topic: OutcomeTopic, answer: Answer, in_parts: bool
) -> None:
    server.script([answer])
    with pytest.raises(PublishFailed) as failure:
        topic.publish([healed()])
    assert failure.value.in_parts is in_parts
    assert len(server.requests) == 1
