"""The verdict on one row of an alert: whether it may report a failure, and why not.

Names of fields and states are those of Azure's own alerts and tables: metric dimensions and jobs ("Monitor the health
of your backups using Azure Backup Metrics", "AddonAzureBackupJobs"), resource and service health ("Common alert schema
definitions"), activity log ("AzureActivity"), all on Microsoft Learn, and the states of "Backup Instances - Get".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from shared.domain.resource_ids import INSTANCE_OPERATIONS, fold
from shared.sources.operation_filter import OperationFilter

Field = tuple[str, object]
"""Name, as `field_name` makes it, and value."""

RESTORE = "a failed restore says nothing about the protection of the instance"
_MAX_FIELD_NAME_CHARS = 64
_MAX_OPERATIONS = 20
_STATE_FIELDS = re.compile(
    "activitystatus(value)?|alertsta(te|tus)|availabilitystate|(last)?backupstatus|(current)?health(state|status)?|"
    "currentprotectionstate|eventstatus|jobstatus|operationstatus|outcome|protection(state|status|statusstatus)|"
    "result(type)?|stage|state|status"
)
"""Fields that say how something stands."""
_WELL = (
    "available|completed?|completedwithwarnings|good|healthy|mitigated|normal|ok|passed|protected|"
    "protectionconfigured|rca|recovered|resolved|succeed(ed)?|success(ful)?"
)
_NOT_OVER = (
    "accept(ed)?|configuringprotection|inprogress|notstarted|pending|preparing|queued|running|start(ed)?|"
    "updatingprotection"
)
_INTENDED = "informational|maintenance|planned|scheduled"
_NO_FAILURE = re.compile(f"{_WELL}|{_NOT_OVER}|{_INTENDED}")
_FAILURE = re.compile("fail|error|unhealthy|degraded|unavailable|cancel|suspend|timedout|invalid|notprotected")
_NO_OUTAGE = frozenset({"actionrequired", "billing", "informational", "maintenance", "security"})
"""`incidentType` of service health events that tell of no outage."""
_OPERATION_NAMES = frozenset({"operationname", "operationnamevalue"})
_JOB_KINDS = ("joboperation", "operationcategory")
_BACKUP_OPERATION = f"{INSTANCE_OPERATIONS}backup/action"
"""Of a backup on demand: where it failed, a recovery point is missing."""
_JOBS_TABLE = "addonazurebackupjobs"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one row."""

    is_stated: bool
    """The row itself says how something stands; else it only adds to what stands around it."""
    ignore_reason: str | None = None
    """Why the row reports no failure; None if it may report one."""
    names_backup: bool = False
    """It is about a backup, its job or its health, so that a recovery point is missing if it reports a failure."""


@lru_cache(maxsize=1024)
def _folded_name(name: str) -> str:
    last = re.sub("^properties_|_[sd]$", "", name.rpartition(".")[2].lower())
    return re.sub("[^a-z0-9]", "", last)


def field_name(name: str) -> str:
    """A field's name for comparison: without case, punctuation, path, and what queries add to the names of columns."""
    return _folded_name(name) if len(name) <= _MAX_FIELD_NAME_CHARS else ""


def judge(fields: Iterable[Field], operation_filter: OperationFilter) -> Verdict:
    """The verdict on a row with these fields."""
    known = list(fields)
    texts = [(name, text) for name, value in known if (text := _text(value)) is not None]
    first = dict(reversed(texts))
    claims = next((value for name, value in known if name == "claims"), None)
    for reason in (_other_kind(first), _not_counted(texts, claims, operation_filter)):
        if reason:
            return Verdict(True, reason)
    states = [
        (name, _folded_name(text[:_MAX_FIELD_NAME_CHARS])) for name, text in texts if _STATE_FIELDS.fullmatch(name)
    ]
    names_backup = _names_backup(first, texts)
    if not states or any(_FAILURE.search(state) for _, state in states):
        return Verdict(bool(states), names_backup=names_backup)
    if first.get("operator", "").lower().startswith("less"):
        # Fewer good states than expected are no good news.
        return Verdict(True, names_backup=names_backup)
    good = next((state for state in states if _NO_FAILURE.fullmatch(state[1])), None)
    return Verdict(True, f"{good[0]} is {good[1]}: that is no failure" if good else None, names_backup)


def _names_backup(fields: Mapping[str, str], texts: Iterable[tuple[str, str]]) -> bool:
    """Whether a row with these fields is about a backup: a job's, one on demand, or the metric or table of both."""
    if fields.get("metricname", "").lower() == "backuphealthevent":
        return True
    kinds = [fields[name].strip().lower() for name in _JOB_KINDS if name in fields]
    if kinds:
        return all(kind.startswith("backup") for kind in kinds)
    if "jobstatus" in fields or any(_is_operation(*text) and fold(text[1]) == _BACKUP_OPERATION for text in texts):
        return True
    # A search whose rows say nothing themselves: its table of jobs does.
    query = fields.get("searchquery", "").lower()
    is_silent = not any(_STATE_FIELDS.fullmatch(name) for name in fields)
    return is_silent and _JOBS_TABLE in query and "restore" not in query


def _text(value: object) -> str | None:
    """A field's value as text; the activity log writes some as `{"value": ..., "localizedValue": ...}`."""
    if isinstance(value, Mapping):
        value = value.get("value")
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return value if isinstance(value, str) else repr(value)


def _other_kind(fields: Mapping[str, str]) -> str | None:
    """Why a row with these fields is about something else than a failure; None if it may be about one."""
    if fields.get("metricname", "").lower() == "restorehealthevent":
        return RESTORE
    if any(fields.get(name, "").lower().startswith("restore") for name in _JOB_KINDS):
        return RESTORE
    incident = _folded_name(fields.get("incidenttype", "")[:_MAX_FIELD_NAME_CHARS])
    if incident in _NO_OUTAGE:
        return f"the service health event is of the type {incident}: that is no failure"
    if _is_zero(fields.get("resultcount")) or _is_empty_count(fields):
        return "its search found nothing: no row says what failed"
    return None


def _is_empty_count(fields: Mapping[str, str]) -> bool:
    """A criterion of a log search alert that counts the rows found, and there are none."""
    is_count = "searchquery" in fields and not fields.get("metricmeasurecolumn")
    return is_count and _is_zero(fields.get("metricvalue"))


def _is_zero(text: str | None) -> bool:
    return text is not None and re.fullmatch(r"\s*0+(\.0*)?\s*", text) is not None


def _not_counted(texts: Iterable[tuple[str, str]], claims: object, operation_filter: OperationFilter) -> str | None:
    """Why the operations that the row names do not count; None if one does, or there is none."""
    operations = list(dict.fromkeys(text for name, text in texts if _is_operation(name, text)))
    reasons = [operation_filter.ignore_reason(each, {"claims": claims}) for each in operations[:_MAX_OPERATIONS]]
    return reasons[0] if reasons and all(reasons) else None


def _is_operation(name: str, text: str) -> bool:
    """An operation on a backup instance, wherever it stands, or one of its provider, where an operation's name does."""
    operation = fold(text[: len(INSTANCE_OPERATIONS)])
    return operation == INSTANCE_OPERATIONS or (
        name in _OPERATION_NAMES and operation.startswith("microsoft.dataprotection/")
    )
