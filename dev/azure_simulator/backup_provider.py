"""The resource provider Microsoft.DataProtection: backups on demand, policies, jobs and recovery points."""

from collections.abc import Iterator

import msgspec
from starlette.responses import JSONResponse, Response

from dev.azure_simulator.backup_answers import show_job, show_point, show_policy, show_time_ranges
from dev.azure_simulator.backups import Job
from dev.azure_simulator.data_protection import ArmRequest, DataProtection
from dev.azure_simulator.errors import cloud_error
from dev.azure_simulator.vaults import Instance, Vaults


class _Trigger(msgspec.Struct, rename="camel"):
    retention_tag_override: str | None = None


class _RuleOptions(msgspec.Struct, rename="camel"):
    rule_name: str
    trigger_option: _Trigger


class _BackupRequest(msgspec.Struct, rename="camel"):
    backup_rule_options: _RuleOptions


class BackupProvider:
    """Answers about backups; what they share with sync is asked of `DataProtection`."""

    def __init__(self, vaults: Vaults, data_protection: DataProtection) -> None:
        self._vaults = vaults
        self._data_protection = data_protection

    def backup(self, call: ArmRequest) -> Response:
        """`POST .../backupInstances/{name}/backup` ("Backup Instances - Adhoc Backup")."""
        instance = call.instance
        if instance is None:
            return self._data_protection.not_found(call)
        try:
            wanted = msgspec.json.decode(call.body, type=_BackupRequest).backup_rule_options
        except msgspec.DecodeError as error:
            message = f"The request content was invalid and could not be deserialized: {error}."
            return cloud_error(400, "InvalidRequestContent", message)
        policy = instance.backups.policy
        tag = wanted.trigger_option.retention_tag_override
        if policy.is_continuous or wanted.rule_name != policy.rule_name or tag not in (None, policy.retention_tag):
            message = f"The policy '{policy.name}' has no rule '{wanted.rule_name}' with the tag '{tag}'."
            return cloud_error(400, "BMSUserErrorInvalidInput", message)
        operation = self._vaults.start_backup(instance, call.now)
        headers = self._data_protection.follow(call, operation, self._vaults.behaviour(instance))
        return Response(status_code=202, headers=headers)

    def policy(self, call: ArmRequest) -> Response:
        """`GET .../backupPolicies/{name}`: a policy is there while an instance has it."""
        for instance in self._vaults.instances(call.vault_key):
            policy = instance.backups.policy
            if policy.name.lower() == call.names["policy"].lower():
                return JSONResponse(show_policy(instance, policy))
        message = f"The Resource 'backupPolicies/{call.names['policy']}' was not found."
        return cloud_error(404, "ResourceNotFound", message)

    def job(self, call: ArmRequest) -> Response:
        """`GET .../backupJobs/{id}`."""
        for instance in self._vaults.instances(call.vault_key):
            if job := instance.backups.job(call.names["job"]):
                return JSONResponse(show_job(instance, job, call.now))
        return cloud_error(404, "ResourceNotFound", f"The job '{call.names['job']}' was not found.")

    def jobs(self, call: ArmRequest) -> Response:
        """`GET .../backupJobs`: all jobs of the vault, newest first."""
        shown = sorted(self._jobs(call), key=lambda each: each[1].started, reverse=True)
        return JSONResponse({"value": [show_job(instance, job, call.now) for instance, job in shown]})

    def recovery_points(self, call: ArmRequest) -> Response:
        """`GET .../backupInstances/{name}/recoveryPoints`, newest first."""
        instance = call.instance
        if instance is None:
            return self._data_protection.not_found(call)
        points = instance.backups.points_at(call.now)
        return JSONResponse({"value": [show_point(instance, point) for point in points]})

    def time_ranges(self, call: ArmRequest) -> Response:
        """`POST .../backupInstances/{name}/findRestorableTimeRanges`."""
        if call.instance is None:
            return self._data_protection.not_found(call)
        return JSONResponse(show_time_ranges(call.instance, call.now))

    def _jobs(self, call: ArmRequest) -> Iterator[tuple[Instance, Job]]:
        for instance in self._vaults.instances(call.vault_key):
            for job in instance.backups.jobs:
                yield instance, job
