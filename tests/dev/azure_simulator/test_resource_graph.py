"""The simulated Resource Graph passes for Azure's with Azure's own client, as far as it claims to."""

from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.resourcegraph import ResourceGraphClient
from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions, QueryResponse

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
