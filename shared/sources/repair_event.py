"""Resource Manager's events of success: which of them tell of a change that may have mended a failure.

A role was assigned, a lock deleted, or a datasource, a snapshot resource group, a cluster's extension or a vault was
written. The Event Grid subscription `repairs` filters by the same names (`infra/modules/repair-filter.json`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.domain.arm_scope import read_scope
from shared.domain.repair import Repair
from shared.domain.signal import NoSignal, one_line
from shared.sources.operation_filter import OperationFilter

RESOURCE_SUCCESSES = (
    "Microsoft.Resources.ResourceWriteSuccess",
    "Microsoft.Resources.ResourceDeleteSuccess",
    "Microsoft.Resources.ResourceActionSuccess",
)
"""The events that are read (Event Grid, "Azure subscription as a source"), in any casing."""
GRANTS = ("Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/locks/delete")
"""Operations that act on all that is below the scope of a role assignment or a lock."""
WRITES = (
    "Microsoft.DataProtection/backupVaults/write",
    "Microsoft.Resources/subscriptions/resourceGroups/write",
    "Microsoft.KubernetesConfiguration/extensions/write",
    "Microsoft.ContainerService/managedClusters/write",
    "Microsoft.ContainerService/managedClusters/start/action",
    "Microsoft.ContainerService/managedClusters/trustedAccessRoleBindings/write",
    "Microsoft.Compute/disks/write",
    "Microsoft.Storage/storageAccounts/write",
    "Microsoft.DBforPostgreSQL/servers/write",
    "Microsoft.DBforPostgreSQL/servers/firewallRules/write",
    "Microsoft.DBforPostgreSQL/flexibleServers/write",
    "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules/write",
    "Microsoft.DBforMySQL/flexibleServers/write",
    "Microsoft.DBforMySQL/flexibleServers/firewallRules/write",
)
"""Operations that change one resource (Microsoft Learn, "Azure resource provider operations")."""
_SUCCESSES = frozenset(name.lower() for name in RESOURCE_SUCCESSES)
_GRANTS, _WRITES = (frozenset(name.lower() for name in names) for names in (GRANTS, WRITES))


def is_success(event_type: str) -> bool:
    """Whether an event of this type tells that an operation succeeded."""
    return event_type.lower() in _SUCCESSES


def read_repair(
    subject: object, data: Mapping[str, Any], occurred_at: datetime, operation_filter: OperationFilter
) -> Repair | NoSignal:
    """The repair that a successful operation may be, or why it is none."""
    operation = data.get("operationName")
    name = operation.lower() if isinstance(operation, str) else ""
    if not isinstance(operation, str) or name not in _GRANTS | _WRITES:
        return NoSignal(f"{ascii(operation)[:200]} succeeded: no failure of Resource Manager, and no repair")
    if operation_filter.is_own(data):
        return NoSignal(f"{one_line(operation)} was this app's own doing")
    scope = read_scope(data.get("resourceUri") or subject)
    if scope is None:
        return NoSignal(f"{one_line(operation)} succeeded on something that is in no subscription")
    return Repair(scope, name in _GRANTS, one_line(operation), occurred_at)
