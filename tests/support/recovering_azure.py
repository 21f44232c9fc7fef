"""Resource Manager and Resource Graph behind a `requests.Session`, in memory: one instance whose backup has failed.

A backup on demand runs for a minute; the night's own backup, a day after the failure, is made in any case. Each kind of
request can meet one of the faults of the matrix (`tests.support.faults`).
"""

import json
import re
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from shared.clock import to_iso
from tests.support.clock import Clock
from tests.support.gateway import Answer, Fault
from tests.support.remediations import INSTANCE

INSTANCE_READ = "instance"
POLICY, POINTS, BACKUP, JOB, STATUS = "policy", "recovery points", "backup", "job", "operation status"
LATEST, INVENTORY = "latest points", "inventory"
_VAULT = INSTANCE.vault_id.url_path
_OPERATION = f"{_VAULT}/operationStatus/1"
_KINDS = (
    (re.compile(r"POST .*/backup\?"), BACKUP),
    (re.compile(r"GET .*/recoveryPoints\?"), POINTS),
    (re.compile(r"GET .*/backupJobs/"), JOB),
    (re.compile(r"GET .*/operationStatus/"), STATUS),
    (re.compile(r"GET .*/backupPolicies/"), POLICY),
    (re.compile(r"GET .*/backupInstances/"), INSTANCE_READ),
)
_BACKUP_TIME, _DAY = timedelta(minutes=1), timedelta(days=1)
_JSON = {"Content-Type": "application/json"}


