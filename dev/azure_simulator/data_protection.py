"""The resource provider Microsoft.DataProtection: backup instances, their sync, and its operations."""

import email.utils
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dev.azure_simulator.behaviour import Behaviour, Json
from dev.azure_simulator.errors import cloud_error
from dev.azure_simulator.operation_urls import LOCATION, result_url, status_url
from dev.azure_simulator.vaults import Instance, Operation, VaultKey, Vaults

_TYPE = "Microsoft.DataProtection/backupVaults/backupInstances"
_PAGE_SIZE = 100
_NO_TIME = "0001-01-01T00:00:00Z"
"""The end of what runs."""


@dataclass(frozen=True, slots=True)
class ArmRequest:
    """One admitted request: the names in its path, and the instance of these names (None: there is none)."""

    request: Request
    body: bytes
    names: dict[str, str]
    """Segments of the path: subscription, group, vault, name, operation; absent ones are missing."""
    instance: Instance | None
    now: float
    """Seconds since 1970."""

    @property
    def path(self) -> str:
        """The path, decoded."""
        path: str = self.request.scope["path"]
        return path

    @property
    def vault_key(self) -> VaultKey:
        """The vault that the path names, in lower case."""
        return self.names["subscription"].lower(), self.names["group"].lower(), self.names["vault"].lower()


class _SyncRequest(msgspec.Struct, rename="camel"):
    # The API reference does not say what an absent type means; the service is asked for one by the app.
    sync_type: Literal["Default", "ForceResync"] = "Default"


