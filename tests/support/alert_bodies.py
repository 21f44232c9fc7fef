"""Alerts as action groups send them, in the common alert schema.

Fields and casing are those of the built-in alerts of Azure Backup (which name everything in lower case that Azure
Monitor has touched) and of the alerts of Microsoft Learn, "Common alert schema definitions".
"""

from typing import Any

Json = dict[str, Any]

SUBSCRIPTION = "04cf684a-d41f-4550-9f70-7708a3a2283b"
VAULT = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/testrg/providers/microsoft.dataprotection/backupvaults/testvault"
INSTANCE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/testrg/providers/Microsoft.DataProtection/backupVaults/testvault"
    "/backupInstances/disk1-disk1-5f0a8f3d"
)
OTHER_INSTANCE = INSTANCE.replace("disk1", "disk2")
DISK = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/diskRG/providers/Microsoft.Compute/disks/disk1"
RECOVERY_VAULT = VAULT.replace("microsoft.dataprotection/backupvaults", "microsoft.recoveryservices/vaults")
FIRED_AT = "2026-03-13T11:56:13.9392346Z"


def alert(context: object = None, custom: object = None, **essentials: object) -> Json:
    """A fired alert with this context; `essentials` change the usual ones."""
    return {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": {
                "alertId": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.AlertsManagement/alerts/632063ae",
                "alertRule": "Backup Failure",
                "severity": "Sev1",
                "signalType": "Log",
                "monitorCondition": "Fired",
                "monitoringService": "Azure Backup",
                "alertTargetIDs": [VAULT],
                "configurationItems": ["testvault"],
                "originAlertId": "2516288980568183370_0_4688",
                "firedDateTime": FIRED_AT,
                "description": "The backup of the disk failed.",
                "essentialsVersion": "1.0",
                "alertContextVersion": "1.0",
                "targetResourceType": "microsoft.dataprotection/backupvaults",
                "targetResourceGroup": "testrg",
                **essentials,
            },
            "alertContext": context,
            "customProperties": custom,
        },
    }


def backup_failure(**context: object) -> Json:
    """The built-in alert "Backup Failure": it names the vault and the resource."""
    return alert(
        {
            "category": "Jobs",
            "sourceId": f"{DISK}/providers/Microsoft.DataProtection/backupInstances/disk1",
            "sourceType": "AzureDisk",
            "extendedInfo": {"jobId": "88df0be3-7c77-46c9-bfc2-fb92e3b1918a", "recommendedActions": "see the job"},
            "affectedItems": DISK,
            "protectedItemId": None,
            "linkedResourceId": DISK,
            "alertVersionNumber": "V2020_10",
            "linkedResourceName": "disk1",
            **context,
        }
    )


def metric_alert(metric: str = "BackupHealthEvent", **dimensions: str) -> Json:
    """A metric alert on the health events of a Backup vault (their dimensions: `backupInstanceUrl`, ...)."""
    criterion = {
        "metricName": metric,
        "metricNamespace": "Microsoft.DataProtection/BackupVaults",
        "operator": "GreaterThan",
        "threshold": "0",
        "timeAggregation": "Count",
        "dimensions": [{"name": name, "value": value} for name, value in dimensions.items()],
        "metricValue": 1.0,
    }
    context = {"conditionType": "MultipleResourceMultipleMetricCriteria", "condition": {"allOf": [criterion]}}
    return alert(context, signalType="Metric", monitoringService="Platform", alertRule="disk backups")


def log_alert(*rows: Json) -> Json:
    """A log search alert of version 2; one row of dimensions for each criterion."""
    criteria = [
        {
            "searchQuery": "AddonAzureBackupJobs | where JobStatus == 'Failed'",
            "metricMeasureColumn": None,
            "dimensions": [{"name": name, "value": value} for name, value in row.items()],
            "operator": "GreaterThan",
            "threshold": "0",
            "metricValue": 1.0,
        }
        for row in rows
    ]
    workspace = (
        f"/subscriptions/{SUBSCRIPTION}/resourcegroups/logs/providers/microsoft.operationalinsights/workspaces/w"
    )
    return alert(
        {"properties": None, "conditionType": "LogQueryCriteria", "condition": {"allOf": criteria}},
        monitoringService="Log Alerts V2",
        alertTargetIDs=[workspace],
        configurationItems=[],
        targetResourceType="microsoft.operationalinsights/workspaces",
        alertRule="failed jobs",
    )


def activity_alert(operation: str, status: str = "Failed", **context: object) -> Json:
    """An activity log alert on an operation on the instance."""
    name = f"Microsoft.DataProtection/backupVaults/backupInstances/{operation}"
    return alert(
        {
            "authorization": {"action": name, "scope": f"{INSTANCE}/{operation}"},
            "channels": "Operation",
            "claims": "{}",
            "eventSource": "Administrative",
            "operationName": name,
            "status": status,
            **context,
        },
        signalType="Activity Log",
        monitoringService="Activity Log - Administrative",
        alertTargetIDs=[INSTANCE.lower()],
        alertRule="instances",
    )
