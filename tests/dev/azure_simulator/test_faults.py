"""The faults and the latency that the simulated Azure can be told to have."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.support.simulator import AT_ONCE, INSTANCE, VAULT, Simulator, code_of, properties_of


def test_given_faults_for_the_sync_when_it_is_repeated_then_each_is_used_once_and_then_all_is_well(
    simulator: Simulator,
) -> None:
    simulator.put(
        behaviour={
            "syncFaults": [
                {"status": 429, "headers": {"Retry-After": "3", "x-ms-request-id": "fault"}},
                {"status": 503, "body": "<html>busy</html>"},
                {"status": 500, "body": {"error": {"code": "Mine"}}},
            ]
        }
    )

    throttled, busy, broken, fine = (simulator.sync() for _ in range(4))

    assert (throttled.status_code, code_of(throttled)) == (429, "SubscriptionRequestsThrottled")
    assert throttled.headers["Retry-After"] == "3"
    assert throttled.headers["x-ms-request-id"] == "fault"
    assert (busy.status_code, busy.text) == (503, "<html>busy</html>")
    assert (broken.status_code, code_of(broken)) == (500, "Mine")
    assert fine.status_code == 202


def test_given_faults_for_reads_and_polls_when_they_are_repeated_then_each_has_its_own_list(
    simulator: Simulator,
) -> None:
    simulator.put(behaviour={**AT_ONCE, "readFaults": [{"status": 404}], "pollFaults": [{"status": 502}] * 2})
    accepted = simulator.sync()

    polls = [
        simulator.arm("GET", accepted.headers[name]).status_code
        for name in ("Azure-AsyncOperation", "Location", "Azure-AsyncOperation")
    ]
    reads = [simulator.read().status_code for _ in range(2)]

    assert polls == [502, 502, 200]
    assert reads == [404, 200]


def test_given_faults_in_the_settings_when_instances_are_synced_then_each_instance_meets_them(
    simulator: Simulator,
) -> None:
    other = f"{VAULT}/backupInstances/other"
    exempt = f"{VAULT}/backupInstances/exempt"
    simulator.put(INSTANCE)
    simulator.put(other)
    simulator.put(exempt, behaviour={"syncFaults": []})
    simulator.set(syncFaults=[{"status": 503}], operationSeconds=0)

    first = [simulator.sync(instance_id).status_code for instance_id in (INSTANCE, other, exempt)]
    second = [simulator.sync(instance_id).status_code for instance_id in (INSTANCE, other, exempt)]
    simulator.set(syncFaults=[{"status": 500}])

    assert (first, second) == ([503, 503, 202], [202, 202, 202])
    assert simulator.sync().status_code == 500


def test_given_a_reset_when_a_sync_is_sent_then_the_connection_breaks_and_nothing_was_started(
    simulator: Simulator,
) -> None:
    simulator.put(behaviour={"syncFaults": [{"kind": "reset"}]})

    with pytest.raises(requests.ConnectionError):
        simulator.sync()

    assert [entry["status"] for entry in simulator.journal("sync")] == [None]
    assert properties_of(simulator)["currentProtectionState"] == "ProtectionError"
    assert simulator.sync().status_code == 202


def test_given_latency_when_many_call_at_once_then_each_waits_for_it_but_not_for_the_others(
    simulator: Simulator,
) -> None:
    simulator.put()
    simulator.set(latencySeconds=0.5)
    headers = {"Authorization": f"Bearer {simulator.token()}"}
    before = time.monotonic()

    with ThreadPoolExecutor(10) as threads:
        statuses = list(threads.map(lambda _: simulator.read(headers=headers).status_code, range(10)))

    assert statuses == [200] * 10
    assert 0.5 <= time.monotonic() - before < 2.5
