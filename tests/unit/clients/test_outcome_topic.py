"""Outcomes are published only where the topic itself says so."""

from datetime import timedelta
from typing import Any

import pytest
from azure.core.credentials import AccessToken, TokenCredential
from azure.core.messaging import CloudEvent
from msgspec.structs import replace

from shared.clients.outcome_topic import OutcomeTopic, PublishFailed, incident_event, outcome_event
from shared.domain import announcements, incident
from shared.domain.incident import Incident, IncidentEvent
from shared.domain.incident_cause import Cause, ScopeKind
from shared.domain.remediation_json import from_json, to_json
from tests.support.remediations import INSTANCE, LATER, NOW, after, healed, instance_named, queued, read, verifying
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


def test_an_event_that_cannot_be_made_says_nothing_about_the_topic(https: ScriptedServer, topic: OutcomeTopic) -> None:
    https.script([])
    with pytest.raises(ValueError, match="isoformat"):
        topic.publish_findings([{"id": "f", "backupInstanceId": str(INSTANCE), "failedAt": "?"}])
    assert https.requests == []


def told(event: CloudEvent[Any]) -> tuple[object, ...]:
    return event.id, event.type, event.time, event.data


def test_an_outcome_that_is_announced_again_tells_the_same() -> None:
    ended = after(verifying(), read("ProtectionConfigured"), now=LATER + timedelta(microseconds=7))
    put_off = announcements.on_publish_failed(ended, LATER, jitter=0.0)
    assert told(outcome_event(from_json(to_json(put_off)))) == told(outcome_event(ended))


def opened() -> Incident:
    cause = Cause("CloudInternalError", ScopeKind.VAULT, str(INSTANCE.vault_id))
    tallies = {cause.key: incident.Tally()}
    failures = [queued(instance_named(f"bi-{number}")).id for number in range(incident.MIN_MEMBERS)]
    found = incident.count(tallies, {}, [cause], failures, NOW).incident
    assert found
    return found


def test_the_opening_of_an_incident_that_is_announced_again_tells_the_same() -> None:
    known = opened()
    grown = replace(known, founders=(), members=known.members + 3, released_at=LATER, closed_at=LATER)
    assert told(incident_event(grown, IncidentEvent.OPENED)) == told(incident_event(known, IncidentEvent.OPENED))


def test_the_end_of_an_incident_is_announced_to_the_millisecond() -> None:
    closed = incident.close(opened(), LATER + timedelta(microseconds=7))
    assert incident_event(closed, IncidentEvent.CLOSED).time == LATER


def test_what_is_told_of_a_closed_incident_does_not_change() -> None:
    assert incident.release(incident.close(opened(), LATER), LATER) is None
