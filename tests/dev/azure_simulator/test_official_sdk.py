"""The simulator passes for Azure with Azure's own libraries, unmodified and on the real credential class."""

from collections.abc import Iterator

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient
from azure.identity import ManagedIdentityCredential
from azure.mgmt.dataprotection import DataProtectionMgmtClient
from azure.mgmt.dataprotection.models import (
    BackupInstance,
    OperationJobExtendedInfo,
    SyncBackupInstanceRequest,
    UserFacingError,
)

from tests.support.simulator import SUBSCRIPTION, VAULT, Simulator

PLACE = ("testRG", "testVault")
DEFAULT = SyncBackupInstanceRequest(sync_type="Default")
QUICK = {"operationSeconds": 0.3, "retryAfter": 0.1}
FAILURE = {"code": "UserErrorKeyVaultGone", "message": "The key vault was not found."}


@pytest.fixture
def client(in_azure: Simulator) -> Iterator[DataProtectionMgmtClient]:
    with (
        ManagedIdentityCredential() as credential,
        DataProtectionMgmtClient(credential, SUBSCRIPTION, base_url=in_azure.url) as client,
    ):
        yield client


def protection(client: DataProtectionMgmtClient, name: str = "testBI") -> BackupInstance:
    properties = client.backup_instances.get(*PLACE, name).properties
    assert properties
    return properties


def sync(client: DataProtectionMgmtClient) -> None:
    client.backup_instances.begin_sync_backup_instance(*PLACE, "testBI", DEFAULT, polling_interval=0.1).result()


def test_given_a_failing_instance_when_the_sdk_syncs_it_then_it_waits_for_the_end_and_finds_it_protected(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    simulator.put(behaviour=QUICK)
    assert protection(client).current_protection_state == "ProtectionError"

    sync(client)

    after = protection(client)
    assert after.current_protection_state == "ProtectionConfigured"
    assert after.protection_status
    assert after.protection_status.status == "ProtectionConfigured"
    assert after.protection_error_details is None
    assert len(simulator.journal("sync")) == 1
    assert len(simulator.journal("operationStatus")) >= 2
    assert len(simulator.journal("token")) == 1


@pytest.mark.parametrize("status", ["Failed", "Canceled"])
def test_given_an_operation_that_ends_badly_when_the_sdk_waits_for_it_then_it_raises_the_operations_error(
    simulator: Simulator, client: DataProtectionMgmtClient, status: str
) -> None:
    simulator.put(behaviour={**QUICK, "finalStatus": status, "finalError": FAILURE})

    with pytest.raises(HttpResponseError) as raised:
        sync(client)

    assert raised.value.error is not None
    assert raised.value.error.code == FAILURE["code"]
    after = protection(client)
    assert after.current_protection_state == "ProtectionError"
    assert isinstance(after.protection_error_details, UserFacingError)
    assert after.protection_error_details.code == FAILURE["code"]


def test_given_no_status_url_when_the_sdk_follows_the_location_then_it_comes_to_the_end(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    simulator.put(behaviour={**QUICK, "omitAsyncHeader": True})

    sync(client)

    assert [entry["status"] for entry in simulator.journal("operationResults")][-1] == 200
    assert len(simulator.journal("operationResults")) >= 2
    assert not simulator.journal("operationStatus")


def test_given_no_status_url_and_a_failure_when_the_sdk_follows_the_location_then_it_raises_the_error(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    simulator.put(behaviour={**QUICK, "omitAsyncHeader": True, "finalStatus": "Failed", "finalError": FAILURE})

    with pytest.raises(HttpResponseError) as raised:
        sync(client)

    assert raised.value.error is not None
    assert raised.value.error.code == FAILURE["code"]


def test_given_an_ended_operation_when_the_sdk_reads_its_status_then_it_names_the_job(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    simulator.put(behaviour={"operationSeconds": 0})
    accepted = simulator.sync()
    operation_id = accepted.headers["Azure-AsyncOperation"].split("/")[-1].split("?")[0]

    operation = client.operation_status_backup_vault_context.get(*PLACE, operation_id)

    assert operation.status == "Succeeded"
    assert operation.name == operation_id
    assert operation.start_time
    assert operation.end_time
    assert isinstance(operation.properties, OperationJobExtendedInfo)
    assert operation.properties.job_id
    assert "/backupJobs/" in operation.properties.job_id


def test_given_more_instances_than_a_page_holds_when_the_sdk_lists_them_then_it_follows_the_links_to_all(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    names = [f"instance-{number}" for number in range(7)]
    for name in names:
        simulator.put(f"{VAULT}/backupInstances/{name}")
    simulator.set(pageSize=3)

    listed = [instance.name for instance in client.backup_instances.list(*PLACE)]

    assert listed == names
    assert len(simulator.journal("instances")) == 3


def test_given_a_throttled_subscription_when_the_sdk_syncs_then_it_waits_and_tries_again(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    simulator.put(behaviour={**QUICK, "syncFaults": [{"status": 429, "headers": {"Retry-After": "0"}}]})

    sync(client)

    assert [entry["status"] for entry in simulator.journal("sync")] == [429, 202]


def test_given_a_user_assigned_identity_when_the_credential_asks_for_a_token_then_it_gets_one_for_a_day(
    in_azure: Simulator,
) -> None:
    with ManagedIdentityCredential(client_id="11111111-2222-3333-4444-555555555555") as credential:
        token = credential.get_token("https://management.azure.com/.default")

    answer = in_azure.arm("GET", VAULT, headers={"Authorization": f"Bearer {token.token}"})
    assert answer.status_code != 401
    (asked,) = in_azure.journal("token")
    assert "client_id=11111111-2222-3333-4444-555555555555" in asked["query"]
    assert in_azure.ready["identityHeader"] not in str(asked)


def test_given_a_topic_when_the_sdk_publishes_cloud_events_then_the_topic_has_them_in_order(
    in_azure: Simulator,
) -> None:
    events = [
        CloudEvent(source="/app", type="Remediation.Healed", subject=VAULT, id=f"event-{n}", data={"n": n})
        for n in range(2)
    ]

    with (
        ManagedIdentityCredential() as credential,
        EventGridPublisherClient(in_azure.ready["topicEndpoint"], credential) as publisher,
    ):
        publisher.send(events)
        publisher.send(events[0])

    received = in_azure.events()
    assert [event["id"] for event in received] == ["event-0", "event-1", "event-0"]
    assert received[1]["data"] == {"n": 1}
    assert received[1]["subject"] == VAULT
