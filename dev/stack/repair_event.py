"""The event that Azure sends when a role was assigned."""

import uuid
from datetime import UTC, datetime

Json = dict[str, object]

_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"


def role_assigned(scope: str) -> Json:
    """Resource Manager's event about a new role assignment at this scope, by a person.

    Shape: Microsoft Learn "Azure subscription as an Event Grid source", event ResourceWriteSuccess.
    """
    subscription = "/".join(scope.split("/")[:3])
    assignment = f"{scope}/providers/{_ASSIGNMENTS}/{uuid.uuid4()}"
    return {
        "id": str(uuid.uuid4()),
        "topic": subscription,
        "subject": assignment,
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": datetime.now(UTC).isoformat(),
        "dataVersion": "2",
        "metadataVersion": "1",
        "data": {
            "operationName": f"{_ASSIGNMENTS}/write",
            "resourceUri": assignment,
            "resourceProvider": "Microsoft.Authorization",
            "status": "Succeeded",
            "subscriptionId": subscription.rpartition("/")[2],
            "tenantId": "72f988bf-0000-4000-8000-000000000000",
            "correlationId": str(uuid.uuid4()),
            "authorization": {"scope": assignment, "action": f"{_ASSIGNMENTS}/write", "evidence": {"role": "Owner"}},
            "claims": {"appid": "5a7a1b26-0000-4000-8000-000000000001"},
            "httpRequest": {"method": "PUT"},
        },
    }
