"""Backups of the simulated instances, with Azure's own library: policies, jobs, recovery points, backups on demand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.dataprotection import DataProtectionMgmtClient
from azure.mgmt.dataprotection.models import (
    AdHocBackupRuleOptions,
    AdhocBackupTriggerOption,
    AzureBackupDiscreteRecoveryPoint,
    AzureBackupFindRestorableTimeRangesRequest,
    AzureBackupJob,
    AzureBackupRule,
    BackupPolicy,
    TriggerBackupRequest,
)

from tests.support.processes import until
from tests.support.simulator import INSTANCE, SUBSCRIPTION, Simulator

PLACE = ("testRG", "testVault")
POINT = datetime(2026, 1, 1, 2, 0, tzinfo=UTC)
FAST = {"operationSeconds": 0, "retryAfter": 0, "backupSeconds": 0}
BLOB = {"name": "blobs", "isContinuous": True}


@pytest.fixture
def client(in_azure: Simulator) -> Iterator[DataProtectionMgmtClient]:
    with (
        ManagedIdentityCredential() as credential,
        DataProtectionMgmtClient(credential, SUBSCRIPTION, base_url=in_azure.url) as client,
    ):
        yield client


def put(simulator: Simulator, **properties: object) -> None:
    simulator.put(INSTANCE, protectionState="ProtectionConfigured", **{"behaviour": FAST, **properties})


def back_up(client: DataProtectionMgmtClient, rule: str = "BackupDaily", tag: str = "Default") -> str:
    """The id of the job."""
    option = AdhocBackupTriggerOption(retention_tag_override=tag)
    options = AdHocBackupRuleOptions(rule_name=rule, trigger_option=option)
    request = TriggerBackupRequest(backup_rule_options=options)
    ended = client.backup_instances.begin_adhoc_backup(*PLACE, "testBI", request, polling_interval=0.1).result()
    return str(ended.job_id).rpartition("/")[2]


def points(client: DataProtectionMgmtClient) -> list[AzureBackupDiscreteRecoveryPoint]:
    listed = [each.properties for each in client.recovery_points.list(*PLACE, "testBI")]
    discrete = [each for each in listed if isinstance(each, AzureBackupDiscreteRecoveryPoint)]
    assert len(discrete) == len(listed)
    return discrete


def job(client: DataProtectionMgmtClient, job_id: str) -> AzureBackupJob:
    properties = client.jobs.get(*PLACE, job_id).properties
    assert properties
    return properties


def test_given_points_when_the_sdk_lists_them_then_the_newest_is_first(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    older = POINT - timedelta(days=1)
    put(simulator, recoveryPoints=[older.isoformat(), POINT.isoformat()])
    assert [each.recovery_point_time for each in points(client)] == [POINT, older]


def test_given_a_policy_when_the_sdk_reads_it_then_it_names_the_rule_the_interval_and_the_default_tag(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    put(simulator, policy={"name": "hourly", "ruleName": "BackupHourly", "interval": "PT4H"})
    policy = client.backup_policies.get(*PLACE, "hourly").properties
    assert isinstance(policy, BackupPolicy)
    (rule,) = [each for each in policy.policy_rules if isinstance(each, AzureBackupRule)]
    trigger = rule.trigger.as_dict()
    assert rule.name == "BackupHourly"
    assert trigger["schedule"]["repeatingTimeIntervals"][0].endswith("/PT4H")
    assert trigger["taggingCriteria"][0]["tagInfo"]["tagName"] == "Default"


def test_given_a_healthy_instance_when_the_sdk_backs_it_up_then_the_job_completes_and_there_is_a_new_point(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    put(simulator, recoveryPoints=[POINT.isoformat()])
    job_id = back_up(client)
    ended = job(client, job_id)
    assert (ended.status, ended.is_user_triggered, ended.operation_category) == ("Completed", True, "Backup")
    assert ended.extended_info
    assert ended.extended_info.target_recover_point
    assert ended.extended_info.target_recover_point.recovery_point_id == points(client)[0].recovery_point_id
    assert len(points(client)) == 2


def test_given_a_slow_job_when_the_operation_has_ended_then_the_job_goes_on_and_then_leaves_its_point(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    put(simulator, behaviour={**FAST, "backupSeconds": 1.5})
    job_id = back_up(client)
    assert (job(client, job_id).status, points(client)) == ("InProgress", [])
    until(lambda: points(client), "the recovery point", 10)
    assert job(client, job_id).status == "Completed"


def test_given_a_job_that_fails_when_it_is_read_then_it_has_its_error_and_no_point(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    error = {"code": "UserErrorKubernetesBackupClusterIsStopped", "message": "The cluster is stopped."}
    put(simulator, behaviour={**FAST, "backupStatus": "Failed", "backupError": error})
    ended = job(client, back_up(client))
    assert ended.error_details
    assert (ended.status, ended.error_details[0].code, points(client)) == ("Failed", error["code"], [])


def test_given_the_daily_limit_when_the_sdk_backs_up_then_the_operation_fails_with_its_code(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    refusal = {"code": "UserErrorBackupRequestThrottled", "message": "The daily limit is reached."}
    put(simulator, behaviour={**FAST, "backupRefusal": refusal})
    with pytest.raises(HttpResponseError) as raised:
        back_up(client)
    assert raised.value.error is not None
    assert raised.value.error.code == refusal["code"]


@pytest.mark.parametrize(("rule", "tag"), [("BackupWeekly", "Default"), ("BackupDaily", "Gold")])
def test_given_a_rule_or_tag_that_the_policy_has_not_when_the_sdk_backs_up_then_it_is_refused(
    simulator: Simulator, client: DataProtectionMgmtClient, rule: str, tag: str
) -> None:
    put(simulator)
    with pytest.raises(HttpResponseError) as raised:
        back_up(client, rule, tag)
    assert raised.value.status_code == 400


def test_given_a_failed_nightly_job_when_the_sdk_lists_jobs_then_it_is_there(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    put(simulator, jobs=[{"started": POINT.isoformat(), "status": "Failed"}])
    (listed,) = client.jobs.list(*PLACE)
    assert listed.properties
    assert (listed.properties.status, listed.properties.start_time) == ("Failed", POINT)


def test_given_continuous_backup_when_the_sdk_asks_then_there_are_time_ranges_and_no_backup_on_demand(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    older = POINT - timedelta(days=1)
    put(simulator, policy=BLOB, recoveryPoints=[older.isoformat(), POINT.isoformat()])
    request = AzureBackupFindRestorableTimeRangesRequest(source_data_store_type="OperationalStore")
    found = client.restorable_time_ranges.find(*PLACE, "testBI", request).properties
    assert found
    assert found.restorable_time_ranges
    (only,) = found.restorable_time_ranges
    assert (only.start_time[:19], only.end_time[:19]) == (older.isoformat()[:19], POINT.isoformat()[:19])
    with pytest.raises(HttpResponseError):
        back_up(client)


def test_given_a_replaced_instance_when_its_points_are_listed_then_the_old_ones_are_gone(
    simulator: Simulator, client: DataProtectionMgmtClient
) -> None:
    put(simulator, recoveryPoints=[POINT.isoformat()])
    simulator.put(INSTANCE)
    assert points(client) == []
