"""The simulated Resource Graph passes for Azure's with Azure's own client, as far as it claims to."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.resourcegraph import ResourceGraphClient
from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions, QueryResponse

from shared.clients.backup_inventory import COUNT_QUERY, INSTANCES_QUERY, JOBS_QUERY, POLICIES_QUERY
from tests.support.simulator import SUBSCRIPTION, VAULT, Simulator, code_of

OTHER = SUBSCRIPTION.replace("0", "1")
ELSEWHERE = VAULT.replace(SUBSCRIPTION, OTHER)
BROKEN = (
    "recoveryservicesresources | where type =~ 'Microsoft.DataProtection/backupVaults/backupInstances'"
    " | extend state = tostring(properties.currentProtectionState)"
    " | where state in~ ('protectionerror', 'ConfiguringProtectionFailed') | project id, state | order by id asc"
)


@pytest.fixture
def client(in_azure: Simulator) -> Iterator[ResourceGraphClient]:
    with (
        ManagedIdentityCredential() as credential,
        ResourceGraphClient(credential, base_url=in_azure.url, retry_total=1) as client,
    ):
        yield client


def query(
    client: ResourceGraphClient, text: str, subscriptions: list[str] | None = None, **options: Any
) -> QueryResponse:
    request = QueryRequest(query=text, subscriptions=subscriptions, options=QueryRequestOptions(**options))
    return client.resources(request)


def ids(answer: QueryResponse) -> list[str]:
    rows: Any = answer.data
    return [row["id"] for row in rows]


def put(simulator: Simulator, *names: str, vault: str = VAULT, **properties: object) -> list[str]:
    instances = [f"{vault}/backupInstances/{name}" for name in names]
    for instance in instances:
        simulator.put(instance, **properties)
    return instances


def test_given_healthy_and_broken_instances_when_the_sdk_asks_for_the_broken_ones_then_it_gets_just_these(
    simulator: Simulator, client: ResourceGraphClient
) -> None:
    put(simulator, "well", protectionState="ProtectionConfigured")
    put(simulator, "stopped", protectionState="ProtectionStopped")
    broken = put(simulator, "error") + put(simulator, "failed", protectionState="ConfiguringProtectionFailed")

    answer = query(client, BROKEN)

    assert ids(answer) == broken
    assert (answer.total_records, answer.count, answer.result_truncated) == (2, 2, "false")


def test_given_instances_in_two_subscriptions_when_the_sdk_names_one_then_it_gets_those_of_this_one(
    simulator: Simulator, client: ResourceGraphClient
) -> None:
    put(simulator, "here")
    there = put(simulator, "there", vault=ELSEWHERE)

    assert ids(query(client, BROKEN, [OTHER.upper()])) == there


def test_given_instances_in_two_subscriptions_when_the_sdk_counts_them_then_it_gets_a_row_for_each_subscription(
    simulator: Simulator, client: ResourceGraphClient
) -> None:
    put(simulator, "one", "two")
    put(simulator, "there", vault=ELSEWHERE)

    rows: Any = query(client, COUNT_QUERY).data
    assert {row["subscriptionId"]: row["instances"] for row in rows} == {SUBSCRIPTION: 2, OTHER: 1}


@pytest.mark.parametrize("counts", [[3, 3, 1], [3, 3]])
def test_given_more_rows_than_a_page_holds_when_the_sdk_follows_the_skip_tokens_then_it_gets_each_row_once(
    simulator: Simulator, client: ResourceGraphClient, counts: list[int]
) -> None:
    broken = put(simulator, *(f"bi-{number}" for number in range(sum(counts))))

    pages = [query(client, BROKEN, top=3)]
    while pages[-1].skip_token:
        pages.append(query(client, BROKEN, top=3, skip_token=pages[-1].skip_token))

    assert [page.count for page in pages] == counts
    assert [each for page in pages for each in ids(page)] == broken


def test_given_a_throttled_identity_when_the_sdk_asks_then_it_waits_and_asks_again(
    simulator: Simulator, client: ResourceGraphClient
) -> None:
    broken = put(simulator, "error")
    simulator.set(graphFaults=[{"status": 429, "headers": {"Retry-After": "0"}}])

    assert ids(query(client, BROKEN)) == broken
    assert [entry["status"] for entry in simulator.journal("graph")] == [429, 200]


def test_every_answer_tells_the_quota(simulator: Simulator) -> None:
    put(simulator, "error")
    answer = simulator.arm("POST", "/providers/Microsoft.ResourceGraph/resources", json={"query": BROKEN})
    assert int(answer.headers["x-ms-user-quota-remaining"]) < 15
    assert answer.headers["x-ms-user-quota-resets-after"] == "00:00:05"


@pytest.mark.parametrize(
    "text",
    [
        "resources",
        BROKEN.replace("recoveryservicesresources", "resources"),
        BROKEN.replace("state in~", "other in~"),
        BROKEN.replace(" | order by id asc", ""),
        f"{BROKEN} | take 5",
    ],
)
def test_given_a_query_that_it_does_not_understand_when_the_sdk_asks_then_it_is_refused(
    simulator: Simulator, client: ResourceGraphClient, text: str
) -> None:
    put(simulator, "error")

    with pytest.raises(HttpResponseError) as raised:
        query(client, text)

    assert raised.value.status_code == 400
    assert raised.value.error is not None
    assert raised.value.error.code == "BadRequest"


def test_given_only_subscriptions_that_do_not_exist_when_the_sdk_asks_then_it_is_refused(
    simulator: Simulator, client: ResourceGraphClient
) -> None:
    put(simulator, "error")

    with pytest.raises(HttpResponseError, match="BadRequest") as raised:
        query(client, BROKEN, [OTHER])

    assert "NoValidSubscriptionsInQueryRequest" in str(raised.value)


def test_a_skip_token_that_was_not_given_out_is_refused(client: ResourceGraphClient) -> None:
    with pytest.raises(HttpResponseError, match="skipToken"):
        query(client, BROKEN, skip_token="other")


def test_a_query_without_a_token_is_refused(simulator: Simulator) -> None:
    answer = simulator.arm("POST", "/providers/Microsoft.ResourceGraph/resources", json={"query": BROKEN}, headers={})
    assert (answer.status_code, code_of(answer)) == (401, "AuthenticationFailed")


def minutes_ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()


def test_given_scheduled_jobs_when_the_sdk_asks_for_those_that_failed_then_it_gets_no_other(
    simulator: Simulator, client: ResourceGraphClient
) -> None:
    error = {"code": "UserErrorSnapshotLimit", "message": "Too many snapshots."}
    jobs = [
        {"started": minutes_ago(90), "error": error},
        {"started": minutes_ago(60), "isUserTriggered": True},
        {"started": minutes_ago(30), "status": "Completed"},
    ]
    [instance] = put(simulator, "bi", protectionState="ProtectionConfigured", jobs=jobs)

    rows: Any = query(client, JOBS_QUERY).data

    [row] = rows
    assert (row["instanceId"], row["status"], row["errorCode"]) == (instance, "Failed", "UserErrorSnapshotLimit")
    assert row["startTime"] < row["endTime"]


def test_given_two_instances_of_one_policy_when_the_sdk_asks_for_policies_then_it_gets_it_once(
    simulator: Simulator, client: ResourceGraphClient
) -> None:
    put(simulator, "a", "b", policy={"interval": "PT4H"})

    rows: Any = query(client, POLICIES_QUERY).data

    [row] = rows
    [rule] = [each for each in row["policyRules"] if each["objectType"] == "AzureBackupRule"]
    assert row["id"] == f"{VAULT}/backupPolicies/daily"
    assert rule["trigger"]["schedule"]["repeatingTimeIntervals"][0].endswith("/PT4H")


def test_given_points_when_the_sdk_asks_for_well_instances_then_it_gets_the_newest_and_the_policy_of_each(
    simulator: Simulator, client: ResourceGraphClient
) -> None:
    put(simulator, "broken")
    put(simulator, "none", protectionState="ProtectionConfigured")
    points = [minutes_ago(90), minutes_ago(30)]
    put(simulator, "some", protectionState="ProtectionConfigured", recoveryPoints=points)

    rows: Any = query(client, INSTANCES_QUERY).data

    assert [row["id"].rpartition("/")[2] for row in rows] == ["none", "some"]
    assert rows[0]["latestPoint"] == "0001-01-01T00:00:00Z"
    assert datetime.fromisoformat(rows[1]["latestPoint"]) == datetime.fromisoformat(points[1])
    assert rows[1]["policyId"] == f"{VAULT}/backupPolicies/daily"
