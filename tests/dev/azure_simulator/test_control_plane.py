"""The simulator's control plane: the log of requests, and the report of a wrong set-up."""

from datetime import UTC, datetime

import pytest

from tests.support.simulator import API_VERSION, AT_ONCE, EVENT, INSTANCE, VAULT, Json, Simulator, code_of, publish


def test_when_the_request_log_is_read_then_it_has_each_request_without_its_secrets(
    simulator: Simulator,
) -> None:
    simulator.put(behaviour=AT_ONCE)
    token = simulator.token()
    started = datetime.now(UTC)

    simulator.sync(headers={"Authorization": f"Bearer {token}", "X-Mine": "1"})

    (entry,) = simulator.journal("sync")
    assert entry["n"] == 1
    assert entry["path"] == f"{INSTANCE}/sync"
    assert (entry["method"], entry["status"]) == ("POST", 202)
    assert entry["query"] == f"api-version={API_VERSION}"
    assert entry["body"] == {"syncType": "Default"}
    assert entry["headers"]["authorization"] == "Bearer <redacted>"
    assert entry["headers"]["x-mine"] == "1"
    assert entry["at"].endswith("Z")
    assert abs((datetime.fromisoformat(entry["at"]) - started).total_seconds()) < 5
    assert token not in simulator.control("GET", "requests").text
    assert simulator.ready["identityHeader"] not in simulator.control("GET", "requests").text


def test_when_the_request_log_is_read_on_then_only_what_is_new_comes(simulator: Simulator) -> None:
    simulator.put()
    simulator.read()
    following = simulator.control("GET", "requests").json()["next"]

    assert simulator.control("GET", f"requests?since={following}").json() == {
        "next": following,
        "requests": [],
    }
    simulator.read()

    news = simulator.control("GET", f"requests?since={following}").json()["requests"]
    assert [entry["kind"] for entry in news] == ["token", "instance"]
    assert news[0]["n"] == following


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("settings", {"latency": 1}, "latency"),
        ("settings", {"latencySeconds": -1}, "latencySeconds"),
        ("settings", {"syncFaults": [{"status": 42}]}, "syncFaults"),
        ("settings", {"syncFaults": [{}]}, "syncFaults"),
        ("settings", {"syncFaults": [{"status": 503, "kind": "reset"}]}, "syncFaults"),
        ("settings", {"syncStatus": 204}, "syncStatus"),
        ("settings", {"omitAsyncHeader": 1}, "omitAsyncHeader"),
        ("settings", {"retryAfter": "soon"}, "retryAfter"),
        ("settings", {"pageSize": 0}, "pageSize"),
        ("instances", {"id": VAULT}, VAULT),
        ("instances", {"id": INSTANCE, "state": "x"}, "state"),
        ("instances", {"id": INSTANCE, "behaviour": {"finalStatus": "Done"}}, "finalStatus"),
    ],
)
def test_when_the_simulation_is_set_up_wrong_then_the_answer_names_what_is_wrong(
    simulator: Simulator, path: str, body: Json, named: str
) -> None:
    answer = simulator.session.put(f"{simulator.url}/_simulator/{path}", json=body, timeout=10)

    assert (answer.status_code, code_of(answer)) == (400, "InvalidSimulation")
    assert named in answer.json()["error"]["message"]


def test_when_the_simulator_is_reset_then_it_is_as_freshly_started(simulator: Simulator) -> None:
    simulator.put()
    simulator.set(latencySeconds=30, topicFaults=[{"status": 503}])

    simulator.control("POST", "reset")

    assert simulator.journal() == []
    assert simulator.read().status_code == 404
    assert publish(simulator, [EVENT]).status_code == 200
