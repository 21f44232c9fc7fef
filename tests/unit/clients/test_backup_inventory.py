"""Resource Graph's rows about policies, failed jobs and well instances: rows, pages, and how much of them is kept."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from shared.clients import backup_inventory
from shared.clients.arm_transport import ArmTransport
from shared.clients.backup_inventory import (
    INSTANCES_QUERY,
    JOBS_QUERY,
    POLICIES_QUERY,
    BackupInventory,
    read_instance,
    read_job,
    read_policy,
)
from shared.clients.resource_graph import QueryFailed, ResourceGraph
from shared.domain.arm_results import Refused, TransientFailure
from shared.domain.finding import assess
from tests.support.clock import Clock
from tests.support.json_values import json_values
from tests.support.remediations import INSTANCE, NOW

VAULT = str(INSTANCE).rpartition("/backupInstances")[0]
POLICY = f"{VAULT}/backupPolicies/Daily"
RULE = {
    "name": "BackupDaily",
    "objectType": "AzureBackupRule",
    "trigger": {"schedule": {"repeatingTimeIntervals": ["R/2024-01-01T02:00:00+00:00/P1D"]}},
}
RETENTION = {"name": "Default", "objectType": "AzureRetentionRule"}
JOB_ROW = {
    "id": f"{VAULT}/backupJobs/job-1",
    "instanceId": str(INSTANCE),
    "status": "Failed",
    "startTime": "2026-01-02T01:04:05.1234567Z",
    "endTime": "2026-01-02T02:04:05Z",
    "errorCode": "UserErrorSnapshotLimit",
}
INSTANCE_ROW = {"id": str(INSTANCE), "policyId": POLICY, "latestPoint": "2026-01-01T02:00:00.1234567Z"}


class ScriptedGraph:
    """Answers each query with pages that are made when they are asked for."""

    def __init__(self, page_of: Callable[[int], tuple[list[Any], bool]]) -> None:
        self.page_of = page_of
        self.sleeps: list[float] = []
        self.clock = Clock()
        self.asked = 0
        self.quota = 15
        self.refuses_from: int | None = None
        """The first page that is refused."""

    def send(self, method: str, url: str, request_id: str | None = None, body: Any = None) -> requests.Response:
        self.asked += 1
        self.quota -= 1
        number = int(body["options"].get("$skipToken", "0"))
        rows, is_last = self.page_of(number)
        answer = {"data": rows} if is_last else {"data": rows, "$skipToken": str(number + 1)}
        response = requests.Response()
        response.status_code = 200
        response._content = json.dumps(answer).encode()
        if number == self.refuses_from:
            response.status_code = 403
            response._content = b'{"error": {"code": "AuthorizationFailed", "message": "no"}}'
        response.headers["x-ms-user-quota-remaining"] = str(self.quota)
        response.headers["x-ms-user-quota-resets-after"] = "00:00:05"
        return response

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.clock.advance(seconds)
        self.quota = 15

    def inventory(self) -> BackupInventory:
        transport = cast(ArmTransport, self)
        return BackupInventory(ResourceGraph("https://arm", (), transport, self.clock, self.sleep))


def pages(*contents: list[Any]) -> ScriptedGraph:
    return ScriptedGraph(lambda number: (contents[number], number == len(contents) - 1))


@pytest.fixture
def deadline() -> datetime:
    return NOW + timedelta(minutes=10)


def test_instances_are_counted_over_all_subscriptions_and_pages(deadline: datetime) -> None:
    broken: list[Any] = [None, {}, {"instances": "3"}, {"instances": -1}]
    graph = pages([{"subscriptionId": "1", "instances": 3}], [*broken, {"subscriptionId": "2", "instances": 4}])
    assert graph.inventory().count(deadline) == 7


def test_a_policy_is_read_with_its_interval() -> None:
    read = read_policy({"id": POLICY.upper(), "policyRules": [RETENTION, RULE]})
    assert read is not None
    assert (read[0], read[1].interval, read[1].is_continuous) == (POLICY.lower(), timedelta(days=1), False)


def test_a_policy_without_a_rule_for_backups_is_that_of_continuous_backup() -> None:
    read = read_policy({"id": POLICY, "policyRules": [RETENTION]})
    assert read is not None
    assert read[1].is_continuous


@pytest.mark.parametrize("rules", [None, [], {}, "R/2024-01-01T02:00:00+00:00/P1D"])
def test_a_policy_whose_rules_are_not_there_is_not_taken_for_continuous(rules: object) -> None:
    assert read_policy({"id": POLICY, "policyRules": rules}) is None


def test_a_failed_job_is_read_with_its_times_and_code() -> None:
    read = read_job(JOB_ROW)
    assert read is not None
    assert read[0] == str(INSTANCE).lower()
    assert (read[1].id, read[1].has_failed, read[1].error_code) == ("job-1", True, "UserErrorSnapshotLimit")
    assert (read[1].started_at.hour, read[1].ended_at.hour) == (1, 2)


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00Z", "", None, "2020-01-01T00:00:00Z"])
def test_a_job_that_does_not_say_when_it_ended_has_ended_when_it_started(end: object) -> None:
    read = read_job(JOB_ROW | {"endTime": end})
    assert read is not None
    assert read[1].ended_at == read[1].started_at


def test_a_job_that_runs_has_not_failed() -> None:
    read = read_job(JOB_ROW | {"status": "InProgress", "errorCode": ""})
    assert read is not None
    assert (read[1].has_failed, read[1].error_code) == (False, None)


def test_year_1_says_that_there_is_no_recovery_point() -> None:
    read = read_instance(INSTANCE_ROW | {"latestPoint": "0001-01-01T00:00:00Z"})
    assert read is not None
    assert read.latest_point is None


@pytest.mark.parametrize("point", ["", None, "yesterday", 5])
def test_of_an_instance_that_says_nothing_about_points_nothing_is_claimed(point: object) -> None:
    assert read_instance(INSTANCE_ROW | {"latestPoint": point}) is None


near_rows = st.fixed_dictionaries(
    {}, optional={key: json_values() | st.just(value) for key, value in (JOB_ROW | INSTANCE_ROW).items()}
) | st.fixed_dictionaries({"id": st.just(POLICY), "policyRules": json_values()})


@given(json_values() | near_rows)
def test_any_row_is_read_or_left_out(row: object) -> None:
    for read in (read_policy, read_job):
        assert read(row) is None or len(read(row) or ()) == 2
    found = read_instance(row)
    assert found is None or assess(found, None, None, timedelta(), NOW) is None


def test_of_each_instance_the_newest_job_is_kept(deadline: datetime) -> None:
    newer = JOB_ROW | {"id": f"{VAULT}/backupJobs/job-0", "startTime": "2026-01-02T03:00:00Z", "status": "InProgress"}
    older = JOB_ROW | {"id": f"{VAULT}/backupJobs/job-2", "startTime": "2026-01-01T01:00:00Z"}
    jobs = pages([newer], [JOB_ROW, older]).inventory().jobs(deadline)
    assert [(job.id, job.has_failed) for job in jobs.values()] == [("job-0", False)]


def test_no_more_jobs_are_kept_than_there_is_room_for(
    deadline: datetime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backup_inventory, "MAX_JOBS", 2)
    rows = [JOB_ROW | {"instanceId": f"{VAULT}/backupInstances/bi-{number}"} for number in range(5)]
    assert len(pages(rows).inventory().jobs(deadline)) == 2
    assert "sweep.incomplete" in caplog.text


def test_a_policy_is_found_by_its_id_in_any_casing(deadline: datetime) -> None:
    schedules = pages([{"id": POLICY.upper(), "policyRules": [RULE]}]).inventory().schedules(deadline)
    instance = read_instance(INSTANCE_ROW)
    assert instance is not None
    assert schedules[instance.policy_id].interval == timedelta(days=1)


def test_a_refusal_in_the_middle_is_told_after_what_came_before_it(deadline: datetime) -> None:
    graph = pages([INSTANCE_ROW], [])
    graph.refuses_from = 1
    instances = graph.inventory().instances(deadline)
    assert len(next(instances)) == 1
    with pytest.raises(QueryFailed) as raised:
        next(instances)
    assert isinstance(raised.value.result, Refused)


def test_with_the_time_used_up_the_query_ends(deadline: datetime) -> None:
    graph = ScriptedGraph(lambda number: ([INSTANCE_ROW], False))
    instances = graph.inventory().instances(deadline)
    next(instances)
    graph.clock.now = deadline + timedelta(seconds=1)
    with pytest.raises(QueryFailed) as raised:
        next(instances)
    assert graph.asked == 1
    assert isinstance(raised.value.result, TransientFailure)


def test_the_quota_of_resource_graph_is_kept(deadline: datetime) -> None:
    graph = ScriptedGraph(lambda number: ([INSTANCE_ROW], number == 44))
    assert sum(map(len, graph.inventory().instances(deadline))) == 45
    assert graph.sleeps == [5.0, 5.0]


def million(page_count: int) -> ScriptedGraph:
    """A thousand instances on each page, one of them with an old point."""

    def page(number: int) -> tuple[list[Any], bool]:
        names = (f"{VAULT}/backupInstances/bi-{number:05d}-{row:04d}" for row in range(1000))
        rows = [INSTANCE_ROW | {"id": name} for name in names]
        rows[0]["latestPoint"] = "2025-12-01T02:00:00Z"
        return rows, number == page_count - 1

    return ScriptedGraph(page)


def peak_bytes(page_count: int) -> int:
    instances: Iterator[Any] = million(page_count).inventory().instances(NOW + timedelta(hours=1))
    tracemalloc.start()
    try:
        assert sum(len(page) for page in instances) == page_count * 1000
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ten_times_as_many_instances_take_no_more_memory() -> None:
    few, many = peak_bytes(2), peak_bytes(20)
    assert many < 1.2 * few


@pytest.mark.parametrize("query", [POLICIES_QUERY, JOBS_QUERY, INSTANCES_QUERY])
def test_each_query_can_be_paged(query: str) -> None:
    assert query.endswith(" | order by id asc")
    assert "| project id, " in query
