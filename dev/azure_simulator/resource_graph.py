"""Azure Resource Graph, as far as the app's queries go: broken and well instances, points, policies, failed jobs.

They are understood with any states and, of broken instances and points, any name for a column; any other query is
refused with the `400 BadRequest` that Resource Graph has for a query it cannot parse.

Sources: REST reference "Resources - Resources" (2022-10-01); "Guidance for pagination"; "Troubleshoot errors using
Azure Resource Graph".
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import JSONResponse, Response

from dev.azure_simulator.backup_answers import NO_TIME, iso, show_job, show_policy
from dev.azure_simulator.behaviour import Fault, Json
from dev.azure_simulator.data_protection import ArmRequest
from dev.azure_simulator.errors import fault_response
from dev.azure_simulator.vaults import Instance, Vaults

_MAX_PAGE = 1000
_MAX_SUBSCRIPTIONS = 1000
_QUOTA = {"x-ms-user-quota-remaining": "14", "x-ms-user-quota-resets-after": "00:00:05"}
"""Nothing is counted here: a full quota less this query."""
_QUERY = re.compile(
    r"recoveryservicesresources"
    r"\s*\|\s*where type =~ 'microsoft\.dataprotection/backupvaults/backupinstances'"
    r"\s*\|\s*extend (?P<column>\w+) = tostring\(properties\.currentProtectionState\)"
    r"\s*\|\s*where (?P=column) in~ \((?P<states>'\w+'(?:, '\w+')*)\)"
    r"(?P<more>\s*\|\s*extend errorCode = tostring\(properties\.protectionErrorDetails\.code\)"
    r"\s*\|\s*extend latestRecoveryPoint = tostring\(properties\.backupInstanceExtendedProperties"
    r"\.recoveryPointInfo\.latestRecoveryPointInPrimaryRegion\)"
    r"\s*\|\s*extend datasourceId = tostring\(properties\.dataSourceInfo\.resourceID\)"
    r"\s*\|\s*extend snapshotGroupId = tostring\(properties\.policyInfo\.policyParameters"
    r"\.dataStoreParametersList\[0\]\.resourceGroupId\))?"
    r"\s*\|\s*project id, (?P=column)"
    r"(?(more), errorCode, latestRecoveryPoint, datasourceId, snapshotGroupId)"
    r"\s*\|\s*order by id asc",
    re.IGNORECASE,
)


_POINTS_QUERY = re.compile(
    r"recoveryservicesresources"
    r"\s*\|\s*where type =~ 'microsoft\.dataprotection/backupvaults/backupinstances'"
    r"\s*\|\s*extend (?P<column>\w+) = tostring\(properties\.backupInstanceExtendedProperties\.recoveryPointInfo"
    r"\.latestRecoveryPointInPrimaryRegion\)"
    r"\s*\|\s*project id, (?P=column)"
    r"\s*\|\s*order by id asc",
    re.IGNORECASE,
)
_POLICIES_QUERY = re.compile(
    r"recoveryservicesresources"
    r"\s*\|\s*where type =~ 'microsoft\.dataprotection/backupvaults/backuppolicies'"
    r"\s*\|\s*project id, policyRules = properties\.policyRules"
    r"\s*\|\s*order by id asc",
    re.IGNORECASE,
)
_JOBS_QUERY = re.compile(
    r"recoveryservicesresources"
    r"\s*\|\s*where type =~ 'microsoft\.dataprotection/backupvaults/backupjobs'"
    r"\s*\|\s*where tostring\(properties\.operationCategory\) =~ 'Backup'"
    r"\s*\|\s*where tostring\(properties\.isUserTriggered\) =~ 'false'"
    r"\s*\|\s*extend status = tostring\(properties\.status\)"
    r"\s*\|\s*where status in~ \((?P<states>'\w+'(?:, '\w+')*)\)"
    r"\s*\|\s*extend instanceId = tostring\(properties\.backupInstanceId\)"
    r"\s*\|\s*extend startTime = tostring\(properties\.startTime\)"
    r"\s*\|\s*extend endTime = tostring\(properties\.endTime\)"
    r"\s*\|\s*extend errorCode = tostring\(properties\.errorDetails\[0\]\.code\)"
    r"\s*\|\s*project id, instanceId, status, startTime, endTime, errorCode"
    r"\s*\|\s*order by id asc",
    re.IGNORECASE,
)
_WELL_QUERY = re.compile(
    r"recoveryservicesresources"
    r"\s*\|\s*where type =~ 'microsoft\.dataprotection/backupvaults/backupinstances'"
    r"\s*\|\s*where tostring\(properties\.currentProtectionState\) =~ '(?P<state>\w+)'"
    r"\s*\|\s*extend policyId = tostring\(properties\.policyInfo\.policyId\)"
    r"\s*\|\s*extend latestPoint = tostring\(properties\.backupInstanceExtendedProperties\.recoveryPointInfo"
    r"\.latestRecoveryPointInPrimaryRegion\)"
    r"\s*\|\s*project id, policyId, latestPoint"
    r"\s*\|\s*order by id asc",
    re.IGNORECASE,
)
_COUNT_QUERY = re.compile(
    r"recoveryservicesresources"
    r"\s*\|\s*where type =~ 'microsoft\.dataprotection/backupvaults/backupinstances'"
    r"\s*\|\s*summarize instances = count\(\) by subscriptionId"
    r"\s*\|\s*order by subscriptionId asc",
    re.IGNORECASE,
)


class _Options(msgspec.Struct):
    top: Annotated[int, Meta(ge=1, le=_MAX_PAGE)] = msgspec.field(name="$top", default=_MAX_PAGE)
    skip_token: str | None = msgspec.field(name="$skipToken", default=None)
    result_format: Literal["objectArray"] = msgspec.field(name="resultFormat", default="objectArray")


class _QueryRequest(msgspec.Struct):
    query: str
    subscriptions: Annotated[list[str], Meta(max_length=_MAX_SUBSCRIPTIONS)] | None = None
    options: _Options = msgspec.field(default_factory=_Options)


class InvalidQuery(ValueError):
    """A request that Resource Graph, or this part of it, does not understand; the code and message say why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ResourceGraph:
    """Answers for Microsoft.ResourceGraph, about the instances of these vaults and with no delay."""

    def __init__(self, vaults: Vaults) -> None:
        self._vaults = vaults
        self.faults: list[Fault] = []
        """Used up one per query."""

    def resources(self, call: ArmRequest) -> Response:
        """`POST /providers/Microsoft.ResourceGraph/resources`: one page of the query's rows."""
        if self.faults:
            return fault_response(self.faults.pop(0))
        try:
            request = msgspec.json.decode(call.body, type=_QueryRequest)
            rows = self._rows(request, call.now)
            return JSONResponse(_page(rows, request), headers=_QUOTA)
        except msgspec.DecodeError as error:
            return _refused("InvalidRequest", str(error))
        except InvalidQuery as invalid:
            return _refused(invalid.code, str(invalid))

    def _rows(self, request: _QueryRequest, now: float) -> list[Json]:
        if _COUNT_QUERY.fullmatch(request.query.strip()):
            counts = Counter(each.id.subscription.lower() for each in self._instances(request))
            return [{"subscriptionId": one, "instances": count} for one, count in sorted(counts.items())]
        for pattern, rows_of in _QUERIES:
            if query := pattern.fullmatch(request.query.strip()):
                rows = [row for instance in self._instances(request) for row in rows_of(instance, query, now)]
                # Instances of one vault share their policies.
                return [row for _, row in sorted({row["id"]: row for row in rows}.items())]
        raise InvalidQuery("ParserFailure", f"The simulator knows a few queries only, not {request.query!r}.")

    def _instances(self, request: _QueryRequest) -> list[Instance]:
        """Those in the subscriptions that are asked."""
        subscriptions = request.subscriptions
        if subscriptions is not None and not any(map(self._vaults.has, subscriptions)):
            message = "There must be at least one subscription that is eligible to contain resources."
            raise InvalidQuery("NoValidSubscriptionsInQueryRequest", message)
        wanted = None if subscriptions is None else {one.lower() for one in subscriptions}
        return [each for each in self._vaults.all() if wanted is None or each.id.subscription.lower() in wanted]


