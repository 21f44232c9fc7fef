"""Results of calls to Resource Manager, as plain data between the ARM client and the state machine."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain.resource_ids import BackupInstanceId

ArmError = Mapping[str, Any]
"""ARM's error as it came: `{code, message, target?, details?, additionalInfo?, ...}`, code and message are text."""


_OWN_CODE = re.compile(
    r"Http\d{3}|Operation(Failed|Cancell?ed|TimedOut)|TokenUnavailable|CircuitOpen|NoResponse|InvalidResponse"
    r"|UnsafeOperationUrl|InvalidJobId"
    r"|UnsafeNextLink|TooManyPages|InstanceChanging|ProtectionError|ConfiguringProtectionFailed",
    re.IGNORECASE,
)


NO_RESPONSE = "NoResponse"
"""The code of the error where there was no connection, no answer in time, or no whole one: the call may have acted."""


def new_error(code: str, message: str) -> ArmError:
    """An error of our own in ARM's shape; its code is to be known by `is_own_code`."""
    return {"code": code, "message": message}


def is_own_code(code: str) -> bool:
    """Whether this app gives an error such a code, where ARM says none: it tells nothing about a backup."""
    return _OWN_CODE.fullmatch(code) is not None


@dataclass(frozen=True, slots=True)
class OperationUrls:
    """Where ARM says a long-running operation can be followed. Untrusted until the guard has seen it."""

    status_url: str | None
    """From the header `Azure-AsyncOperation`."""
    result_url: str | None
    """From the header `Location`."""


@dataclass(frozen=True, slots=True)
class TransientFailure:
    """No verdict: throttled, unavailable, timed out, unreadable. Ask again."""

    error: ArmError
    retry_after: float | None = None
    """Seconds that ARM asked us to wait, when it did."""
    may_have_acted: bool = False
    """Whether the call may have been taken all the same: no answer, or one that does not tell."""
    status: int | None = None
    """Of HTTP, where ARM itself said so; None without an answer, or for one of anybody on the way."""


@dataclass(frozen=True, slots=True)
class Refused:
    """ARM refused, and asking again at once would not change that (not found, no permission, invalid)."""

    status: int
    """Of HTTP."""
    error: ArmError


@dataclass(frozen=True, slots=True)
class SyncAccepted:
    """`202`: the operation runs."""

    operation: OperationUrls
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class SyncDone:
    """`200`: done at once, nothing to follow."""


@dataclass(frozen=True, slots=True)
class SyncConflict:
    """`409`: another operation runs on the instance; perhaps one of ours that a crash kept from being recorded."""

    error: ArmError
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class SyncWithheld:
    """No call was made: the app observes."""


SyncResult = SyncAccepted | SyncDone | Refused | SyncConflict | TransientFailure | SyncWithheld


@dataclass(frozen=True, slots=True)
class OperationRunning:
    """Not terminal yet."""

    status: str
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class OperationSucceeded:
    """The operation ended well; whether the instance is well, only the instance can tell."""

    job_id: str | None


@dataclass(frozen=True, slots=True)
class OperationFailed:
    """`Failed` or `Canceled`, or a status URL that must not be followed."""

    status: str
    error: ArmError
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class OperationUnknown:
    """`404` or `410`, or ARM never named a URL: its record is not there yet, or expired. The instance tells more."""


OperationResult = OperationRunning | OperationSucceeded | OperationFailed | OperationUnknown | TransientFailure


@dataclass(frozen=True, slots=True)
class InstanceRead:
    """The backup instance as ARM shows it."""

    protection_state: str
    """`properties.currentProtectionState`, for example `ProtectionConfigured`."""
    error: ArmError | None
    """`properties.protectionStatus.errorDetails` or `properties.protectionErrorDetails`."""
    datasource_id: str | None = None
    """`properties.dataSourceInfo.resourceID`."""
    snapshot_group_id: str | None = None
    """`resourceGroupId` in `properties.policyInfo.policyParameters.dataStoreParametersList`: where snapshots are."""


InstanceResult = InstanceRead | Refused | TransientFailure


@dataclass(frozen=True, slots=True)
class ListedInstance:
    """An instance as its vault lists it."""

    id: BackupInstanceId
    resource_id: str
    """`properties.dataSourceInfo.resourceID`: the ARM id of what it protects."""


@dataclass(frozen=True, slots=True)
class VaultListed:
    """All instances of a vault."""

    instances: tuple[ListedInstance, ...]


VaultResult = VaultListed | Refused | TransientFailure


@dataclass(frozen=True, slots=True)
class Reachable:
    """ARM takes the app's token."""

    subscriptions: int | None
    """How many the identity can see; None where ARM would not say."""
