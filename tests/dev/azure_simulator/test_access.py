"""Tokens of the simulated Azure, the calls that they open, and the events that a topic takes."""

from datetime import UTC, datetime

import pytest
import requests

from tests.support.simulator import ARM_AUDIENCE, EVENT, Simulator, code_of, properties_of, publish

# Tokens


def ask_for_token(simulator: Simulator, header: str | None = None, **params: str) -> requests.Response:
    secret = simulator.ready["identityHeader"] if header is None else header
    return simulator.session.get(
        simulator.ready["identityEndpoint"], params=params, headers={"X-IDENTITY-HEADER": secret}, timeout=10
    )


def test_when_a_token_is_asked_for_then_it_comes_with_its_expiry_resource_and_type(
    simulator: Simulator,
) -> None:
    answer = ask_for_token(simulator, **{"api-version": "2019-08-01", "resource": ARM_AUDIENCE}).json()

    assert answer["token_type"] == "Bearer"
    assert answer["resource"] == ARM_AUDIENCE
    assert 86_000 < int(answer["expires_on"]) - datetime.now(UTC).timestamp() <= 86_400


@pytest.mark.parametrize(
    ("header", "params", "status"),
    [
        ("wrong", {"api-version": "2019-08-01", "resource": ARM_AUDIENCE}, 401),
        (None, {"api-version": "2017-09-01", "resource": ARM_AUDIENCE}, 400),
        (None, {"api-version": "2019-08-01"}, 400),
    ],
)
def test_when_the_token_request_is_wrong_then_it_is_refused_in_app_services_shape(
    simulator: Simulator, header: str | None, params: dict[str, str], status: int
) -> None:
    answer = ask_for_token(simulator, header, **params)

    assert answer.status_code == status
    assert answer.json()["statusCode"] == status


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "AuthenticationFailed"),
        ("Basic dTpw", "AuthenticationFailed"),
        ("Bearer not-one-of-ours", "InvalidAuthenticationToken"),
        ("Bearer {vault}", "InvalidAuthenticationTokenAudience"),
        ("Bearer {tampered}", "InvalidAuthenticationToken"),
    ],
)
def test_when_the_token_is_missing_forged_or_for_another_audience_then_arm_answers_401(
    simulator: Simulator, authorization: str | None, code: str
) -> None:
    simulator.put()
    if authorization:
        authorization = authorization.replace("{vault}", simulator.token("https://vault.azure.net"))
        authorization = authorization.replace("{tampered}", simulator.token()[:-1] + "x")

    answer = simulator.sync(headers={"Authorization": authorization} if authorization else {})

    assert (answer.status_code, code_of(answer)) == (401, code)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert properties_of(simulator)["currentProtectionState"] == "ProtectionError"


def test_given_revoked_tokens_when_arm_is_called_then_only_a_new_one_opens(simulator: Simulator) -> None:
    simulator.put()
    old = {"Authorization": f"Bearer {simulator.token()}"}
    assert simulator.read(headers=old).status_code == 200

    simulator.set(revokeTokens=True)

    assert code_of(simulator.read(headers=old)) == "InvalidAuthenticationToken"
    assert simulator.read().status_code == 200


# The topic


def test_when_cloud_events_are_published_then_they_are_kept_by_topic(simulator: Simulator) -> None:
    assert publish(simulator, [EVENT, EVENT]).status_code == 200
    assert simulator.events() == [EVENT, EVENT]
    assert simulator.events("OUTCOMES") == [EVENT, EVENT]
    assert simulator.events("other") == []


@pytest.mark.parametrize(
    ("events", "options", "status"),
    [
        ([EVENT], {"audience": ARM_AUDIENCE}, 401),
        ([EVENT], {"content_type": "application/json"}, 400),
        (EVENT, {"content_type": "application/cloudevents+json"}, 400),
        ([EVENT, {**EVENT, "specversion": "0.3"}], {}, 400),
        ([{**EVENT, "source": ""}], {}, 400),
        (EVENT, {}, 400),
        (7, {}, 400),
        ([{**EVENT, "data": "x" * 1024 * 1024}], {}, 413),
    ],
)
def test_when_what_is_published_is_wrong_then_none_of_it_is_kept(
    simulator: Simulator, events: object, options: dict[str, str], status: int
) -> None:
    answer = publish(simulator, events, **options)

    assert answer.status_code == status
    assert answer.json()["error"]["code"]
    assert simulator.events() == []


def test_given_faults_for_the_topic_when_publishing_is_repeated_then_the_event_arrives_once(
    simulator: Simulator,
) -> None:
    simulator.set(topicFaults=[{"status": 503}])

    assert [publish(simulator, [EVENT]).status_code for _ in range(2)] == [503, 200]
    assert simulator.events() == [EVENT]