def _broken_rows(instance: Instance, query: re.Match[str], now: float) -> Iterator[Json]:
    state = instance.state(now)
    if f"'{state}'".lower() in query["states"].lower():
        row = {"id": str(instance.id), query["column"]: state}
        yield {**row, **_more(instance, now)} if query["more"] else row


def _point_rows(instance: Instance, query: re.Match[str], now: float) -> Iterator[Json]:
    yield {"id": str(instance.id), query["column"]: _latest_point(instance, now)}


def _policy_rows(instance: Instance, query: re.Match[str], now: float) -> Iterator[Json]:
    policy = show_policy(instance, instance.backups.policy)
    yield {"id": policy["id"], "policyRules": policy["properties"]["policyRules"]}


def _job_rows(instance: Instance, query: re.Match[str], now: float) -> Iterator[Json]:
    for job in instance.backups.jobs:
        shown = show_job(instance, job, now)
        properties = shown["properties"]
        if not job.is_user_triggered and f"'{properties['status']}'".lower() in query["states"].lower():
            yield {
                "id": shown["id"],
                "instanceId": properties["backupInstanceId"],
                "status": properties["status"],
                "startTime": properties["startTime"],
                "endTime": properties["endTime"],
                "errorCode": next((error["code"] for error in properties.get("errorDetails", ())), ""),
            }


