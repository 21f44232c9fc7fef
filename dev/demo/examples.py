"""An example of every status, for whoever looks at the page first: `demo --keep` seeds them.

Some statuses take hours by the app's own settings. So the host is started with others for a while, in which these come
within seconds, and each example's instance behaves as its status needs it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from dev.demo.stories import BEHAVIOUR, SUBSCRIPTION, VAULT
from dev.processes.errors import Failure
from dev.stack.failure_alert import failure_alert
from dev.stack.failure_event import failure_event
from dev.stack.stack import Stack

_GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop/providers"
_OTHER_VAULT = f"{_GROUP}/Microsoft.DataProtection/backupVaults/vault-shop"
_TIMEOUT = 180
"""Seconds for all examples of a phase, which take 30 where nothing else is busy."""
_POLL_INTERVAL = 0.3
_LONG = {"operationSeconds": 24 * 3600, "retryAfter": 60}
_QUICK = {"operationSeconds": 0, "retryAfter": 0}
_IMPATIENT = {"MAX_ATTEMPTS": "1", "OPERATION_TIMEOUT": "PT2S", "RECOVERY": "Backup", "RECOVERY_TIMEOUT": "PT8S"}

_STORM_SIZE = 5
"""Members of an incident at least."""

Post = Callable[[Stack, str], None]


def _event(stack: Stack, instance: str) -> None:
    stack.host.post_event(failure_event(instance))


def _alert(stack: Stack, instance: str) -> None:
    stack.host.call("POST", "/api/alerts", failure_alert(instance, _disk(instance)))


def _failing(code: str, message: str) -> dict[str, Any]:
    return {**_QUICK, "finalStatus": "Failed", "finalError": {"code": code, "message": message}}


def _missing_role() -> dict[str, Any]:
    return _failing("UserErrorDiskOrMSIPermissionsNotPresent", "The vault lacks a role.")


def _disk(instance: str) -> str:
    name = instance.rpartition("/")[2]
    return f"{_GROUP}/Microsoft.Compute/disks/{name}"


@dataclass(frozen=True)
class Example:
    """An instance, how it behaves, and the status that its remediation has in the end."""

    name: str
    status: str
    behaviour: Mapping[str, object]
    state: str = "ProtectionError"
    signal: Post = _event
    more: Mapping[str, object] = field(default_factory=dict)
    """Further properties in the simulated Azure."""
    vault: str = VAULT
    or_status: str | None = None
    """Another one that will do: who of an incident goes on first is not known before."""
    is_missing: bool = False
    """Whether it is not in Azure at all."""

    @property
    def id(self) -> str:
        """Its ARM id."""
        return f"{self.vault}/backupInstances/{self.name}"


def seed(stack: Stack, settings: Mapping[str, str]) -> None:
    """Make all examples on a running stack; in the end the host runs with these settings beside the stack's own.

    Raises:
        Failure: a status did not come in time.
    """
    phases: list[tuple[dict[str, str], list[Example]]] = [
        ({"MODE": "Observe"}, _OBSERVED),
        (_IMPATIENT, _ended()),
        # A recovery goes by the setting of now: with RECOVERY off, none would be waited for.
        ({"RECOVERY": "Watch", **settings}, [*_USUAL, *_STORM]),
    ]
    for changes, examples in phases:
        stack.host.stop()
        stack.host.start({**stack.app_settings(), **changes})
        stack.host.wait()
        for example in examples:
            _put(stack, example)
            example.signal(stack, example.id)
        _wait(stack, examples)
    _acknowledge_and_cancel(stack)


def _put(stack: Stack, example: Example) -> None:
    if not example.is_missing:
        stack.simulator.put_instance(
            example.id,
            protectionState=example.state,
            behaviour=example.behaviour,
            dataSourceId=_disk(example.id),
            **example.more,
        )


def _wait(stack: Stack, examples: list[Example]) -> None:
    expected = {each.id.lower(): (each.status, each.or_status) for each in examples}
    deadline = time.monotonic() + _TIMEOUT
    while True:
        rows = stack.host.call("GET", "/api/remediations?top=200").json()["value"]
        found = {row["backupInstanceId"].lower(): row["status"] for row in reversed(rows)}
        late = {name: (found.get(name), good) for name, good in expected.items() if found.get(name) not in good}
        if not late:
            return
        if time.monotonic() > deadline:
            raise Failure(f"Examples that have another status than expected: {late}")
        time.sleep(_POLL_INTERVAL)  # the state of another process can only be polled


def _acknowledge_and_cancel(stack: Stack) -> None:
    rows = stack.host.call("GET", f"/api/remediations?backupInstanceId={_CANCELLED.id}").json()["value"]
    stack.host.call("POST", f"/api/remediations/{rows[0]['id']}/cancel", {"reason": "the disk is being replaced"})
    known = {
        "backupInstanceId": _ACKNOWLEDGED.id,
        "reason": "the owner is told",
        "until": (datetime.now(UTC) + timedelta(days=7)).isoformat(),
    }
    stack.host.call("POST", "/api/instances/acknowledge", known)


_INTERNAL = ("CloudInternalError", "An internal error occurred.")
_OBSERVED = [Example("disk-observed", "WouldHeal", BEHAVIOUR)]
_ACKNOWLEDGED = Example("disk-archive", "Failed", _failing(*_INTERNAL))


def _ended() -> list[Example]:
    night = datetime.now(UTC) - timedelta(hours=3)
    failed_backup = {
        "recoveryPoints": [(night - timedelta(days=1)).isoformat()],
        "jobs": [{"started": night.isoformat(), "status": "Failed"}],
    }
    well = "ProtectionConfigured"
    refused = {"backupRefusal": {"code": "UserErrorBackupRequestThrottled", "message": "Too many backups today."}}
    return [
        Example("disk-reports", "Failed", _failing(*_INTERNAL)),
        _ACKNOWLEDGED,
        Example("disk-slow", "TimedOut", {**_LONG, "retryAfter": 1}),
        Example("disk-stubborn", "Unhealthy", {**_QUICK, "stateAfterSuccess": "ProtectionError"}),
        Example("disk-orders", "Recovered", {**BEHAVIOUR, "backupSeconds": 1}, well, _alert, failed_backup),
        Example("disk-invoices", "NotRecovered", {**BEHAVIOUR, **refused}, well, _alert, failed_backup),
    ]


_CANCELLED = Example("disk-retired", "Running", _LONG)
_USUAL = [
    Example("disk-mail", "Recovering", _QUICK, more={"recoveryPoints": ["2026-01-01T00:00:00Z"]}),
    Example("disk-large", "Running", _LONG),
    _CANCELLED,
    Example("disk-busy", "Queued", {"syncFaults": [{"status": 503, "headers": {"Retry-After": "3600"}}]}),
    Example("disk-new", "Verifying", {**_QUICK, "stateAfterSuccess": "UpdatingProtection"}),
    Example("disk-locked", "WaitingToRetry", _missing_role()),
    Example("disk-gone", "Rejected", _failing("UserErrorManagedDiskNotFound", "The disk does not exist.")),
    Example("disk-mistyped", "Rejected", {}, is_missing=True),
    Example("disk-stopped", "Unhealthy", {}, "ProtectionStopped"),
]
_STORM = [
    Example(f"disk-{number}", "WaitingToRetry", _missing_role(), vault=_OTHER_VAULT, or_status="Queued")
    for number in range(1, _STORM_SIZE + 2)
]
"""One cause, and so an incident."""
