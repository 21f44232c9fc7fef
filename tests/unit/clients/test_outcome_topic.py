"""Outcomes are published only where the topic itself says so."""

from typing import Any

import pytest
from azure.core.credentials import AccessToken, TokenCredential

from shared.clients.outcome_topic import OutcomeTopic, PublishFailed
from tests.support.remediations import healed
from tests.support.scripted_server import Answer, ScriptedServer

HTML = {"Content-Type": "text/html"}


class Credential(TokenCredential):
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("token", 4102444800)


@pytest.fixture
def topic(https: ScriptedServer) -> OutcomeTopic:
    return OutcomeTopic(f"https://localhost:{https.port}/api/events", Credential())


def test_an_empty_200_of_the_topic_is_a_delivery(https: ScriptedServer, topic: OutcomeTopic) -> None:
    https.script([{"status": 200, "text": ""}])
    topic.publish([healed()])
    assert len(https.requests) == 1


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
    https: ScriptedServer, topic: OutcomeTopic, answer: Answer, in_parts: bool
) -> None:
    https.script([answer])
    with pytest.raises(PublishFailed) as failure:
        topic.publish([healed()])
    assert failure.value.in_parts is in_parts
    assert len(https.requests) == 1
