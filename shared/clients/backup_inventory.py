"""Policies, failed jobs and well instances of all subscriptions, and how many instances, as Resource Graph knows them.

Four queries. Instances come page by page and are not kept; schedules and jobs are, in as few bytes as it takes.

Sources: "Supported tables and resources in Azure Resource Graph", `recoveryservicesresources`; properties as the REST
reference shows them: "Backup Policies - Get", "Jobs - Get", "Backup Instances - Get" (2024-04-01). Jobs are there for
14 days ("Query your backups using Azure Resource Graph").
"""

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime

from shared import logs
from shared.clients.arm_backups import read_schedule
from shared.clients.arm_transport import as_object
from shared.clients.resource_graph import ResourceGraph
from shared.clock import foreign_time
from shared.domain.backup_results import Schedule
from shared.domain.finding import ScheduledJob, WellInstance
from shared.domain.resource_ids import normalize

POLICIES_QUERY = (
    "recoveryservicesresources"
    " | where type =~ 'microsoft.dataprotection/backupvaults/backuppolicies'"
    " | project id, policyRules = properties.policyRules"
    " | order by id asc"
)
JOBS_QUERY = (
    "recoveryservicesresources"
    " | where type =~ 'microsoft.dataprotection/backupvaults/backupjobs'"
    " | where tostring(properties.operationCategory) =~ 'Backup'"
    " | where tostring(properties.isUserTriggered) =~ 'false'"
    " | extend status = tostring(properties.status)"
    " | where status in~ ('Failed', 'InProgress')"
    " | extend instanceId = tostring(properties.backupInstanceId)"
    " | extend startTime = tostring(properties.startTime)"
    " | extend endTime = tostring(properties.endTime)"
    " | extend errorCode = tostring(properties.errorDetails[0].code)"
    " | project id, instanceId, status, startTime, endTime, errorCode"
    " | order by id asc"
)
"""A job that completed is not asked for, it would be all of them: it has left a recovery point, which tells as much."""
INSTANCES_QUERY = (
    "recoveryservicesresources"
    " | where type =~ 'microsoft.dataprotection/backupvaults/backupinstances'"
    " | where tostring(properties.currentProtectionState) =~ 'ProtectionConfigured'"
    " | extend policyId = tostring(properties.policyInfo.policyId)"
    " | extend latestPoint = tostring(properties.backupInstanceExtendedProperties.recoveryPointInfo"
    ".latestRecoveryPointInPrimaryRegion)"
    " | project id, policyId, latestPoint"
    " | order by id asc"
)
COUNT_QUERY = (
    "recoveryservicesresources"
    " | where type =~ 'microsoft.dataprotection/backupvaults/backupinstances'"
    " | summarize instances = count() by subscriptionId"
    " | order by subscriptionId asc"
)
MAX_JOBS = 100_000
"""Instances of which a job is kept: about 70 MB."""
MAX_SCHEDULES = 100_000
_NO_YEAR = 1
"""`0001-01-01` means that there is no such time."""
_MAX_NAME_CHARS = 100
"""Of a job's name, which is a UUID, and of an error's code."""


class BackupInventory:
    """Asks Resource Graph. Each method raises `resource_graph.QueryFailed` where that gives no further page."""

    def __init__(self, graph: ResourceGraph) -> None:
        """Ask about the subscriptions that `graph` is about."""
        self._graph = graph

    def count(self, deadline: datetime) -> int:
        """How many backup instances there are, whatever their state."""
        rows = (as_object(row) for page in self._graph.pages(COUNT_QUERY, deadline) for row in page)
        counts = (row.get("instances") for row in rows)
        return sum(count for count in counts if isinstance(count, int) and count > 0)

    def schedules(self, deadline: datetime) -> Mapping[str, Schedule]:
        """The schedules of all policies, by the policy's normalized id."""
        found: dict[str, Schedule] = {}
        for page in self._graph.pages(POLICIES_QUERY, deadline):
            for policy_id, schedule in filter(None, map(read_policy, page)):
                if len(found) < MAX_SCHEDULES:
                    found[policy_id] = schedule
        _warn_if_full("policies", len(found), MAX_SCHEDULES)
        return found

    def jobs(self, deadline: datetime) -> Mapping[str, ScheduledJob]:
        """The newest scheduled job that did not complete, by the normalized id of its instance."""
        newest: dict[str, ScheduledJob] = {}
        for page in self._graph.pages(JOBS_QUERY, deadline):
            for key, job in filter(None, map(read_job, page)):
                before = newest.get(key)
                if job.started_at > before.started_at if before else len(newest) < MAX_JOBS:
                    newest[key] = job
        _warn_if_full("jobs", len(newest), MAX_JOBS)
        return newest

    def instances(self, deadline: datetime) -> Iterator[list[WellInstance]]:
        """The instances that are well, a page at a time."""
        for page in self._graph.pages(INSTANCES_QUERY, deadline):
            yield list(filter(None, map(read_instance, page)))


def read_policy(row: object) -> tuple[str, Schedule] | None:
    """Read one row, `{"id", "policyRules"}`; None where it names no policy or has no rules."""
    policy = as_object(row)
    policy_id, rules = policy.get("id"), policy.get("policyRules")
    if not isinstance(policy_id, str) or not isinstance(rules, list) or not rules:
        return None
    schedule = read_schedule({"properties": {"policyRules": rules}})
    return normalize(policy_id), schedule


def read_job(row: object) -> tuple[str, ScheduledJob] | None:
    """Read one row of `JOBS_QUERY`; None where it names no instance or no start.

    Jobs that fail share few codes: these are kept once.
    """
    job = as_object(row)
    job_id, instance_id, code = job.get("id"), job.get("instanceId"), job.get("errorCode")
    started_at = _time(job.get("startTime"))
    if not isinstance(job_id, str) or not isinstance(instance_id, str) or started_at is None:
        return None
    return normalize(instance_id), ScheduledJob(
        id=job_id.rpartition("/")[2][:_MAX_NAME_CHARS],
        started_at=started_at,
        ended_at=max(_time(job.get("endTime")) or started_at, started_at),
        has_failed=str(job.get("status")).lower() == "failed",
        error_code=sys.intern(code[:_MAX_NAME_CHARS]) if isinstance(code, str) and code else None,
    )


def read_instance(row: object) -> WellInstance | None:
    """Read one row of `INSTANCES_QUERY`; None where it names no instance, or says nothing about recovery points."""
    found = as_object(row)
    instance_id, policy_id = found.get("id"), found.get("policyId")
    point = foreign_time(_text(found.get("latestPoint")))
    if not isinstance(instance_id, str) or not isinstance(policy_id, str) or point is None:
        return None
    return WellInstance(instance_id, normalize(policy_id), point if point.year > _NO_YEAR else None)


def _time(value: object) -> datetime | None:
    time = foreign_time(_text(value))
    return time if time and time.year > _NO_YEAR else None


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _warn_if_full(what: str, count: int, most: int) -> None:
    if count >= most:
        logs.warning("sweep.incomplete", reason=f"more than {most} {what}: those beyond are not looked at")
