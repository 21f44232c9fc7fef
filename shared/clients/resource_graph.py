"""Azure Resource Graph: which backup instances are broken, over all subscriptions in a few requests.

Sources: REST reference "Resources - Resources" (2022-10-01), "Guidance for pagination", "Guidance for throttled
requests" and "Troubleshoot errors using Azure Resource Graph".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests

from shared import logs
from shared.clients.arm_transport import NO_TOKEN, ArmTransport, cloud_error, is_transient, json_object
from shared.domain.arm_results import ArmError, TransientFailure, new_error
from shared.domain.resource_ids import BackupInstanceId, InvalidResourceId

BROKEN = ("ProtectionError", "ConfiguringProtectionFailed")
"""Values of `properties.currentProtectionState` that a sync can mend."""

# Without an order, pages repeat rows and miss others; a result whose columns are all `dynamic` is not paged at
# all ("Guidance for pagination", Azure Resource Graph).
QUERY = (
    "recoveryservicesresources"
    " | where type =~ 'microsoft.dataprotection/backupvaults/backupinstances'"
    " | extend protectionState = tostring(properties.currentProtectionState)"
    f" | where protectionState in~ ({', '.join(repr(state) for state in BROKEN)})"
    " | project id, protectionState"
    " | order by id asc"
)

_KNOWN = {state.lower(): state for state in BROKEN}


@dataclass(frozen=True, slots=True)
class Finding:
    """An instance that is broken, as Resource Graph knows it: some minutes ago."""

    instance: BackupInstanceId
    protection_state: str
    """One of `BROKEN`."""


@dataclass(frozen=True, slots=True)
class NoFinding:
    """A row that names no broken instance, and why it does not."""

    reason: str


API_VERSION = "2022-10-01"
_PATH = "/providers/Microsoft.ResourceGraph/resources"
_PAGE = 1000
"""Rows: the most that `$top` takes."""
_SUBSCRIPTIONS = 1000
"""The most that one request may name ("Troubleshoot errors", too many subscriptions)."""
_TRIES = 4
_BACK_OFF = timedelta(seconds=2)
_WINDOW = timedelta(seconds=5)
"""The quota is counted in windows of so long, 15 queries in each."""
_SHOWN = 10
"""Rows that cannot be read and are logged one by one."""


@dataclass(frozen=True, slots=True)
class GraphRefused:
    """Resource Graph will not answer, and asking again changes nothing (no permission, for example)."""

    status: int
    error: ArmError


@dataclass(frozen=True, slots=True)
class BrokenInstances:
    """What Resource Graph knows."""

    findings: Sequence[Finding]
    unreadable: int
    """Rows that name no broken instance; each was logged with its reason."""


GraphAnswer = BrokenInstances | GraphRefused | TransientFailure


class ResourceGraph:
    """Asks one query of these subscriptions, page by page."""

    def __init__(
        self,
        endpoint: str,
        subscriptions: Sequence[str],
        calls: ArmTransport,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        """Without subscriptions, all that the identity can read are asked."""
        self._url = f"{endpoint}{_PATH}?api-version={API_VERSION}"
        self._subscriptions = subscriptions
        self._calls = calls
        self._now = now
        self._sleep = sleep

    def broken(self, deadline: datetime) -> GraphAnswer:
        """All broken instances, or none: a page that cannot be had until the deadline spoils the answer."""
        rows: list[object] = []
        for scope in self._scopes():
            spoilt = self._read(scope, rows, deadline)
            if spoilt is not None:
                return spoilt
        findings, rest = read_rows(rows)
        for nothing in rest[:_SHOWN]:
            logs.warning("sweep.row_skipped", reason=nothing.reason)
        return BrokenInstances(findings, len(rest))

    def _scopes(self) -> Iterator[Mapping[str, Any]]:
        """The part of the request that says where to look."""
        if not self._subscriptions:
            # Over 10,000 subscriptions the answer is about the first 10,000 of them, instead of an error.
            yield {"options": {"allowPartialScopes": True}}
        for start in range(0, len(self._subscriptions), _SUBSCRIPTIONS):
            yield {"subscriptions": list(self._subscriptions[start : start + _SUBSCRIPTIONS])}

    def _read(
        self, scope: Mapping[str, Any], rows: list[object], deadline: datetime
    ) -> GraphRefused | TransientFailure | None:
        """Add the rows of all pages; returns what kept one of them from coming."""
        token: str | None = None
        while True:
            options = {**scope.get("options", {}), "resultFormat": "objectArray", "$top": _PAGE}
            if token:
                options["$skipToken"] = token
            response = self._page({**scope, "query": QUERY, "options": options}, deadline)
            if not isinstance(response, requests.Response):
                return response
            body = json_object(response)
            page, following = body.get("data"), body.get("$skipToken")
            if not isinstance(page, list):
                return TransientFailure(new_error("InvalidResponse", "Resource Graph answered without rows"))
            rows += page
            _warn_of_missing(body, response)
            if not following:
                return None
            if not isinstance(following, str) or following == token:
                return TransientFailure(new_error("InvalidResponse", "Resource Graph names a next page that is none"))
            token = following
            if response.headers.get("x-ms-user-quota-remaining") == "0":
                self._sleep(_until_reset(response).total_seconds())

    def _page(self, body: Mapping[str, Any], deadline: datetime) -> requests.Response | GraphRefused | TransientFailure:
        """One page, asked for a few times when Resource Graph is throttling or down."""
        answer = self._ask(body)
        for number in range(1, _TRIES):
            if not isinstance(answer, TransientFailure) or answer.error["code"] == NO_TOKEN:
                return answer
            wait = _BACK_OFF * number if answer.retry_after is None else timedelta(seconds=answer.retry_after)
            if self._now() + wait > deadline:
                return answer
            logs.warning("sweep.query_deferred", seconds=wait.total_seconds(), error=answer.error)
            self._sleep(wait.total_seconds())
            answer = self._ask(body)
        return answer

    def _ask(self, body: Mapping[str, Any]) -> requests.Response | GraphRefused | TransientFailure:
        response = self._calls.send("POST", self._url, body=body)
        if isinstance(response, TransientFailure) or response.status_code == 200:
            return response
        if is_transient(response.status_code):
            answer = self._calls.not_answered(response)
            throttled = response.status_code == 429 and answer.retry_after is None
            return TransientFailure(answer.error, _until_reset(response).total_seconds()) if throttled else answer
        return GraphRefused(response.status_code, cloud_error(response))


def _until_reset(response: requests.Response) -> timedelta:
    """Until the quota is full again: `x-ms-user-quota-resets-after` (hh:mm:ss), at most a minute."""
    parts = response.headers.get("x-ms-user-quota-resets-after", "").split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 2 for part in parts):
        return _WINDOW
    hours, minutes, seconds = map(int, parts)
    return min(timedelta(hours=hours, minutes=minutes, seconds=seconds), timedelta(minutes=1))


def _warn_of_missing(body: Mapping[str, Any], response: requests.Response) -> None:
    """Say when an answer is not about everything that was asked."""
    hit = response.headers.get("x-ms-tenant-subscription-limit-hit", "").lower() == "true"
    cut = str(body.get("resultTruncated", "false")).lower() == "true" and not body.get("$skipToken")
    if hit or cut:
        limit = "the first 10,000 subscriptions" if hit else f"{body.get('count')!a} rows"
        logs.warning("sweep.incomplete", reason=f"Resource Graph shows only {limit}; name SWEEP_SUBSCRIPTIONS")


def read_rows(rows: Iterable[object]) -> tuple[list[Finding], list[NoFinding]]:
    """Sort rows of `QUERY` into findings and the rest; a broken instance that comes twice is one finding."""
    findings: dict[BackupInstanceId, Finding] = {}
    rest: list[NoFinding] = []
    for row in rows:
        match read_row(row):
            case Finding() as finding:
                findings.setdefault(finding.instance, finding)
            case NoFinding() as nothing:
                rest.append(nothing)
    return list(findings.values()), rest


def read_row(row: object) -> Finding | NoFinding:
    """Read one row: `{"id", "protectionState"}`."""
    if not isinstance(row, Mapping):
        return NoFinding(f"expected an object, got {type(row).__name__}")
    try:
        instance = BackupInstanceId.parse(row.get("id"))
    except InvalidResourceId as invalid:
        return NoFinding(f"id: {invalid}")
    if str(instance).lower() != _plain(row["id"]):
        return NoFinding(f"id: {ascii(row['id'])[:300]} is something below a backup instance")
    state = row.get("protectionState")
    known = _KNOWN.get(state.lower()) if isinstance(state, str) else None
    if known is None:
        return NoFinding(f"protectionState: {ascii(state)[:100]} is none of {', '.join(BROKEN)}")
    return Finding(instance, known)


def _plain(resource_id: Any) -> str:
    return f"/{str(resource_id).strip().strip('/').lower()}"
