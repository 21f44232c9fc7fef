"""The alert that Azure Monitor sends when a scheduled backup job of a Backup vault has failed."""

import uuid
from datetime import UTC, datetime

Json = dict[str, object]


def failure_alert(instance_id: str, datasource_id: str) -> Json:
    """The built-in alert "Backup Failure", as an action group sends it in the common alert schema.

    Shape: Microsoft Learn, "Common alert schema" and "Azure Monitor based alerts for Azure Backup".
    """
    vault, _, _ = instance_id.partition("/backupInstances/")
    subscription, group = vault.split("/")[2], vault.split("/")[4]
    return {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": {
                "alertId": f"/subscriptions/{subscription}/providers/Microsoft.AlertsManagement/alerts/{uuid.uuid4()}",
                "alertRule": "Backup Failure",
                "severity": "Sev1",
                "signalType": "Log",
                "monitorCondition": "Fired",
                "monitoringService": "Azure Backup",
                "alertTargetIDs": [vault.lower()],
                "configurationItems": [vault.rpartition("/")[2]],
                "firedDateTime": datetime.now(UTC).isoformat(),
                "description": "The scheduled backup of the disk failed.",
                "essentialsVersion": "1.0",
                "alertContextVersion": "1.0",
                "targetResourceType": "microsoft.dataprotection/backupvaults",
                "targetResourceGroup": group,
            },
            "alertContext": {
                "category": "Jobs",
                "sourceId": datasource_id,
                "sourceType": "AzureDisk",
                "protectedItemId": instance_id,
                "affectedItems": datasource_id,
                "extendedInfo": {"jobId": str(uuid.uuid4()), "recommendedActions": "Retry the backup."},
            },
            "customProperties": None,
        },
    }
