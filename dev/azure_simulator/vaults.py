"""The simulated Backup vaults: their backup instances, and the operations that run on them.

Nothing here runs by itself: whether an operation has ended is computed when it is asked for.
"""

import base64
import re
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import msgspec

from dev.azure_simulator.backups import Backups
from dev.azure_simulator.behaviour import MISSING_PERMISSIONS, Behaviour, Fault, Json

_INSTANCE_ID = re.compile(
    r"/subscriptions/([^/?#]+)/resourceGroups/([^/?#]+)/providers/Microsoft\.DataProtection"
    r"/backupVaults/([^/?#]+)/backupInstances/([^/?#]+)",
    re.IGNORECASE,
)

VaultKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class InstanceId:
    """An ARM id of a backup instance, as written; `vault_key` and `key` are the same for every casing."""

    subscription: str
    resource_group: str
    vault: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id, casing free.

        Raises:
            ValueError: the text is no backup instance id.
        """
        found = _INSTANCE_ID.fullmatch(text)
        if not found:
            raise ValueError(f"{text!r} is not the id of a backup instance")
        return cls(*found.groups())

    @property
    def group_path(self) -> str:
        """The id of the resource group."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"

    @property
    def vault_path(self) -> str:
        """The id of the vault."""
        return f"{self.group_path}/providers/Microsoft.DataProtection/backupVaults/{self.vault}"

    def __str__(self) -> str:
        """The id, starting with a slash."""
        return f"{self.vault_path}/backupInstances/{self.name}"

    @property
    def vault_key(self) -> VaultKey:
        """The vault's names in lower case: the same for every casing of the id."""
        return self.subscription.lower(), self.resource_group.lower(), self.vault.lower()

    @property
    def key(self) -> str:
        """The instance's name in lower case."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Operation:
    """One accepted sync or backup. Times are seconds since 1970-01-01T00:00:00Z."""

    id: str
    instance_id: InstanceId
    started: float
    ends: float
    final_status: str
    error: Json | None
    state_after: str
    job_id: str | None

    def status(self, now: float) -> str:
        """As this service spells it: `Inprogress`, then the final status."""
        return "Inprogress" if now < self.ends else self.final_status


@dataclass(slots=True)
class Instance:
    """One backup instance, and its own settings."""

    id: InstanceId
    protection_state: str
    error_details: Json | None
    data_source_id: str
    behaviour: Json = field(default_factory=dict)
    """The keys of a `Behaviour` in which it differs from the defaults."""
    faults_used: Counter[str] = field(default_factory=Counter)
    """How many faults of each list, by the list's key in a behaviour."""
    operation: Operation | None = None
    backups: Backups = field(default_factory=Backups)

    @property
    def data_source_type(self) -> str:
        """The resource type of the datasource; empty if its id is none of a resource."""
        segments = self.data_source_id.strip("/").split("/")
        return "/".join(segments[5:7]) if len(segments) > 7 else ""

    def settle(self, now: float) -> None:
        """Take over the result of an operation that has ended by now."""
        operation = self.operation
        if operation is None or now < operation.ends:
            return
        self.protection_state = operation.state_after
        if operation.final_status == "Succeeded" and operation.state_after == "ProtectionConfigured":
            self.error_details = None
        elif operation.error is not None:
            self.error_details = operation.error
        self.operation = None

    def state(self, now: float) -> str:
        """The protection state that a reader sees now."""
        self.settle(now)
        return "UpdatingProtection" if self.operation else self.protection_state


