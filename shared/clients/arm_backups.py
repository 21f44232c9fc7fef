"""Client of Azure Resource Manager for what makes a backup one: policy, recovery points, backups on demand, jobs.

Every method returns a fact from `domain.backup_results`; a call without a verdict is a `TransientFailure`. Sources:
REST reference 2024-04-01, "Backup Policies - Get", "Recovery Points - List", "Restorable Time Ranges - Find", "Backup
Instances - Adhoc Backup", "Jobs - Get"; recordings of the tests of Azure CLI's extension `dataprotection`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import requests

from shared import logs
from shared.clients.arm import API_VERSION, ArmClient
from shared.clients.arm_transport import (
    arm_error,
    as_object,
    is_verdict,
    json_object,
    response_error,
    retry_after,
    transient_failure,
)
from shared.clients.url_guard import UnsafeUrl
from shared.clock import from_iso, to_iso
from shared.domain.arm_results import OperationUrls, Refused, SyncConflict, TransientFailure, new_error
from shared.domain.backup_results import (
    BackupAccepted,
    BackupResult,
    JobRead,
    JobResult,
    PointsRead,
    PointsResult,
    RecoveryPoint,
    Schedule,
    ScheduleResult,
)
from shared.domain.iso_duration import interval_of
from shared.domain.resource_ids import BackupInstanceId

_MAX_PAGES = 20
"""Of recovery points: more than a policy keeps."""
_PERMANENT = frozenset({400, 404, 405, 422})
"""Refusals that the same call will meet again; 401 and 403 pass once a new role assignment acts."""
_TIME_RANGES = timedelta(days=7)
"""How far back restorable time ranges are asked for: their newest end is what counts."""
_NO_YEAR = 1
"""`0001-01-01` is how the service says that there is no time."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,149}")
"""Of a policy or a job, as it is put into a URL."""


class ArmBackups:
    """Calls about the backups of one instance."""

    def __init__(self, endpoint: str, arm: ArmClient, now: Callable[[], datetime]) -> None:
        """Call by way of this client, which counts every call in the subscription's buckets."""
        self._endpoint = endpoint
        self._arm = arm
        self._now = now

    def schedule(self, instance: BackupInstanceId) -> ScheduleResult:
        """Read the instance, and the policy that it names: two calls. Of one that is not shown, nothing is known."""
        shown = self._get(instance, f"{instance.url_path}")
        if isinstance(shown, TransientFailure | Refused):
            return shown
        policy_id = as_object(as_object(shown.get("properties")).get("policyInfo")).get("policyId")
        name = _name_in(policy_id, f"{instance.vault_id}/backupPolicies/")
        if name is None:
            return TransientFailure(new_error("InvalidResponse", "the backup instance names no policy of its vault"))
        policy = self._get(instance, f"{instance.vault_id.url_path}/backupPolicies/{quote(name, safe='')}")
        if isinstance(policy, Refused):
            logs.warning("recovery.policy_refused", backupInstanceId=str(instance), error=policy.error)
            return Schedule(None, None, None, is_continuous=False)
        if isinstance(policy, TransientFailure):
            return policy
        rules = as_object(policy.get("properties")).get("policyRules")
        if not isinstance(rules, list) or not rules:
            # Not to be taken for continuous backup, which has other rules.
            return TransientFailure(new_error("InvalidResponse", "the backup policy shows no rules"))
        return read_schedule(policy)

    def points(self, instance: BackupInstanceId, is_continuous: bool) -> PointsResult:
        """The recovery points, or for continuous backup the end of the newest time range."""
        if is_continuous:
            return self._time_ranges(instance)
        found: list[RecoveryPoint] = []
        url = self._url(f"{instance.url_path}/recoveryPoints")
        for _ in range(_MAX_PAGES):
            page = self._body(instance, self._arm.send(instance.subscription_id, "GET", url))
            if isinstance(page, TransientFailure | Refused):
                return page
            if not isinstance(page.get("value"), list):
                return TransientFailure(new_error("InvalidResponse", "recovery points were listed without a list"))
            found += _points_in(page["value"])
            url = page.get("nextLink") or ""
            if not isinstance(url, str) or not url:
                return PointsRead(_newest_first(found))
            try:
                self._arm.check_url("next link", url, instance.subscription_id)
            except UnsafeUrl as unsafe:
                return Refused(200, new_error("UnsafeNextLink", str(unsafe)))
        # What is known of them may be enough, and a verdict it is not.
        logs.warning("recovery.too_many_points", backupInstanceId=str(instance), read=len(found))
        return PointsRead(_newest_first(found))

    def back_up(
        self, instance: BackupInstanceId, rule: str, retention_tag: str | None, request_id: str
    ) -> BackupResult:
        """`POST .../backup`: a backup on demand, by this rule of the instance's policy.

        Args:
            request_id: goes along as `x-ms-client-request-id`, for Azure's own logs.
        """
        trigger = {"retentionTagOverride": retention_tag} if retention_tag else {}
        body = {"backupRuleOptions": {"ruleName": rule, "triggerOption": trigger}}
        url = self._url(f"{instance.url_path}/backup")
        response = self._arm.send(instance.subscription_id, "POST", url, request_id=request_id, body=body)
        if isinstance(response, TransientFailure):
            return response
        headers = response.headers
        match response.status_code:
            case 202:
                urls = OperationUrls(headers.get("Azure-AsyncOperation"), headers.get("Location"))
                return BackupAccepted(urls, retry_after(response))
            case 409:
                return SyncConflict(response_error(response), retry_after(response))
            case status if status >= 400 and is_verdict(response):
                return Refused(status, response_error(response))
            case _:
                return transient_failure(response)

    def job(self, instance: BackupInstanceId, job_id: str) -> JobResult:
        """`GET .../backupJobs/{id}`; the id may be the job's name or its ARM id."""
        name = job_id.rpartition("/")[2]
        if not _NAME.fullmatch(name):
            return Refused(200, new_error("InvalidJobId", "the operation names a job that is none"))
        job = self._get(instance, f"{instance.vault_id.url_path}/backupJobs/{name}")
        if isinstance(job, TransientFailure | Refused):
            return job
        properties = as_object(job.get("properties"))
        status, errors = properties.get("status"), properties.get("errorDetails")
        if not isinstance(status, str):
            return TransientFailure(new_error("InvalidResponse", "the backup job has no status"))
        first = errors[0] if isinstance(errors, list) and errors else None
        return JobRead(status, arm_error(first, f"Job{status}", f"the job is {status}") if first else None)

    def _time_ranges(self, instance: BackupInstanceId) -> PointsResult:
        now = self._now()
        body = {
            "sourceDataStoreType": "OperationalStore",
            "startTime": to_iso(now - _TIME_RANGES),
            "endTime": to_iso(now),
        }
        url = self._url(f"{instance.url_path}/findRestorableTimeRanges")
        found = self._body(instance, self._arm.send(instance.subscription_id, "POST", url, body=body))
        if isinstance(found, TransientFailure | Refused):
            return found
        ranges = as_object(found.get("properties")).get("restorableTimeRanges")
        ends = [_time(as_object(each).get("endTime")) for each in (ranges if isinstance(ranges, list) else [])]
        newest = max((end for end in ends if end), default=None)
        return PointsRead((RecoveryPoint(newest, None),) if newest else ())

    def _get(self, instance: BackupInstanceId, path: str) -> Mapping[str, Any] | Refused | TransientFailure:
        return self._body(instance, self._arm.send(instance.subscription_id, "GET", self._url(path)))

    def _body(
        self, instance: BackupInstanceId, response: requests.Response | TransientFailure
    ) -> Mapping[str, Any] | Refused | TransientFailure:
        if isinstance(response, TransientFailure):
            return response
        if response.status_code == 200:
            return json_object(response)
        if response.status_code in _PERMANENT and is_verdict(response):
            return Refused(response.status_code, response_error(response))
        return transient_failure(response)

    def _url(self, path: str) -> str:
        return f"{self._endpoint}{path}?api-version={API_VERSION}"