def _well_rows(instance: Instance, query: re.Match[str], now: float) -> Iterator[Json]:
    if instance.state(now).lower() == query["state"].lower():
        policy_id = show_policy(instance, instance.backups.policy)["id"]
        yield {"id": str(instance.id), "policyId": policy_id, "latestPoint": _latest_point(instance, now)}


_QUERIES: tuple[tuple[re.Pattern[str], Callable[[Instance, re.Match[str], float], Iterator[Json]]], ...] = (
    (_QUERY, _broken_rows),
    (_POINTS_QUERY, _point_rows),
    (_POLICIES_QUERY, _policy_rows),
    (_JOBS_QUERY, _job_rows),
    (_WELL_QUERY, _well_rows),
)
"""Each query with its rows about one instance."""


def _latest_point(instance: Instance, now: float) -> str:
    latest = instance.backups.latest(now)
    return iso(latest.time) if latest and not instance.backups.policy.is_continuous else NO_TIME


def _more(instance: Instance, now: float) -> Json:
    """The further columns of the query about broken instances."""
    code = (instance.error_details or {}).get("code", "")
    return {
        "errorCode": code,
        "latestRecoveryPoint": _latest_point(instance, now),
        "datasourceId": instance.data_source_id,
        "snapshotGroupId": "",
    }


def _page(rows: list[Json], request: _QueryRequest) -> Json:
    options = request.options
    if options.skip_token is not None and not options.skip_token.isdecimal():
        raise InvalidQuery("InvalidSkipToken", "The $skipToken is invalid for this query.")
    start = int(options.skip_token or 0)
    page = rows[start : start + options.top]
    answer: Json = {
        "totalRecords": len(rows),
        "count": len(page),
        "data": page,
        "facets": [],
        "resultTruncated": "false",
    }
    if start + options.top < len(rows):
        answer["$skipToken"] = str(start + options.top)
    return answer


def _refused(code: str, message: str) -> Response:
    error = {
        "code": "BadRequest",
        "message": "Please provide below info when asking for support.",
        "details": [
            {"code": "InvalidQuery", "message": "Query is invalid. Please refer to the documentation."},
            {"code": code, "message": message},
        ],
    }
    return JSONResponse({"error": error}, 400, _QUOTA)
