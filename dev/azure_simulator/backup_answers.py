"""Backups in the form of the API version 2024-04-01: policies, jobs, recovery points, restorable time ranges.

Shapes: REST reference, "Backup Policies - Get", "Jobs - Get", "Recovery Points - List", "Restorable Time Ranges -
Find", and recordings of the tests of the CLI's extension `dataprotection`.
"""

from datetime import UTC, datetime

from dev.azure_simulator.backups import POINT_LIFETIME, Job, Policy, RecoveryPoint
from dev.azure_simulator.behaviour import Json
from dev.azure_simulator.vaults import Instance

NO_TIME = "0001-01-01T00:00:00Z"
"""The service's way to say that there is no time: also of points of completed jobs, whose id is right."""
_TYPE = "Microsoft.DataProtection/backupVaults"


def show_policy(instance: Instance, policy: Policy) -> Json:
    """`GET .../backupPolicies/{name}`."""
    retention: Json = {
        "name": policy.retention_tag,
        "isDefault": True,
        "objectType": "AzureRetentionRule",
        "lifecycles": [
            {
                "deleteAfter": {"duration": "P7D", "objectType": "AbsoluteDeleteOption"},
                "sourceDataStore": {"dataStoreType": "OperationalStore", "objectType": "DataStoreInfoBase"},
                "targetDataStoreCopySettings": [],
            }
        ],
    }
    rules = [retention] if policy.is_continuous else [_backup_rule(policy), retention]
    return {
        "id": f"{instance.id.vault_path}/backupPolicies/{policy.name}",
        "name": policy.name,
        "type": f"{_TYPE}/backupPolicies",
        "properties": {
            "objectType": "BackupPolicy",
            "datasourceTypes": [instance.data_source_type],
            "policyRules": rules,
        },
    }


def show_job(instance: Instance, job: Job, now: float) -> Json:
    """`GET .../backupJobs/{id}`."""
    has_ended = now >= job.ends
    properties: Json = {
        "activityID": job.id,
        "backupInstanceFriendlyName": instance.id.name,
        "backupInstanceId": str(instance.id),
        "dataSourceId": instance.data_source_id,
        "dataSourceLocation": "westeurope",
        "dataSourceName": instance.data_source_id.rpartition("/")[2],
        "dataSourceType": instance.data_source_type,
        "duration": f"PT{max(min(now, job.ends) - job.started, 0):.0f}S",
        "endTime": iso(job.ends) if has_ended else NO_TIME,
        "isUserTriggered": job.is_user_triggered,
        "operation": "Backup",
        "operationCategory": "Backup",
        "policyId": f"{instance.id.vault_path}/backupPolicies/{instance.backups.policy.name}",
        "policyName": instance.backups.policy.name,
        "progressEnabled": False,
        "sourceResourceGroup": instance.id.resource_group,
        "sourceSubscriptionID": instance.id.subscription,
        "startTime": iso(job.started),
        "status": job.status(now),
        "supportedActions": [""],
        "vaultName": instance.id.vault,
    }
    if has_ended and job.error:
        properties["errorDetails"] = [job.error]
    if has_ended and job.point:
        target = {"recoveryPointID": job.point.id, "recoveryPointTime": NO_TIME}
        properties["extendedInfo"] = {"targetRecoverPoint": target}
    path = f"{instance.id.vault_path}/backupJobs/{job.id}"
    return {"id": path, "name": job.id, "type": f"{_TYPE}/backupJobs", "properties": properties}


def show_point(instance: Instance, point: RecoveryPoint) -> Json:
    """An element of `GET .../recoveryPoints`."""
    store = {
        "id": "operational",
        "type": "OperationalStore",
        "state": "COMMITTED",
        "visible": True,
        "creationTime": iso(point.time),
        "expiryTime": iso(point.time + POINT_LIFETIME),
        "rehydrationStatus": None,
    }
    return {
        "id": f"{instance.id}/recoveryPoints/{point.id}",
        "name": point.id,
        "type": f"{_TYPE}/backupInstances/recoveryPoints",
        "properties": {
            "objectType": "AzureBackupDiscreteRecoveryPoint",
            "recoveryPointId": point.id,
            "recoveryPointTime": iso(point.time),
            "recoveryPointType": "Incremental",
            "recoveryPointState": "COMMITTED",
            "friendlyName": point.id,
            "policyName": instance.backups.policy.name,
            "retentionTagName": instance.backups.policy.retention_tag,
            "recoveryPointDataStoresDetails": [store],
        },
    }


def show_time_ranges(instance: Instance, now: float) -> Json:
    """`POST .../findRestorableTimeRanges`: one range, from the oldest point to the newest."""
    points = instance.backups.points_at(now)
    ranges = [
        {
            "startTime": iso(points[-1].time),
            "endTime": iso(points[0].time),
            "objectType": "RestorableTimeRange",
        }
        for _ in points[:1]
    ]
    return {
        "id": f"{instance.id}/findRestorableTimeRanges",
        "name": "findRestorableTimeRanges",
        "type": f"{_TYPE}/backupInstances/findRestorableTimeRanges",
        "properties": {
            "objectType": "AzureBackupFindRestorableTimeRangesResponse",
            "restorableTimeRanges": ranges,
        },
    }


def iso(seconds: float) -> str:
    """A time as this service writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _backup_rule(policy: Policy) -> Json:
    return {
        "name": policy.rule_name,
        "objectType": "AzureBackupRule",
        "backupParameters": {"backupType": "Incremental", "objectType": "AzureBackupParams"},
        "dataStore": {"dataStoreType": "OperationalStore", "objectType": "DataStoreInfoBase"},
        "trigger": {
            "objectType": "ScheduleBasedTriggerContext",
            "schedule": {
                "repeatingTimeIntervals": [f"R/2024-01-01T02:00:00+00:00/{policy.interval}"],
                "timeZone": "UTC",
            },
            "taggingCriteria": [
                {
                    "isDefault": True,
                    "taggingPriority": 99,
                    "tagInfo": {"id": f"{policy.retention_tag}_", "tagName": policy.retention_tag},
                }
            ],
        },
    }
