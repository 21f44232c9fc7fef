"""Alerts of Azure Monitor in the common alert schema: which backup instances failed, or why an alert is ignored.

The schema: Microsoft Learn, "Common alert schema definitions". Which field names the backup instance differs
by workload and kind of alert (built-in alerts of Azure Backup, metric, log search and activity log alerts).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from shared.clock import from_iso
from shared.domain.resource_ids import (
    INSTANCE_OPERATIONS,
    BackupInstanceId,
    BackupVaultId,
    InvalidResourceId,
    normalize,
)
from shared.domain.signal import Signal, one_line
from shared.sources.id_search import ids_in, texts_in
from shared.sources.operation_filter import OperationFilter, parse_object

MAX_INSTANCES = 100
"""Instances of one alert that are healed; more say that something else is wrong."""
_MAX_VAULTS = 5
_MAX_RESOURCES = 100
_MAX_TEXTS = 5_000
_MAX_OPERATIONS = 20
_RECOVERY_SERVICES = "/providers/microsoft.recoveryservices/"
_RESOURCE_ID = re.compile(r"/subscriptions/[^/\s]+/resourcegroups/[^/\s]+/providers/[^/\s]+/[^/\s]+/\S+", re.IGNORECASE)
_NOT_FAILED = frozenset({"started", "accepted", "succeeded"})
"""Values of an activity log alert's `status`."""

Id = TypeVar("Id")


class NotAnAlert(ValueError):
    """The body is no alert of Azure Monitor; the message says what is missing, `target` where."""

    def __init__(self, target: str, reason: str) -> None:
        """`target` is the path of the field."""
        super().__init__(reason)
        self.target = target


@dataclass(frozen=True, slots=True)
class Ignored:
    """An alert that starts nothing."""

    code: str
    """`Resolved`, `OtherSchema`, `OtherCondition`, `OtherService`, `RecoveryServicesVault`, `NoBackupFailure`,
    `NoBackupInstance` or `VaultNotReadable`."""
    reason: str


@dataclass(frozen=True, slots=True)
class Alert:
    """A fired alert about backups in Backup vaults."""

    reason: str
    """For people: the rule and what it says."""
    occurred_at: datetime
    instances: tuple[BackupInstanceId, ...]
    """The instances that it names; where there are none, the vaults and resources lead to them."""
    vaults: tuple[BackupVaultId, ...]
    resources: tuple[str, ...]
    """Ids of other ARM resources, in lower case; the protected one is among them."""

    def signals(self, instances: Iterable[BackupInstanceId]) -> tuple[Signal, ...]:
        """One signal for each of these instances."""
        return tuple(Signal(instance, "Alert", self.reason, self.occurred_at) for instance in instances)


def read_alert(body: object, now: datetime, operation_filter: OperationFilter) -> Alert | Ignored:
    """Read the body that an action group sends; `now` stands in for an alert that has no time.

    Raises:
        NotAnAlert: it is no alert of Azure Monitor, whatever the schema.
    """
    if not isinstance(body, Mapping):
        raise NotAnAlert("schemaId", f"expected an alert as a JSON object, got {type(body).__name__}")
    schema = _other_schema(body)
    if schema is not None:
        advice = "turn on the common alert schema in the action group's receiver"
        return Ignored("OtherSchema", f"the schema is {schema}: {advice}")
    data = _object(body, "data", "data")
    essentials = _object(data, "essentials", "data.essentials")
    condition = essentials.get("monitorCondition")
    if not isinstance(condition, str):
        raise NotAnAlert("data.essentials.monitorCondition", "expected Fired or Resolved as text")
    if condition.lower() == "resolved":
        return Ignored("Resolved", "the alert is resolved: nothing is to be healed")
    if condition.lower() != "fired":
        return Ignored("OtherCondition", f"monitorCondition is {one_line(condition)}: only Fired alerts are signals")
    context = parse_object(data.get("alertContext"))
    targets = (essentials.get("alertTargetIDs"), essentials.get("configurationItems"), data.get("customProperties"))
    texts = [text for part in (*targets, context) for text in texts_in(part)][:_MAX_TEXTS]
    no_failure = _no_failure_reason(essentials, context, texts, operation_filter)
    return Ignored("NoBackupFailure", no_failure) if no_failure else _read_ids(essentials, texts, now)


def alert_identifiers(body: object) -> dict[str, str | None]:
    """`alertId` and `alertRule` of a body, for the log; None where it has none."""
    essentials = parse_object(parse_object(parse_object(body).get("data")).get("essentials"))
    names = {key: essentials.get(key) for key in ("alertId", "alertRule")}
    return {key: one_line(name) if isinstance(name, str) else None for key, name in names.items()}


