"""The search for findings among a million instances: complete, within Resource Graph's quota, in little memory."""

import json
import tracemalloc
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import pytest
import requests
from azure.data.tables import TableClient

from shared.clients.arm_transport import ArmTransport
from shared.clients.backup_inventory import INSTANCES_QUERY, JOBS_QUERY, POLICIES_QUERY, BackupInventory
from shared.clients.resource_graph import ResourceGraph
from shared.domain.finding import Finding
from shared.healing.finding_search import FindingSearch
from shared.settings import Settings
from shared.storage.first_points import FirstPoints
from tests.support.clock import Clock
from tests.support.memory_table import MemoryTable
from tests.support.remediations import INSTANCE, NOW

INSTANCES, PAGE = 1_000_000, 1_000
VAULT = str(INSTANCE).rpartition("/backupInstances")[0]
POLICY = f"{VAULT}/backupPolicies/daily"
RULE = {
    "name": "BackupDaily",
    "objectType": "AzureBackupRule",
    "trigger": {"schedule": {"repeatingTimeIntervals": ["R/2024-01-01T02:00:00+00:00/P1D"]}},
}
QUOTA = 15
TRACED_FROM = 900
"""The page from which memory is measured: what kept a kilobyte of each instance would have 100 MB of the last 100."""
MAX_BYTES = 20 * 1024 * 1024


class GraphOfMillions:
    """Makes each page when it is asked for; every page of instances has one with an old point and one that failed."""

    def __init__(self) -> None:
        self.clock, self.used, self.refused, self.asked = Clock(), 0, 0, 0
        fresh, old = (NOW - timedelta(hours=20)).isoformat(), (NOW - timedelta(days=3)).isoformat()
        self.page = json.dumps(
            [
                {
                    "id": f"{VAULT}/backupInstances/bi-NNNN-{row:04d}",
                    "policyId": POLICY,
                    "latestPoint": fresh if row else old,
                }
                for row in range(PAGE)
            ]
        )
        """Of instances; the number of the page is to be put in."""

    def send(self, method: str, url: str, request_id: str | None = None, body: Any = None) -> requests.Response:
        self.asked += 1
        self.used += 1
        self.refused += self.used > QUOTA
        page = int(body["options"].get("$skipToken", "0"))
        if body["query"] == INSTANCES_QUERY and page == TRACED_FROM:
            tracemalloc.start()
        response = requests.Response()
        response.status_code = 200
        response._content = self.answer(body["query"], page).encode()
        response.headers["x-ms-user-quota-remaining"] = str(max(QUOTA - self.used, 0))
        response.headers["x-ms-user-quota-resets-after"] = "00:00:05"
        return response

    def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.used = 0

    def answer(self, query: str, page: int) -> str:
        if query == INSTANCES_QUERY:
            token = f', "$skipToken": "{page + 1}"' if (page + 1) * PAGE < INSTANCES else ""
            return '{"data": ' + self.page.replace("-NNNN-", f"-{page:04d}-") + token + "}"
        return json.dumps({"data": self.rows(query)})

    def rows(self, query: str) -> Sequence[Any]:
        if query == POLICIES_QUERY:
            return [{"id": POLICY, "policyRules": [RULE]}]
        assert query == JOBS_QUERY
        start = (NOW - timedelta(hours=1)).isoformat()
        return [
            {
                "id": f"{VAULT}/backupJobs/{page}",
                "instanceId": f"{VAULT}/backupInstances/bi-{page:04d}-0001",
                "status": "Failed",
                "startTime": start,
            }
            for page in range(INSTANCES // PAGE)
        ]


@pytest.fixture
def graph() -> GraphOfMillions:
    return GraphOfMillions()


@pytest.mark.once
def test_a_million_instances_are_searched_to_the_end_within_quota_time_and_memory(graph: GraphOfMillions) -> None:
    client = ResourceGraph("https://arm", (), cast(ArmTransport, graph), graph.clock, graph.sleep)
    search = FindingSearch(
        BackupInventory(client),
        Settings().policy(),
        timedelta(hours=6),
        graph.clock,
        FirstPoints(cast(TableClient, MemoryTable())),
    )
    largest = 0

    def act(found: Sequence[Finding]) -> Sequence[str]:
        nonlocal largest
        largest = max(largest, len(found))
        return ()

    try:
        result = search.run(NOW + timedelta(minutes=9), act)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert result.error is None
    assert result.by_kind == {"Stale": 1000, "JobFailed": 1000}
    assert graph.refused == 0
    assert largest == 2
    assert peak < MAX_BYTES, peak
