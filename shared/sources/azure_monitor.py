"""Alerts of Azure Monitor: which backup instances failed, or why an alert is ignored.

The schema: Microsoft Learn, "Common alert schema definitions". Which field names the backup instance differs
by workload and kind of alert (built-in alerts of Azure Backup, metric, log search and activity log alerts).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from shared.clock import foreign_time
from shared.domain.resource_ids import (
    BackupInstanceId,
    BackupVaultId,
    InvalidResourceId,
    normalize,
)
from shared.domain.signal import Signal, one_line
from shared.sources.alert_rows import read_rows
from shared.sources.id_search import ids_in
from shared.sources.json_text import parse_object
from shared.sources.operation_filter import OperationFilter
from shared.sources.row_verdict import RESTORE, judge

MAX_INSTANCES = 100
"""Instances of one alert that are healed; more say that something else is wrong."""
_MAX_VAULTS = 5
_MAX_RESOURCES = 100
_RECOVERY_SERVICES = "/providers/microsoft.recoveryservices/"
_RESOURCE_ID = re.compile(r"/subscriptions/[^/\s]+/resourcegroups/[^/\s]+/providers/[^/\s]+/[^/\s]+/\S+", re.IGNORECASE)

_TARGETS = ("alertTargetIDs", "configurationItems")

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
    backup_failed: bool
    """Whether it tells of a failed backup job, so that a recovery point is missing."""

    def signals(self, instances: Iterable[BackupInstanceId]) -> tuple[Signal, ...]:
        """One signal for each of these instances."""
        return tuple(
            Signal(instance, "Alert", self.reason, self.occurred_at, backup_failed=self.backup_failed)
            for instance in instances
        )


def read_alert(body: object, now: datetime, operation_filter: OperationFilter) -> Alert | Ignored:
    """Read the body that an action group sends; `now` stands in for a time that it lacks or that lies ahead.

    Raises:
        NotAnAlert: it is no alert of Azure Monitor, whatever the schema.
    """
    if not isinstance(body, Mapping):
        raise NotAnAlert("schemaId", f"expected an alert as a JSON object, got {type(body).__name__}")
    if _is_log_webhook(body):
        return _read_log_webhook(body, now, operation_filter)
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
    return _read_fired(essentials, data, now, operation_filter)


def alert_identifiers(body: object) -> dict[str, str | None]:
    """`alertId` and `alertRule` of a body, for the log; None where it has none."""
    essentials = parse_object(parse_object(parse_object(body).get("data")).get("essentials"))
    rule = parse_object(body).get("AlertRuleName")
    names = {"alertId": essentials.get("alertId"), "alertRule": essentials.get("alertRule", rule)}
    return {key: one_line(name) if isinstance(name, str) else None for key, name in names.items()}


def _read_fired(
    essentials: Mapping[str, Any], data: Mapping[str, Any], now: datetime, operation_filter: OperationFilter
) -> Alert | Ignored:
    found = _read_statements(essentials, data, operation_filter)
    if isinstance(found, str):
        return Ignored("NoBackupFailure", found)
    is_built_in = _is_backup_failure(essentials, parse_object(data.get("alertContext")))
    backup_failed = is_built_in or found.names_backup
    return _read_ids(essentials, found, now, backup_failed)


def _is_backup_failure(essentials: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    """Whether it is the built-in alert "Backup Failure" ("Azure Monitor based alerts for Azure Backup")."""
    is_built_in = _equals(essentials.get("monitoringService"), "azure backup")
    is_named = str(essentials.get("alertRule")).lower().startswith("backup fail")
    return is_built_in and (is_named or _equals(context.get("category"), "jobs"))


def _is_log_webhook(body: Mapping[str, Any]) -> bool:
    """Whether this is the payload that log alerts had before the common alert schema.

    Microsoft Learn, "Webhook actions for log alerts in Azure": it has no schemaId, or, from Application Insights,
    one of its own.
    """
    if str(body.get("schemaId")).lower() == "microsoft.insights/logalert":
        return isinstance(body.get("data"), Mapping)
    return "schemaId" not in body and isinstance(body.get("AlertRuleName"), str) and "SearchResult" in body


def _read_log_webhook(body: Mapping[str, Any], now: datetime, operation_filter: OperationFilter) -> Alert | Ignored:
    context = body["data"] if "schemaId" in body else body
    essentials = {
        "alertRule": context.get("AlertRuleName"),
        "description": context.get("Description"),
        "firedDateTime": context.get("SearchIntervalEndtimeUtc"),
        "monitoringService": "Log Analytics",
    }
    return _read_fired(essentials, {"alertContext": context}, now, operation_filter)


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


@dataclass(frozen=True, slots=True)
class _Statements:
    """The texts of an alert, by what they may say."""

    common: list[str]
    """Texts that belong to all rows."""
    failed: list[str]
    """Texts of rows that may report a failure."""
    ignored: list[str]
    """Texts of rows that report none."""
    names_backup: bool
    """Whether a row that may report a failure is about a backup."""


def _read_statements(
    essentials: Mapping[str, Any], data: Mapping[str, Any], operation_filter: OperationFilter
) -> _Statements | str:
    """The texts of the alert, or why none of it is a failed backup."""
    context = data.get("alertContext")
    no_failure = _other_backup_alert(essentials, parse_object(context))
    if no_failure:
        return no_failure
    verdict = partial(judge, operation_filter=operation_filter)
    rows = read_rows(context, verdict)
    custom = read_rows(data.get("customProperties"), verdict, lists_hold_rows=False)
    counted = [row for row in rows if row.counts] or [row for row in custom if row.counts]
    reasons = [row.verdict.ignore_reason for row in counted]
    if reasons and all(reasons):
        return str(reasons[0])
    targets = [each for name in _TARGETS for row in read_rows(essentials.get(name), verdict) for each in row.texts]
    common = [text for row in (custom[0], rows[0]) for text in row.texts]
    others = [*custom[1:], *rows[1:]]
    return _Statements(
        [*targets, *common],
        [text for row in others if not row.verdict.ignore_reason for text in row.texts],
        [text for row in others if row.verdict.ignore_reason for text in row.texts],
        any(row.verdict.names_backup and not row.verdict.ignore_reason for row in counted or rows[:1]),
    )


def _other_backup_alert(essentials: Mapping[str, Any], context: Mapping[str, Any]) -> str | None:
    """Why a built-in alert of Azure Backup is about no failed backup; None if it may be about one.

    Microsoft Learn, "Azure Monitor based alerts for Azure Backup": those of the category Security are about what
    somebody did on purpose, and of the jobs some are restores.
    """
    if not _equals(essentials.get("monitoringService"), "azure backup"):
        return None
    if _equals(context.get("category"), "security"):
        return "a security alert of Azure Backup is no failed backup"
    return RESTORE if str(essentials.get("alertRule")).lower().startswith("restore") else None


def _read_ids(
    essentials: Mapping[str, Any], statements: _Statements, now: datetime, backup_failed: bool
) -> Alert | Ignored:
    failed, ignored = _ids_in(statements.failed), _ids_in(statements.ignored)
    settled = {normalize(each) for each in ignored} - {normalize(each) for each in failed}
    ids = [each for each in (*_ids_in(statements.common), *failed) if normalize(each) not in settled]
    well = {*_parse_ids(ignored, BackupInstanceId.parse)} - {*_parse_ids(failed, BackupInstanceId.parse)}
    instances = tuple(each for each in _parse_ids(ids, BackupInstanceId.parse) if each not in well)
    vaults = _parse_ids(ids, BackupVaultId.parse, _MAX_VAULTS)
    if not instances and not vaults:
        return _no_instance(essentials, ids)
    resources = dict.fromkeys(normalize(resource_id) for resource_id in ids if _RESOURCE_ID.fullmatch(resource_id))
    words = (essentials.get("alertRule"), essentials.get("description"))
    reason = ": ".join(text for text in words if isinstance(text, str) and text) or "Azure Monitor alert"
    occurred_at = min(foreign_time(essentials.get("firedDateTime")) or now, now)
    return Alert(one_line(reason), occurred_at, instances, vaults, tuple(resources)[:_MAX_RESOURCES], backup_failed)


def _ids_in(texts: Iterable[str]) -> list[str]:
    return [resource_id for text in texts for resource_id in ids_in(text)]


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


def _parse_ids(ids: Iterable[str], parse: Callable[[object], Id], limit: int | None = None) -> tuple[Id, ...]:
    """The first ids that can be parsed, each once; all of them without a limit."""
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
