"""The simulator's token buckets: pure ones on a clock of the test's own, and those behind its answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.azure_simulator.throttling import Bucket, Limit, Throttling
from tests.support.simulator import INSTANCE, SUBSCRIPTION, Json, Simulator, code_of

WRITES_LEFT = "x-ms-ratelimit-remaining-subscription-writes"
READS_LEFT = "x-ms-ratelimit-remaining-subscription-resource-requests"
AZURES = Limit(burst=200, per_second=10)
SLOWEST = {"writeBurst": 2, "writesPerSecond": 0.001}
"""So slow that no test sees a token come back."""


def taken(bucket: Bucket, now: float, asked: int) -> int:
    """How many of so many requests at one moment got a token."""
    return sum(bucket.take(now) == 0 for _ in range(asked))


def test_a_bucket_is_full_at_first_and_then_fills_at_its_rate() -> None:
    bucket = Bucket(AZURES, now=1000)
    assert taken(bucket, 1000, 500) == 200
    assert taken(bucket, 1001, 500) == 10
    assert taken(bucket, 1001.25, 500) == 2
    assert taken(bucket, 1001.31, 500) == 1


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    bucket = Bucket(AZURES, now=0)
    assert taken(bucket, 86_400, 500) == 200


def test_an_empty_bucket_says_when_its_next_token_is_there() -> None:
    bucket = Bucket(Limit(burst=1, per_second=0.25), now=0)
    assert bucket.take(0) == 0
    assert bucket.take(1) == 3
    assert bucket.take(4) == 0


def test_a_refused_request_costs_no_token() -> None:
    bucket = Bucket(Limit(burst=1, per_second=1), now=0)
    assert taken(bucket, 0, 1000) == 1
    assert taken(bucket, 1, 1000) == 1


@given(st.integers(1, 50), st.integers(1, 50), st.lists(st.floats(0, 5), min_size=1, max_size=200))
def test_no_stretch_of_time_sees_more_than_the_burst_and_the_refill(
    burst: int, per_second: int, waits: list[float]
) -> None:
    bucket = Bucket(Limit(burst, per_second), now=0)
    now, admitted = 0.0, []
    for wait in waits:
        now += wait
        if bucket.take(now) == 0:
            admitted.append(now)
    for first, begin in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= burst + (admitted[last] - begin) * per_second + 1e-6


@pytest.mark.parametrize(("per_second", "seconds"), [(0.4, 3), (100, 1)])
def test_retry_after_is_whole_seconds_and_long_enough(per_second: float, seconds: int) -> None:
    throttling = Throttling()
    throttling.set_limit(Limit(1, per_second))
    admitted, refused = (throttling.admit(SUBSCRIPTION, 0) for _ in range(2))
    assert admitted is not None
    assert refused is not None
    assert (admitted.retry_after, refused.retry_after) == (None, seconds)


def test_unless_it_is_set_up_nothing_is_throttled(simulator: Simulator) -> None:
    simulator.put(behaviour={"syncStatus": 200})
    answers = [simulator.sync() for _ in range(5)]
    assert {(answer.status_code, answer.headers[WRITES_LEFT]) for answer in answers} == {(200, "199")}


def test_writes_are_counted_down_and_then_refused_with_the_time_to_wait(simulator: Simulator) -> None:
    simulator.put(behaviour={"syncStatus": 200})
    simulator.set(**SLOWEST)

    answers = [simulator.sync() for _ in range(3)]

    assert [(answer.status_code, answer.headers[WRITES_LEFT]) for answer in answers] == [
        (200, "1"),
        (200, "0"),
        (429, "0"),
    ]
    assert READS_LEFT not in answers[0].headers
    assert code_of(answers[2]) == "SubscriptionRequestsThrottled"
    assert SUBSCRIPTION in answers[2].json()["error"]["message"]
    assert 900 < int(answers[2].headers["Retry-After"]) <= 1000


def test_a_refused_sync_starts_nothing_and_is_in_the_request_log(simulator: Simulator) -> None:
    simulator.put(behaviour={"syncStatus": 200})
    simulator.put(f"{INSTANCE}2", behaviour={"syncFaults": [{"status": 503}]})
    simulator.set(**SLOWEST)

    statuses = [simulator.sync(instance_id).status_code for instance_id in (INSTANCE, INSTANCE, f"{INSTANCE}2")]

    assert statuses == [200, 200, 429]
    assert [entry["status"] for entry in simulator.journal("sync")] == statuses
    assert simulator.read(f"{INSTANCE}2").json()["properties"]["currentProtectionState"] == "ProtectionError"
    simulator.set(writeBurst=1, writesPerSecond=1)
    assert simulator.sync(f"{INSTANCE}2").status_code == 503


def test_reads_are_not_limited(simulator: Simulator) -> None:
    simulator.put()
    simulator.set(**SLOWEST)
    answers = [simulator.read() for _ in range(3)]
    assert [(answer.status_code, answer.headers[READS_LEFT]) for answer in answers] == [(200, "998")] * 3


def test_each_subscription_has_its_own_bucket_in_any_casing(simulator: Simulator) -> None:
    elsewhere = INSTANCE.replace(SUBSCRIPTION, SUBSCRIPTION.replace("0", "1"))
    for instance_id in (INSTANCE, elsewhere):
        simulator.put(instance_id, behaviour={"syncStatus": 200})
    simulator.set(**SLOWEST)

    same = [simulator.sync(INSTANCE.replace(SUBSCRIPTION, SUBSCRIPTION.upper())).status_code for _ in range(2)]

    assert [*same, simulator.sync().status_code] == [200, 200, 429]
    assert simulator.sync(elsewhere).headers[WRITES_LEFT] == "1"


def test_a_request_without_a_good_token_is_not_counted(simulator: Simulator) -> None:
    simulator.put(behaviour={"syncStatus": 200})
    simulator.set(**SLOWEST)
    for _ in range(5):
        assert simulator.sync(headers={"Authorization": "Bearer junk"}).status_code == 401
    assert simulator.sync().headers[WRITES_LEFT] == "1"


def test_a_token_comes_back_with_time(simulator: Simulator) -> None:
    simulator.put(behaviour={"syncStatus": 200})
    simulator.set(writeBurst=1, writesPerSecond=2)

    def statuses() -> list[int]:
        return [simulator.sync().status_code for _ in range(20)]

    assert statuses().count(200) < 20
    simulator.set(writeBurst=1, writesPerSecond=1_000_000)
    assert statuses().count(200) == 20


def test_limits_that_are_set_anew_begin_with_full_buckets_and_a_reset_lifts_them(simulator: Simulator) -> None:
    simulator.put(behaviour={"syncStatus": 200})
    simulator.set(writeBurst=1, writesPerSecond=0.001)
    assert [simulator.sync().status_code for _ in range(2)] == [200, 429]
    simulator.set(**SLOWEST)
    assert [simulator.sync().status_code for _ in range(3)] == [200, 200, 429]
    simulator.control("POST", "reset")
    simulator.put(behaviour={"syncStatus": 200})
    assert [simulator.sync().headers[WRITES_LEFT] for _ in range(3)] == ["199"] * 3


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"writeBurst": 200}, "writesPerSecond"),
        ({"writesPerSecond": 10}, "writeBurst"),
        ({"writeBurst": 0, "writesPerSecond": 10}, "writeBurst"),
        ({"writeBurst": 1.5, "writesPerSecond": 10}, "writeBurst"),
        ({"writeBurst": 200, "writesPerSecond": 0}, "writesPerSecond"),
        ({"writeBurst": 200, "writesPerSecond": True}, "writesPerSecond"),
        ({"writeBurst": 200, "writesPerSecond": None}, "writesPerSecond"),
    ],
)
def test_limits_that_cannot_be_are_refused_by_name(simulator: Simulator, settings: Json, named: str) -> None:
    answer = simulator.session.put(f"{simulator.url}/_simulator/settings", json=settings, timeout=10)
    assert (answer.status_code, code_of(answer)) == (400, "InvalidSimulation")
    assert named in answer.json()["error"]["message"]