class RecoveringAzure(BaseAdapter):
    """An adapter of `requests`: an answer for each request, by the clock."""

    def __init__(self, endpoint: str, clock: Clock) -> None:
        super().__init__()
        self._endpoint, self._clock = endpoint, clock
        self._failed_at = clock()
        self._backups: list[datetime] = []
        self.is_endless = False
        """Whether a backup on demand runs for ever."""
        self.has_endless_pages = False
        """Whether each page of recovery points names another one."""
        self.state = "ProtectionConfigured"
        """Of the instance."""
        self.has_earlier_point = True
        self.has_future_point = False
        """Whether there is a point of a time next year."""
        self.has_night = True
        """Whether the night's own backup is made."""
        self.asked: Counter[str] = Counter()
        """Requests, by kind."""
        self._fault: tuple[str, Fault, int | None] | None = None

    @property
    def backups(self) -> int:
        """How many backups on demand were begun."""
        return len(self._backups)

    def arm_fault(self, kind: str, fault: Fault, times: int | None = None) -> None:
        """The next so many requests of this kind meet the fault; without a number, all do."""
        self._fault = kind, fault, times

    def fault_passes(self) -> None:
        """No request meets it any more."""
        self._fault = None

    def session(self) -> requests.Session:
        """A session that ends up here."""
        session = requests.Session()
        session.trust_env = False
        session.mount("https://", self)
        return session

    def close(self) -> None:
        """Nothing is open."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Answer it, or what the fault makes of it."""
        kind = self._kind(request)
        self.asked[kind] += 1
        fault = self._fault_of(kind)
        if fault is None:
            return _response(request, self._answer(kind, request))
        match fault.how:
            case "refuse":
                raise requests.ConnectionError("refused")
            case "be silent":
                raise requests.ReadTimeout("no answer in time")
            case "cut the body":
                self._answer(kind, request)
                raise requests.exceptions.ChunkedEncodingError("cut off")
            case "answer":
                return _response(request, fault.answer(Answer(0, {}, b"")))
            case "disguise":
                return _response(request, fault.answer(self._answer(kind, request)))

    def _fault_of(self, kind: str) -> Fault | None:
        if self._fault is None or self._fault[0] != kind:
            return None
        _, fault, times = self._fault
        if times is not None:
            self._fault = (kind, fault, times - 1) if times > 1 else None
        return fault

    def _kind(self, request: requests.PreparedRequest) -> str:
        line = f"{request.method} {request.url}"
        kind = next((kind for pattern, kind in _KINDS if pattern.match(line)), None)
        return kind or _kind_of_query(request)

    def _answer(self, kind: str, request: requests.PreparedRequest) -> Answer:
        if kind == BACKUP:
            self._backups.append(self._clock())
            return Answer(202, {"Azure-AsyncOperation": f"{self._endpoint}{_OPERATION}"}, b"")
        documents = {
            POLICY: self._policy,
            INSTANCE_READ: self._instance,
            POINTS: lambda: {"value": [_point(at) for at in self._points()], **self._next_link(str(request.url))},
            JOB: lambda: {"properties": {"status": "Completed" if self._is_over() else "InProgress"}},
            STATUS: lambda: {"status": "Succeeded", "properties": {"jobId": f"{_VAULT}/backupJobs/1"}},
            LATEST: lambda: {"data": [{"id": str(INSTANCE), "latestPoint": self._latest_point()}]},
            INVENTORY: lambda: {"data": self._inventory(json.loads(request.body or b"{}")["query"])},
        }
        return Answer(200, _JSON, json.dumps(documents[kind]()).encode())

    def _next_link(self, url: str) -> dict[str, str]:
        return {"nextLink": url} if self.has_endless_pages else {}

    def _points(self) -> list[datetime]:
        made = [at for at in self._backups if at + _BACKUP_TIME <= self._clock() and not self.is_endless]
        is_morning = self.has_night and self._clock() >= self._failed_at + _DAY
        night = [self._failed_at + _DAY] if is_morning else []
        earlier = [self._failed_at - _DAY] if self.has_earlier_point else []
        future = [self._failed_at + 365 * _DAY] if self.has_future_point else []
        return [*earlier, *made, *night, *future]

    def _latest_point(self) -> str:
        points = self._points()
        return to_iso(max(points)) if points else "0001-01-01T00:00:00Z"

    def _is_over(self) -> bool:
        return not self.is_endless and all(at + _BACKUP_TIME <= self._clock() for at in self._backups)

    def _instance(self) -> dict[str, Any]:
        policy = {"policyId": f"{INSTANCE.vault_id}/backupPolicies/daily"}
        return {"properties": {"currentProtectionState": self.state, "policyInfo": policy}}

    def _policy(self) -> dict[str, Any]:
        trigger = {
            "schedule": {"repeatingTimeIntervals": ["R/2026-01-01T00:00:00+00:00/P1D"]},
            "taggingCriteria": [{"isDefault": True, "tagInfo": {"tagName": "Default"}}],
        }
        rule = {"objectType": "AzureBackupRule", "name": "BackupDaily", "trigger": trigger}
        return {"properties": {"policyRules": [rule]}}

    def _inventory(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query: a policy, a failed job, an instance that is well."""
        policy_id = f"{INSTANCE.vault_id}/backupPolicies/daily"
        if "backuppolicies" in query:
            return [{"id": policy_id, **self._policy()["properties"]}]
        if "backupjobs" in query:
            started = to_iso(self._failed_at)
            job = {"id": f"{_VAULT}/backupJobs/0", "instanceId": str(INSTANCE), "status": "Failed"}
            return [{**job, "startTime": started, "endTime": started, "errorCode": "UserErrorAny"}]
        point = to_iso(self._failed_at - _DAY)
        return [{"id": str(INSTANCE), "policyId": policy_id, "latestPoint": point}]


def _kind_of_query(request: requests.PreparedRequest) -> str:
    query = json.loads(request.body or b"{}")["query"]
    asks_for_one = "policyId" not in query and "latestPoint" in query
    return LATEST if asks_for_one else INVENTORY


def _point(at: datetime) -> dict[str, Any]:
    return {"properties": {"recoveryPointId": at.strftime("%s"), "recoveryPointTime": to_iso(at)}}


def _response(request: requests.PreparedRequest, answer: Answer) -> requests.Response:
    response = requests.Response()
    response.status_code, response.headers = answer.status, CaseInsensitiveDict(answer.headers)
    response._content = answer.body
    response.url, response.request = str(request.url), request
    return response