class DataProtection:
    """Answers for Microsoft.DataProtection."""

    def __init__(self, vaults: Vaults, base_url: str) -> None:
        """`base_url` is this ARM's endpoint, without a slash at its end: operation URLs begin with it."""
        self._vaults = vaults
        self._base_url = base_url
        self.reset()

    def reset(self) -> None:
        """Back to pages of 100 instances."""
        self.page_size = _PAGE_SIZE

    def sync(self, call: ArmRequest) -> Response:
        """`POST .../backupInstances/{name}/sync`."""
        instance = call.instance
        if instance is None:
            return self.not_found(call)
        try:
            msgspec.json.decode(call.body, type=_SyncRequest)
        except msgspec.DecodeError as error:
            message = f"The request content was invalid and could not be deserialized: {error}."
            return cloud_error(400, "InvalidRequestContent", message)
        instance.settle(call.now)
        if instance.operation:
            message = f"Another operation is in progress on the backup instance '{instance.id.name}'."
            return cloud_error(409, "Conflict", message)
        operation = self._vaults.start_sync(instance, call.now)
        behaviour = self._vaults.behaviour(instance)
        if behaviour.sync_status == 200:
            return Response()
        return Response(status_code=202, headers=self.follow(call, operation, behaviour))

    def read(self, call: ArmRequest) -> Response:
        """`GET .../backupInstances/{name}`."""
        if call.instance is None:
            return self.not_found(call)
        return JSONResponse(show_instance(call.instance, call.now))

    def list(self, call: ArmRequest) -> Response:
        """`GET .../backupInstances`: one page, and the link to the next one."""
        if not self._vaults.has(*call.vault_key):
            return self.not_found(call)
        after = call.request.query_params.get("$skipToken", "")
        rest = [instance for instance in self._vaults.instances(call.vault_key) if instance.id.key > after]
        page = rest[: self.page_size]
        answer: Json = {"value": [show_instance(instance, call.now) for instance in page]}
        if len(rest) > len(page):
            version, token = call.request.query_params["api-version"], quote(page[-1].id.key)
            answer["nextLink"] = f"{self._base_url}{quote(call.path)}?api-version={version}&$skipToken={token}"
        return JSONResponse(answer)

    def subscriptions(self, call: ArmRequest) -> Response:
        """`GET /subscriptions`: those in which something was registered (REST reference, "Subscriptions - List")."""
        value = [
            {"id": f"/subscriptions/{one}", "subscriptionId": one, "displayName": "Simulated", "state": "Enabled"}
            for one in self._vaults.subscriptions()
        ]
        return JSONResponse({"value": value, "count": {"type": "Total", "value": len(value)}})

    def operation_status(self, call: ArmRequest) -> Response:
        """`GET .../operationStatus/{id}`: the URL of the header Azure-AsyncOperation."""
        operation = self._operation(call)
        if operation is None:
            return self._operation_not_found(call)
        status = operation.status(call.now)
        answer: Json = {
            "id": call.path,
            "name": operation.id,
            "status": status,
            "startTime": _iso(operation.started),
            "endTime": _NO_TIME,
        }
        if status == "Inprogress":
            return JSONResponse(answer, headers=_retry_after(self._vaults.behaviour(call.instance), call.now))
        answer["endTime"] = _iso(operation.ends)
        if operation.error:
            answer["error"] = operation.error
        if operation.job_id:
            answer["properties"] = _job(operation)
        return JSONResponse(answer)

    def operation_results(self, call: ArmRequest) -> Response:
        """`GET .../operationResults/{id}`: the URL of the header Location."""
        operation = self._operation(call)
        if operation is None:
            return self._operation_not_found(call)
        if operation.status(call.now) == "Inprogress":
            follow = self.follow(call, operation, self._vaults.behaviour(call.instance))
            return Response(status_code=202, headers=follow)
        if operation.error:
            # What the call would have answered, had it waited for the end: ARM's rule for this URL.
            return JSONResponse({"error": operation.error}, 400)
        return JSONResponse(_job(operation))

    def _operation(self, call: ArmRequest) -> Operation | None:
        """The operation, if the rest of the path names its vault, or the location of its subscription."""
        operation = self._vaults.operation(call.names["operation"])
        if operation is None:
            return None
        key = operation.instance_id.vault_key
        is_there = key == call.vault_key if "vault" in call.names else key[0] == call.names["subscription"].lower()
        return operation if is_there else None

    def follow(self, call: ArmRequest, operation: Operation, behaviour: Behaviour) -> dict[str, str]:
        """The headers that say where and when to ask how the operation is going."""
        version = call.request.query_params["api-version"]
        named = (self._base_url, operation.instance_id, operation.id, version, operation.started)
        headers = _retry_after(behaviour, call.now)
        if not behaviour.omit_async_header:
            template = behaviour.operation_url or "{url}"
            headers["Azure-AsyncOperation"] = (
                template.replace("{url}", status_url(*named))
                .replace("{base}", self._base_url)
                .replace("{operationId}", operation.id)
            )
        if not behaviour.omit_location_header:
            headers["Location"] = result_url(*named)
        return headers

    def not_found(self, call: ArmRequest) -> Response:
        """The outermost thing of the path that does not exist, as Resource Manager reports it."""
        subscription, group, vault = call.names["subscription"], call.names["group"], call.names["vault"]
        if not self._vaults.has(subscription):
            message = f"The subscription '{subscription}' could not be found."
            return cloud_error(404, "SubscriptionNotFound", message)
        if not self._vaults.has(subscription, group):
            return cloud_error(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
        resource = f"Microsoft.DataProtection/backupVaults/{vault}"
        if name := call.names.get("name"):
            resource += f"/backupInstances/{name}"
        message = f"The Resource '{resource}' under resource group '{group}' was not found."
        return cloud_error(404, "ResourceNotFound", message)

    def _operation_not_found(self, call: ArmRequest) -> Response:
        return cloud_error(404, "ResourceNotFound", f"The operation '{call.names['operation']}' was not found.")


def _job(operation: Operation) -> Json:
    job = {"jobId": operation.job_id} if operation.job_id else {}
    return {"objectType": "OperationJobExtendedInfo", **job}


def show_instance(instance: Instance, now: float) -> Json:
    """The backup instance in the form of the API version 2024-04-01."""
    state = instance.state(now)
    properties: Json = {
        "friendlyName": instance.id.name,
        "dataSourceInfo": _data_source(instance),
        "policyInfo": {
            "policyId": f"{instance.id.vault_path}/backupPolicies/{instance.backups.policy.name}",
            "policyVersion": "",
        },
        "protectionStatus": {"status": state},
        "currentProtectionState": state,
        "provisioningState": "Succeeded",
        "objectType": "BackupInstance",
    }
    if instance.error_details is not None:
        properties["protectionStatus"]["errorDetails"] = instance.error_details
        properties["protectionErrorDetails"] = instance.error_details
    return {"id": str(instance.id), "name": instance.id.name, "type": _TYPE, "properties": properties}


def _data_source(instance: Instance) -> Json:
    return {
        "resourceID": instance.data_source_id,
        "resourceUri": instance.data_source_id,
        "resourceName": instance.data_source_id.rpartition("/")[2],
        "resourceType": instance.data_source_type,
        "datasourceType": instance.data_source_type,
        "resourceLocation": LOCATION,
        "objectType": "Datasource",
    }


def _retry_after(behaviour: Behaviour, now: float) -> dict[str, str]:
    wait = behaviour.retry_after
    if wait is None:
        return {}
    if wait == "http-date":
        # Dates in HTTP have whole seconds: rounded up, so that it is never sooner than one second.
        return {"Retry-After": email.utils.formatdate(math.ceil(now + 1), usegmt=True)}
    return {"Retry-After": f"{wait:g}"}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
