"""Client of Azure Resource Graph: the broken backup instances of all subscriptions in a few requests.

Sources: REST reference "Resources - Resources" (2022-10-01), "Guidance for pagination", "Guidance for throttled
requests" and "Troubleshoot errors using Azure Resource Graph".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests

from shared import logs
from shared.clients.arm_transport import (
    NO_TOKEN,
    ArmTransport,
    is_transient,
    is_verdict,
    json_object,
    response_error,
    transient_failure,
)
from shared.clock import from_iso
from shared.domain.arm_results import NO_RESPONSE, Refused, TransientFailure, new_error
from shared.domain.resource_ids import BackupInstanceId, InvalidResourceId, foreign_id

API_VERSION = "2022-10-01"
BROKEN_STATES = ("ProtectionError", "ConfiguringProtectionFailed")
"""Values of `properties.currentProtectionState` that a sync can mend."""

# Without an order, pages repeat rows and miss others; a result whose columns are all `dynamic` is not paged at
# all ("Guidance for pagination", Azure Resource Graph).
QUERY = (
    "recoveryservicesresources"
    " | where type =~ 'microsoft.dataprotection/backupvaults/backupinstances'"
    " | extend protectionState = tostring(properties.currentProtectionState)"
    f" | where protectionState in~ ({', '.join(repr(state) for state in BROKEN_STATES)})"
    " | extend errorCode = tostring(properties.protectionErrorDetails.code)"
    " | extend latestRecoveryPoint = tostring(properties.backupInstanceExtendedProperties.recoveryPointInfo"
    ".latestRecoveryPointInPrimaryRegion)"
    " | extend datasourceId = tostring(properties.dataSourceInfo.resourceID)"
    " | extend snapshotGroupId = tostring(properties.policyInfo.policyParameters.dataStoreParametersList[0]"
    ".resourceGroupId)"
    " | project id, protectionState, errorCode, latestRecoveryPoint, datasourceId, snapshotGroupId"
    " | order by id asc"
)

_PAGE_SIZE = 1000
"""Rows: the most that `$top` takes."""
_MAX_SUBSCRIPTIONS = 1000
"""The most that one request may name ("Troubleshoot errors", too many subscriptions)."""
_MAX_TRIES = 4
"""Of one page."""
_RETRY_DELAY = timedelta(seconds=2)
_QUOTA_WINDOW = timedelta(seconds=5)
"""The quota is 15 queries in each window."""
_MAX_QUOTA_WAIT = timedelta(minutes=1)
_MAX_LOGGED_ROWS = 10
"""Rows that cannot be read and are logged one by one."""


@dataclass(frozen=True, slots=True)
class BrokenInstance:
    """A row of the result: an instance as Resource Graph knows it, which is some minutes old."""

    id: BackupInstanceId
    protection_state: str
    """One of `BROKEN_STATES`."""
    error_code: str = ""
    """Empty where the row has none."""
    latest_recovery_point: datetime | None = None
    """None where there is none yet, which Resource Graph shows as year 1, or the row has no such time."""
    datasource_id: str | None = None
    snapshot_group_id: str | None = None


@dataclass(frozen=True, slots=True)
class QuerySucceeded:
    """All broken instances."""

    instances: Sequence[BrokenInstance]
    unreadable: int
    """How many rows name no broken instance; the first of them are logged with the reason."""


QueryResult = QuerySucceeded | Refused | TransientFailure


@dataclass(eq=False)
class QueryFailed(Exception):
    """Resource Graph did not answer, or not to the end."""

    result: Refused | TransientFailure


class ResourceGraph:
    """Asks one query of these subscriptions, page by page."""

    def __init__(
        self,
        endpoint: str,
        subscriptions: Sequence[str],
        transport: ArmTransport,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        """Without subscriptions, all that the identity can read are asked."""
        self._url = f"{endpoint}/providers/Microsoft.ResourceGraph/resources?api-version={API_VERSION}"
        self._subscriptions = subscriptions
        self._transport = transport
        self._now = now
        self._sleep = sleep

    def broken_instances(self, deadline: datetime) -> QueryResult:
        """All broken instances, or none of them: every page must come before the deadline."""
        rows: list[object] = []
        for scope in self._scopes():
            scope_rows = self._read_pages(QUERY, scope, deadline)
            if not isinstance(scope_rows, list):
                return scope_rows
            rows += scope_rows
        instances, unreadable = read_rows(rows)
        for reason in unreadable[:_MAX_LOGGED_ROWS]:
            logs.warning("sweep.row_skipped", reason=reason)
        return QuerySucceeded(instances, len(unreadable))

    def rows(self, query: str, subscription_id: str, deadline: datetime) -> list[object] | Refused | TransientFailure:
        """All rows of a query about one subscription, or none of them: every page must come before the deadline."""
        return self._read_pages(query, {"subscriptions": [subscription_id]}, deadline)

    def pages(self, query: str, deadline: datetime) -> Iterator[list[object]]:
        """The rows of a query about all subscriptions, a page at a time, so that no more than one need be kept.

        Raises:
            QueryFailed: Resource Graph gave no further page; those before it are good.
        """
        for scope in self._scopes():
            for page in self._pages(query, scope, deadline):
                yield page
                if self._now() > deadline:
                    raise QueryFailed(TransientFailure(new_error(NO_RESPONSE, "no time for further pages")))

    def _scopes(self) -> Iterator[Mapping[str, Any]]:
        """The parts of the request body that say where to look, one for each request."""
        if not self._subscriptions:
            # Over 10,000 subscriptions the answer is about the first 10,000 of them, instead of an error.
            yield {"options": {"allowPartialScopes": True}}
        for start in range(0, len(self._subscriptions), _MAX_SUBSCRIPTIONS):
            yield {"subscriptions": list(self._subscriptions[start : start + _MAX_SUBSCRIPTIONS])}

    def _read_pages(
        self, query: str, scope: Mapping[str, Any], deadline: datetime
    ) -> list[object] | Refused | TransientFailure:
        """The rows of all pages."""
        try:
            return [row for page in self._pages(query, scope, deadline) for row in page]
        except QueryFailed as failed:
            return failed.result

    def _pages(self, query: str, scope: Mapping[str, Any], deadline: datetime) -> Iterator[list[object]]:
        """The rows, a page at a time; raises `QueryFailed` where the next page does not come."""
        options = {**scope.get("options", {}), "resultFormat": "objectArray", "$top": _PAGE_SIZE}
        while True:
            response = self._read_page({**scope, "query": query, "options": options}, deadline)
            if not isinstance(response, requests.Response):
                raise QueryFailed(response)
            body = json_object(response)
            page, skip_token = body.get("data"), body.get("$skipToken")
            if not isinstance(page, list):
                raise QueryFailed(_invalid("Resource Graph answered without rows"))
            _warn_if_incomplete(body, response)
            yield page
            if not skip_token:
                return
            if not isinstance(skip_token, str) or skip_token == options.get("$skipToken"):
                raise QueryFailed(_invalid("Resource Graph names a next page that is none"))
            options["$skipToken"] = skip_token
            if response.headers.get("x-ms-user-quota-remaining") == "0":
                self._sleep(_until_quota_reset(response).total_seconds())

    def _read_page(self, body: Mapping[str, Any], deadline: datetime) -> requests.Response | Refused | TransientFailure:
        """One page, asked for a few times when Resource Graph is throttling or down."""
        result = self._post(body)
        for tries in range(1, _MAX_TRIES):
            if not isinstance(result, TransientFailure) or result.error["code"] == NO_TOKEN:
                return result
            wait = _RETRY_DELAY * tries if result.retry_after is None else timedelta(seconds=result.retry_after)
            if self._now() + wait > deadline:
                return result
            logs.warning("sweep.query_deferred", seconds=wait.total_seconds(), error=result.error)
            self._sleep(wait.total_seconds())
            result = self._post(body)
        return result

    def _post(self, body: Mapping[str, Any]) -> requests.Response | Refused | TransientFailure:
        response = self._transport.send("POST", self._url, body=body)
        if isinstance(response, TransientFailure) or response.status_code == 200:
            return response
        if not is_transient(response.status_code) and is_verdict(response):
            return Refused(response.status_code, response_error(response))
        failure = transient_failure(response)
        if response.status_code == 429 and failure.retry_after is None:
            return TransientFailure(failure.error, _until_quota_reset(response).total_seconds())
        return failure


def _invalid(message: str) -> TransientFailure:
    return TransientFailure(new_error("InvalidResponse", message))


def _until_quota_reset(response: requests.Response) -> timedelta:
    """Until the quota is full again: `x-ms-user-quota-resets-after` (hh:mm:ss), at most a minute."""
    parts = response.headers.get("x-ms-user-quota-resets-after", "").split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 2 for part in parts):
        return _QUOTA_WINDOW
    hours, minutes, seconds = map(int, parts)
    return min(timedelta(hours=hours, minutes=minutes, seconds=seconds), _MAX_QUOTA_WAIT)


def _warn_if_incomplete(body: Mapping[str, Any], response: requests.Response) -> None:
    """Log when a page is not about everything that was asked."""
    hit = response.headers.get("x-ms-tenant-subscription-limit-hit", "").lower() == "true"
    cut = str(body.get("resultTruncated", "false")).lower() == "true" and not body.get("$skipToken")
    if hit or cut:
        limit = "the first 10,000 subscriptions" if hit else f"{body.get('count')!a} rows"
        logs.warning("sweep.incomplete", reason=f"Resource Graph shows only {limit}; name SWEEP_SUBSCRIPTIONS")


def read_rows(rows: Iterable[object]) -> tuple[list[BrokenInstance], list[str]]:
    """Read rows of `QUERY`: the instances, each once, and the reasons why other rows name none."""
    broken: dict[BackupInstanceId, BrokenInstance] = {}
    unreadable: list[str] = []
    for row in map(read_row, rows):
        if isinstance(row, BrokenInstance):
            broken.setdefault(row.id, row)
        else:
            unreadable.append(row)
    return list(broken.values()), unreadable


def read_row(row: object) -> BrokenInstance | str:
    """Read one row of `QUERY`; returns the reason where it names no broken instance."""
    if not isinstance(row, Mapping):
        return f"expected an object, got {type(row).__name__}"
    try:
        instance = BackupInstanceId.parse(row.get("id"))
    except InvalidResourceId as invalid:
        return f"id: {invalid}"
    if str(instance).lower() != f"/{row['id'].strip().strip('/').lower()}":
        return f"id: {ascii(row['id'])[:300]} is something below a backup instance"
    state = row.get("protectionState")
    for broken_state in BROKEN_STATES:
        if isinstance(state, str) and state.lower() == broken_state.lower():
            code = row.get("errorCode")
            point = _recovery_point(row.get("latestRecoveryPoint"))
            return BrokenInstance(
                instance,
                broken_state,
                code if isinstance(code, str) else "",
                point,
                foreign_id(row.get("datasourceId")),
                foreign_id(row.get("snapshotGroupId")),
            )
    return f"protectionState: {ascii(state)[:100]} is none of {', '.join(BROKEN_STATES)}"


def _recovery_point(text: object) -> datetime | None:
    try:
        point = from_iso(text) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None
    return point if point and point.year > 1 else None
