"""What an Azure Monitor alert says in the common alert schema: which backup instances failed, or why it is no signal.

The schema: Microsoft Learn, "Common alert schema definitions". Which field names the backup instance differs
by workload and kind of alert (built-in alerts of Azure Backup, metric, log search and activity log alerts), so
every text of the fields that can name a resource is read, and what has the form of an ARM id counts, be it the
whole text or a word in it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
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
from shared.sources.operation_filter import OperationFilter, as_object, ignore_reason

MAX_INSTANCES = 100
"""Instances of one alert that are healed; more say that something else is wrong."""
_MOST_VAULTS = 5
_MOST_TEXTS = 5_000
_SCHEMA = "azuremonitorcommonalertschema"
_RECOVERY_SERVICES = "/providers/microsoft.recoveryservices/"
_MOST_RESOURCES = 100
_MOST_OPERATIONS = 20
_UNREAD = re.compile(r"searchquery|description|linkto.*", re.IGNORECASE | re.DOTALL)
"""Keys whose texts are a rule's own words and no statement about what failed."""
_BETWEEN_IDS = re.compile(r"[,;\r\n]")
_WHOLE = re.compile(r"(?:https://[^/\s]+(?=/))?(/?subscriptions/.*)", re.IGNORECASE | re.DOTALL)
_NOT_IN_WHOLE = re.compile(r"""["'<>|?#\\]|//|[\s(\[=]/""")
_ENDS = r"""\s,;"'()\[\]<>|?#\\&"""
"""What ends an id inside a text. Backslash and `&` are in no name, but in JSON inside JSON and in HTML."""
_TOKEN = re.compile(rf"""(?:(?<![^\s,;"'(\[<>=|])|https://[^/{_ENDS}]++)(/subscriptions/[^{_ENDS}]++)""", re.IGNORECASE)
_BEHIND_TOKEN = ".:"
_RESOURCE = re.compile(r"/subscriptions/[^/\s]+/resourcegroups/[^/\s]+/providers/[^/\s]+/[^/\s]+/\S+", re.IGNORECASE)
_WENT_WELL = frozenset({"started", "accepted", "succeeded"})

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


def read_alert(body: object, now: datetime, rules: OperationFilter) -> Alert | Ignored:
    """Read the body that an action group sends; `now` stands in for an alert that tells no time.

    Raises:
        NotAnAlert: it is no alert of Azure Monitor, whatever the schema.
    """
    if not isinstance(body, Mapping):
        raise NotAnAlert("schemaId", f"expected an alert as a JSON object, got {type(body).__name__}")
    other_schema = _other_schema(body)
    if other_schema:
        return other_schema
    data = _member(body, "data", "data")
    essentials = _member(data, "essentials", "data.essentials")
    condition = essentials.get("monitorCondition")
    if not isinstance(condition, str):
        raise NotAnAlert("data.essentials.monitorCondition", "expected Fired or Resolved as text")
    if condition.lower() == "resolved":
        return Ignored("Resolved", "the alert is resolved: nothing is to be healed")
    if condition.lower() != "fired":
        return Ignored("OtherCondition", f"monitorCondition is {one_line(condition)}: only Fired alerts are signals")
    context = as_object(data.get("alertContext"))
    named = (essentials.get("alertTargetIDs"), essentials.get("configurationItems"), data.get("customProperties"))
    texts = [text for part in (*named, context) for text in _texts(part)][:_MOST_TEXTS]
    return _no_failure(essentials, context, texts, rules) or _read(essentials, texts, now)


def alert_identifiers(body: object) -> dict[str, str | None]:
    """What people call the alert, for the log: `alertId` and `alertRule`, None where the body has none."""
    data = body.get("data") if isinstance(body, Mapping) else None
    essentials = data.get("essentials") if isinstance(data, Mapping) else None
    names = essentials if isinstance(essentials, Mapping) else {}
    return {
        key: one_line(name) if isinstance(name := names.get(key), str) else None for key in ("alertId", "alertRule")
    }


def _other_schema(body: Mapping[str, Any]) -> Ignored | None:
    schema = body.get("schemaId")
    if isinstance(schema, str) and schema.lower() == _SCHEMA:
        return None
    is_classic = isinstance(body.get("status"), str) and isinstance(body.get("context"), Mapping)
    if not isinstance(schema, str) and not is_classic:
        raise NotAnAlert("schemaId", "schemaId is missing: expected azureMonitorCommonAlertSchema")
    shown = one_line(schema) if isinstance(schema, str) else "that of a classic alert"
    return Ignored(
        "OtherSchema", f"the schema is {shown}: turn on the common alert schema in the action group's receiver"
    )


def _member(parent: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any]:
    member = parent.get(name)
    if not isinstance(member, Mapping):
        raise NotAnAlert(path, f"{path} is missing or not an object")
    return member