def read_schedule(policy: Mapping[str, Any]) -> Schedule:
    """The schedule in a backup policy; one without a rule for backups is that of continuous backup."""
    rules = as_object(policy.get("properties")).get("policyRules")
    for rule in map(as_object, rules if isinstance(rules, list) else []):
        name = rule.get("name")
        if str(rule.get("objectType")).lower() == "azurebackuprule" and isinstance(name, str) and name:
            trigger = as_object(rule.get("trigger"))
            return Schedule(name, _default_tag(trigger), _interval(trigger), is_continuous=False)
    return Schedule(None, None, None, is_continuous=True)


def _interval(trigger: Mapping[str, Any]) -> timedelta | None:
    """The shortest of the schedule's intervals."""
    texts = as_object(trigger.get("schedule")).get("repeatingTimeIntervals")
    found = (interval_of(text) for text in (texts if isinstance(texts, list) else []) if isinstance(text, str))
    return min((interval for interval in found if interval), default=None)


def _default_tag(trigger: Mapping[str, Any]) -> str | None:
    criteria = trigger.get("taggingCriteria")
    for each in map(as_object, criteria if isinstance(criteria, list) else []):
        name = as_object(each.get("tagInfo")).get("tagName")
        if each.get("isDefault") is True and isinstance(name, str) and name:
            return name
    return None


def _newest_first(points: Iterable[RecoveryPoint]) -> tuple[RecoveryPoint, ...]:
    return tuple(sorted(points, key=lambda point: point.time, reverse=True))


def _points_in(page: Iterable[object]) -> Iterator[RecoveryPoint]:
    """The entries of a page that can be restored from."""
    for entry in map(as_object, page):
        properties = as_object(entry.get("properties"))
        time = _time(properties.get("recoveryPointTime"))
        point_id = properties.get("recoveryPointId") or entry.get("name")
        is_kept = str(properties.get("recoveryPointState") or "COMMITTED").upper() in ("COMMITTED", "COMPLETED")
        if time and isinstance(point_id, str) and is_kept:
            yield RecoveryPoint(time, point_id)


def _time(value: object) -> datetime | None:
    """A time of the service's; None where it names none."""
    if not isinstance(value, str):
        return None
    try:
        # Seven digits of a second, as .NET writes them, are one too many.
        time = from_iso(re.sub(r"(\.\d{6})\d+", r"\1", value.strip()))
    except (ValueError, OverflowError):
        return None
    return time.astimezone(UTC) if time.year > _NO_YEAR else None


def _name_in(resource_id: object, parent: str) -> str | None:
    """The last segment of an id directly below the parent."""
    if not isinstance(resource_id, str) or not resource_id.lower().startswith(parent.lower()):
        return None
    name = resource_id[len(parent) :]
    return name if _NAME.fullmatch(name) else None
