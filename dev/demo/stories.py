"""The stories of the demo: each has an instance, settings of the app, a signal, and a timeline."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import requests

from dev.demo.job_timeline import JobTimeline
from dev.demo.permission_timeline import PermissionTimeline, next_step_in
from dev.demo.timeline import Timeline
from dev.stack.failure_alert import failure_alert
from dev.stack.failure_event import failure_event
from dev.stack.repair_event import role_assigned
from dev.stack.stack import Stack

SUBSCRIPTION = "0b1f6471-1bf0-4dda-aec3-cb9272f09590"
_GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-demo/providers"
VAULT = f"{_GROUP}/Microsoft.DataProtection/backupVaults/vault-demo"
INSTANCE = f"{VAULT}/backupInstances/disk-demo"
BEHAVIOUR = {"operationSeconds": 2, "retryAfter": 1}
_DISK = f"{_GROUP}/Microsoft.Compute/disks/disk-demo"


@dataclass(frozen=True)
class Story:
    """One story of the demo."""

    help: str
    prepare: Callable[[Stack], None]
    """Puts the instance into the simulated Azure."""
    signal: Callable[[Stack], requests.Response]
    """Tells the app that it failed."""
    timeline: Callable[[str, datetime], Timeline] = Timeline
    act: Callable[[Stack, Timeline], None] = lambda stack, timeline: None
    """Acts as a person would while it goes on; called again and again."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the app, besides those of the stack."""


def _broken(stack: Stack) -> None:
    stack.simulator.put_instance(INSTANCE, behaviour=BEHAVIOUR)


def _protected(stack: Stack) -> None:
    """An instance that is well, but whose backup of last night failed."""
    now = datetime.now(UTC)
    night = now - timedelta(hours=3)
    stack.simulator.put_instance(
        INSTANCE,
        protectionState="ProtectionConfigured",
        behaviour={**BEHAVIOUR, "operationSeconds": 1, "backupSeconds": 1},
        dataSourceId=_DISK,
        recoveryPoints=[(night - timedelta(days=1)).isoformat()],
        jobs=[{"started": night.isoformat(), "status": "Failed"}],
    )


def _post_event(stack: Stack) -> requests.Response:
    return stack.host.post_event(failure_event(INSTANCE))


def _post_alert(stack: Stack) -> requests.Response:
    return stack.host.call("POST", "/api/alerts", failure_alert(INSTANCE, _DISK))


def _without_role(stack: Stack) -> None:
    """An instance whose vault lacks a role, so that its sync fails."""
    error = {"code": "UserErrorDiskOrMSIPermissionsNotPresent", "message": "The vault lacks a role on the disk."}
    behaviour = {**BEHAVIOUR, "finalStatus": "Failed", "finalError": error}
    stack.simulator.put_instance(INSTANCE, behaviour=behaviour, dataSourceId=_DISK)


def _assign_role(stack: Stack, timeline: Timeline) -> None:
    """Does as the app says: from then on a sync succeeds, and Azure tells of the role."""
    if not isinstance(timeline, PermissionTimeline) or not timeline.waits_for_repair:
        return
    shown = stack.host.call("GET", f"/api/remediations/{timeline.remediation_id}").json()
    stack.simulator.put_instance(INSTANCE, behaviour=BEHAVIOUR, dataSourceId=_DISK)
    timeline.repaired(next_step_in(shown))
    stack.host.post_event(role_assigned(_DISK))


STORIES = {
    "heal": Story("a backup instance in error is synced and protected again", _broken, _post_event),
    "job": Story(
        "a nightly backup failed: there is nothing to repair, a backup is taken, and its recovery point awaited",
        _protected,
        _post_alert,
        JobTimeline,
        settings={"RECOVERY": "Backup"},
    ),
    "permission": Story(
        "a role is missing: the app says which, and tries again as soon as somebody has assigned it",
        _without_role,
        _post_event,
        PermissionTimeline,
        _assign_role,
        {"WAKE_DELAY": "PT1S"},
    ),
}