def _no_failure(
    essentials: Mapping[str, Any], context: Mapping[str, Any], texts: Sequence[str], rules: OperationFilter
) -> Ignored | None:
    """What is about backup instances, but not about a backup that failed."""
    if _is(essentials.get("monitoringService"), "azure backup"):
        # The built-in alerts (Microsoft Learn, "Azure Monitor based alerts for Azure Backup"): those of the category
        # Security tell what somebody did on purpose, and of the jobs some are restores.
        if _is(context.get("category"), "security"):
            return Ignored("NoBackupFailure", "a security alert of Azure Backup is no failed backup")
        if str(essentials.get("alertRule")).lower().startswith("restore"):
            return Ignored("NoBackupFailure", "a failed restore says nothing about the protection of the instance")
    metrics = [criterion.get("metricName") for criterion in _criteria(context)]
    if metrics and all(_is(metric, "restorehealthevent") for metric in metrics):
        return Ignored("NoBackupFailure", "a failed restore says nothing about the protection of the instance")
    operations = list(dict.fromkeys(text for text in texts if text.lower().startswith(INSTANCE_OPERATIONS)))[
        :_MOST_OPERATIONS
    ]
    if operations and str(context.get("status")).lower() in _WENT_WELL:
        return Ignored("NoBackupFailure", f"{operations[0][:200]!a} did not fail")
    uncounted = [ignore_reason(operation, context, rules) for operation in operations]
    if uncounted and all(uncounted):
        return Ignored("NoBackupFailure", str(uncounted[0]))
    return None


def _read(essentials: Mapping[str, Any], texts: Sequence[str], now: datetime) -> Alert | Ignored:
    ids = [one for text in texts for one in _ids(text)]
    instances = _parsed(ids, BackupInstanceId.parse, MAX_INSTANCES + 1)
    vaults = _parsed(ids, BackupVaultId.parse, _MOST_VAULTS)
    resources = tuple(dict.fromkeys(normalize(one) for one in ids if _RESOURCE.fullmatch(one)))[:_MOST_RESOURCES]
    if not instances and not vaults:
        return _nothing_to_heal(essentials, ids)
    reason = ": ".join(
        text for text in (essentials.get("alertRule"), essentials.get("description")) if isinstance(text, str) and text
    )
    occurred_at = _moment(essentials.get("firedDateTime")) or now
    return Alert(one_line(reason or "Azure Monitor alert"), occurred_at, instances, vaults, resources)


def _nothing_to_heal(essentials: Mapping[str, Any], ids: Sequence[str]) -> Ignored:
    target = str(essentials.get("targetResourceType")).lower()
    if target.startswith("microsoft.recoveryservices/") or any(_RECOVERY_SERVICES in one.lower() for one in ids):
        reason = "it is about a Recovery Services vault: only instances of Backup vaults can be synced"
        return Ignored("RecoveryServicesVault", reason)
    service = essentials.get("monitoringService")
    if not _is(service, "azure backup"):
        shown = one_line(service) if isinstance(service, str) else "no service"
        return Ignored("OtherService", f"it is of {shown} and names no backup instance and no Backup vault")
    return Ignored("NoBackupInstance", "it names no backup instance and no Backup vault")


def _criteria(context: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    criteria = as_object(context.get("condition")).get("allOf")
    return [one for one in criteria if isinstance(one, Mapping)] if isinstance(criteria, list) else []


def _texts(value: object) -> Iterator[str]:
    """Every text inside a value, in the order of appearance; without recursion, since anybody may nest deeply."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            waiting.extend(reversed([one for key, one in value.items() if not _UNREAD.fullmatch(str(key))]))
        elif isinstance(value, list):
            waiting.extend(reversed(value))


def _ids(text: str) -> list[str]:
    """The ids that a text is, one or a list of them; where it is neither, those inside it, which end at a blank."""
    pieces = [stripped for piece in _BETWEEN_IDS.split(text) if (stripped := piece.strip())]
    wholes = [whole[1] for whole in takewhile(bool, map(_whole, pieces)) if whole]
    if len(wholes) == len(pieces):
        return wholes
    return [token[1].rstrip(_BEHIND_TOKEN) for token in _TOKEN.finditer(text)]


def _whole(text: str) -> re.Match[str] | None:
    """A text that is an id and nothing else; only here may a name have blanks and brackets."""
    whole = _WHOLE.fullmatch(text)
    return whole if whole and not _NOT_IN_WHOLE.search(whole[1]) else None


def _parsed(ids: Iterable[str], parse: Callable[[object], Id], most: int) -> tuple[Id, ...]:
    found: dict[Id, None] = {}
    for one in ids:
        try:
            found.setdefault(parse(one))
        except InvalidResourceId:
            continue
        if len(found) == most:
            break
    return tuple(found)


def _is(value: object, expected: str) -> bool:
    return isinstance(value, str) and value.lower() == expected


def _moment(text: object) -> datetime | None:
    try:
        return from_iso(text) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None
