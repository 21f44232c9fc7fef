"""The event that Azure sends when an operation on a backup instance has failed."""

import uuid
from datetime import UTC, datetime

Json = dict[str, object]


def failure_event(instance_id: str, operation: str = "backup/action") -> Json:
    """Resource Manager's event about a failed operation on the instance, with everything that Azure puts into it.

    Shape: Microsoft Learn "Azure subscription as an Event Grid source", event ResourceActionFailure.
    """
    subscription = instance_id.partition("/resourceGroups")[0]
    name = f"Microsoft.DataProtection/backupVaults/backupInstances/{operation}"
    return {
        "id": str(uuid.uuid4()),
        "topic": subscription,
        "subject": instance_id,
        "eventType": "Microsoft.Resources.ResourceActionFailure",
        "eventTime": datetime.now(UTC).isoformat(),
        "dataVersion": "2",
        "metadataVersion": "1",
        "data": {
            "operationName": name,
            "resourceUri": instance_id,
            "resourceProvider": "Microsoft.DataProtection",
            "status": "Failed",
            "subscriptionId": subscription.rpartition("/")[2],
            "tenantId": "72f988bf-0000-4000-8000-000000000000",
            "correlationId": str(uuid.uuid4()),
            "authorization": {"scope": instance_id, "action": name, "evidence": {"role": "Backup Operator"}},
            "claims": {"appid": "5a7a1b26-0000-4000-8000-000000000000"},
            "httpRequest": {"method": "POST"},
        },
    }