def _other_schema(body: Mapping[str, Any]) -> str | None:
    """The name of the alert's schema; None for the common alert schema."""
    schema = body.get("schemaId")
    if isinstance(schema, str):
        return None if schema.lower() == "azuremonitorcommonalertschema" else one_line(schema)
    if isinstance(body.get("status"), str) and isinstance(body.get("context"), Mapping):
        return "that of a classic alert"
    raise NotAnAlert("schemaId", "schemaId is missing: expected azureMonitorCommonAlertSchema")


def _object(parent: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any]:
    value = parent.get(name)
    if not isinstance(value, Mapping):
        raise NotAnAlert(path, f"{path} is missing or not an object")
    return value


def _no_failure_reason(
    essentials: Mapping[str, Any],
    context: Mapping[str, Any],
    texts: Sequence[str],
    operation_filter: OperationFilter,
) -> str | None:
    """Why an alert is about no failed backup; None if it may be about one."""
    a_restore = "a failed restore says nothing about the protection of the instance"
    if _equals(essentials.get("monitoringService"), "azure backup"):
        # The built-in alerts (Microsoft Learn, "Azure Monitor based alerts for Azure Backup"): those of the category
        # Security are about what somebody did on purpose, and of the jobs some are restores.
        if _equals(context.get("category"), "security"):
            return "a security alert of Azure Backup is no failed backup"
        if str(essentials.get("alertRule")).lower().startswith("restore"):
            return a_restore
    metrics = _metric_names(context)
    if metrics and all(_equals(metric, "restorehealthevent") for metric in metrics):
        return a_restore
    operations = list(dict.fromkeys(text for text in texts if text.lower().startswith(INSTANCE_OPERATIONS)))
    if operations and str(context.get("status")).lower() in _NOT_FAILED:
        return f"{operations[0][:200]!a} did not fail"
    reasons = [operation_filter.ignore_reason(operation, context) for operation in operations[:_MAX_OPERATIONS]]
    return reasons[0] if reasons and all(reasons) else None


def _metric_names(context: Mapping[str, Any]) -> list[object]:
    criteria = parse_object(context.get("condition")).get("allOf")
    criteria = criteria if isinstance(criteria, list) else []
    return [criterion.get("metricName") for criterion in criteria if isinstance(criterion, Mapping)]


def _read_ids(essentials: Mapping[str, Any], texts: Sequence[str], now: datetime) -> Alert | Ignored:
    ids = [resource_id for text in texts for resource_id in ids_in(text)]
    instances = _parse_ids(ids, BackupInstanceId.parse, MAX_INSTANCES + 1)
    vaults = _parse_ids(ids, BackupVaultId.parse, _MAX_VAULTS)
    if not instances and not vaults:
        return _no_instance(essentials, ids)
    resources = dict.fromkeys(normalize(resource_id) for resource_id in ids if _RESOURCE_ID.fullmatch(resource_id))
    words = (essentials.get("alertRule"), essentials.get("description"))
    reason = ": ".join(text for text in words if isinstance(text, str) and text) or "Azure Monitor alert"
    occurred_at = _parse_time(essentials.get("firedDateTime")) or now
    return Alert(one_line(reason), occurred_at, instances, vaults, tuple(resources)[:_MAX_RESOURCES])


def _no_instance(essentials: Mapping[str, Any], ids: Sequence[str]) -> Ignored:
    target = str(essentials.get("targetResourceType")).lower()
    if target.startswith("microsoft.recoveryservices/") or any(_RECOVERY_SERVICES in each.lower() for each in ids):
        reason = "it is about a Recovery Services vault: only instances of Backup vaults can be synced"
        return Ignored("RecoveryServicesVault", reason)
    service = essentials.get("monitoringService")
    if _equals(service, "azure backup"):
        return Ignored("NoBackupInstance", "it names no backup instance and no Backup vault")
    name = one_line(service) if isinstance(service, str) else "no service"
    return Ignored("OtherService", f"it is of {name} and names no backup instance and no Backup vault")


def _parse_ids(ids: Iterable[str], parse: Callable[[object], Id], limit: int) -> tuple[Id, ...]:
    """The first ids that can be parsed, each once."""
    parsed: dict[Id, None] = {}
    for resource_id in ids:
        try:
            parsed.setdefault(parse(resource_id))
        except InvalidResourceId:
            continue
        if len(parsed) == limit:
            break
    return tuple(parsed)


def _equals(value: object, expected: str) -> bool:
    return isinstance(value, str) and value.lower() == expected


def _parse_time(text: object) -> datetime | None:
    try:
        return from_iso(text) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None