class Vaults:
    """Every simulated vault, instance and operation, and the behaviour that they have by default."""

    def __init__(self) -> None:
        """Empty: there is no subscription until an instance is put into one."""
        self.reset()

    def reset(self) -> None:
        """Forget all, defaults included."""
        self._defaults: Json = {}
        self._instances: dict[VaultKey, dict[str, Instance]] = {}
        self._operations: dict[str, Operation] = {}

    def put(self, instance: Instance) -> None:
        """Create or replace an instance; operations that run on the replaced one no longer touch it."""
        self._instances.setdefault(instance.id.vault_key, {})[instance.id.key] = instance

    def find(self, instance_id: InstanceId) -> Instance | None:
        """The instance of this id in any casing."""
        return self._instances.get(instance_id.vault_key, {}).get(instance_id.key)

    def instances(self, vault: VaultKey) -> list[Instance]:
        """The vault's instances in the order of their names; empty for an unknown vault."""
        return [instance for _, instance in sorted(self._instances.get(vault, {}).items())]

    def all(self) -> list[Instance]:
        """Every instance of every vault."""
        return [instance for instances in self._instances.values() for instance in instances.values()]

    def subscriptions(self) -> list[str]:
        """All in which there is a vault, sorted."""
        return sorted({key[0] for key in self._instances})

    def has(self, *scope: str) -> bool:
        """Whether any vault is in this scope: a subscription, and optionally a resource group and a vault in it."""
        wanted = tuple(name.lower() for name in scope)
        return any(key[: len(wanted)] == wanted for key in self._instances)

    def operation(self, operation_id: str) -> Operation | None:
        """The operation of this id, running or ended. It is no resource name: its casing counts."""
        return self._operations.get(operation_id)

    def set_defaults(self, behaviour: Json) -> None:
        """Change these keys of the default behaviour; instances that follow a changed list of faults begin it anew."""
        self._defaults |= behaviour
        for instance in self.all():
            for key in behaviour.keys() - instance.behaviour.keys():
                del instance.faults_used[key]

    def behaviour(self, instance: Instance | None) -> Behaviour:
        """The behaviour of this instance now; for None, the defaults."""
        return msgspec.convert(self._defaults | (instance.behaviour if instance else {}), Behaviour)

    def next_fault(self, instance: Instance | None, key: str | None) -> Fault | None:
        """The next fault of the list with this key for this instance, used up by asking."""
        if instance is None or key is None:
            return None
        faults = (self._defaults | instance.behaviour).get(key, [])
        used = instance.faults_used[key]
        if used >= len(faults):
            return None
        instance.faults_used[key] += 1
        return msgspec.convert(faults[used], Fault)

    def start_sync(self, instance: Instance, now: float) -> Operation:
        """Begin an operation on an instance that has none running."""
        behaviour = self.behaviour(instance)
        succeeds = behaviour.final_status == "Succeeded"
        operation = Operation(
            id=_operation_id(),
            instance_id=instance.id,
            started=now,
            ends=now if behaviour.sync_status == 200 else now + behaviour.operation_seconds,
            final_status=behaviour.final_status,
            error=None if succeeds else behaviour.final_error or MISSING_PERMISSIONS,
            state_after=behaviour.state_after_success if succeeds else instance.protection_state,
            job_id=None if behaviour.omit_job_id else f"{instance.id.vault_path}/backupJobs/{uuid.uuid4()}",
        )
        self._operations[operation.id] = operation
        instance.operation = operation
        return operation

    def start_backup(self, instance: Instance, now: float) -> Operation:
        """Begin a backup on demand: its operation ends soon, and names the job that goes on."""
        behaviour = self.behaviour(instance)
        refusal = behaviour.backup_refusal
        job_id = None
        if refusal is None:
            job_seconds = behaviour.operation_seconds + behaviour.backup_seconds
            job = instance.backups.take(now, job_seconds, behaviour.backup_status, behaviour.backup_error)
            job_id = None if behaviour.omit_job_id else f"{instance.id.vault_path}/backupJobs/{job.id}"
        operation = Operation(
            id=_operation_id(),
            instance_id=instance.id,
            started=now,
            ends=now + behaviour.operation_seconds,
            final_status="Succeeded" if refusal is None else "Failed",
            error=refusal,
            state_after=instance.protection_state,
            job_id=job_id,
        )
        self._operations[operation.id] = operation
        return operation


def _operation_id() -> str:
    """Two UUIDs in base64, as the sample of the API reference "Sync Backup Instance" has it."""
    return base64.b64encode(f"{uuid.uuid4()};{uuid.uuid4()}".encode()).decode()
