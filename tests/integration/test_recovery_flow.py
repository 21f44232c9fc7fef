"""Recovery and wake in a host of their own, as in Azure: alerts and events from outside, on real storage."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest

from dev.stack.failure_event import failure_event
from dev.stack.services import Azurite
from dev.stack.stack import Stack
from shared.clients.credential import identity_ids
from tests.support.alert_bodies import backup_failure
from tests.support.processes import until
from tests.support.simulator import SUBSCRIPTION, Simulator

VAULT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/recoveryRG/providers/Microsoft.DataProtection/backupVaults/flow"
FAST = {"operationSeconds": 0, "retryAfter": 0, "backupSeconds": 0, "omitJobId": True}

SETTINGS = {"RECOVERY": "Backup", "COOLDOWN": "PT0S", "DAILY_CAP": "99", "WAKE_DELAY": "PT0S"}
"""No alert is dropped, so that nothing but the cap of backups is left to hold."""
pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]
TIMEOUT = 80
"""Seconds, on a machine that does other things as well."""
ROUNDS, ALERTS_A_ROUND = 4, 5
Json = dict[str, Any]


@pytest.fixture(scope="module")
def recovering_stack(services: Stack, azurite: Azurite, running_azure: Simulator) -> Iterator[Stack]:
    """The stack with a host that makes backups."""
    services.host.start({**services.app_settings(), **SETTINGS})
    services.host.wait()
    yield services
    services.host.stop()


@pytest.fixture
def stack(recovering_stack: Stack, simulator: Simulator) -> Stack:
    """That stack, the simulated Azure as freshly started."""
    return recovering_stack


@pytest.fixture
def instance() -> str:
    """The id of an instance that no other test has."""
    return f"{VAULT}/backupInstances/bi-{uuid4().hex[:12]}"


def failed_job(stack: Stack, instance: str) -> Json:
    """The built-in alert of a failed backup job comes in; what the app says to it."""
    body = backup_failure(protectedItemId=instance)
    body["data"]["essentials"] |= {"alertTargetIDs": [VAULT], "firedDateTime": datetime.now(UTC).isoformat()}
    answer = stack.host.call("POST", "/api/alerts", body)
    assert answer.status_code == 200, answer.text
    (said,) = answer.json()["instances"]
    return dict(said)


def shown(stack: Stack, remediation_id: str) -> Json:
    document: Json = stack.host.call("GET", f"/api/remediations/{remediation_id}").json()
    return document


def reached(stack: Stack, remediation_id: str, *statuses: str) -> Json:
    """The remediation, once it has one of these statuses."""

    def found() -> Json | None:
        document = shown(stack, remediation_id)
        return document if document["status"] in statuses else None

    return until(found, lambda: f"{statuses}: {shown(stack, remediation_id)}", TIMEOUT)


def backups_of(azure: Simulator, instance: str) -> list[int]:
    """How the calls for a backup of the instance were answered."""
    return [entry["status"] for entry in azure.journal("backup") if f"{instance}/" in entry["path"]]


def test_a_failed_job_of_a_healthy_instance_is_made_up_for_by_one_backup_however_often_it_is_told(
    stack: Stack, simulator: Simulator, instance: str
) -> None:
    before = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    points = [before.isoformat()]
    simulator.put(instance, protectionState="ProtectionConfigured", behaviour=FAST, recoveryPoints=points)
    told_at = datetime.now(UTC)

    ended = reached(stack, failed_job(stack, instance)["remediationId"], "Recovered", "NotRecovered")
    assert (ended["status"], ended["resolution"]) == ("Recovered", "NothingToRepair")
    recovery = ended["recovery"]
    assert datetime.fromisoformat(recovery["pointBefore"]) == before
    assert datetime.fromisoformat(recovery["point"]) > told_at
    assert recovery["gapSeconds"] == pytest.approx(
        (datetime.fromisoformat(recovery["point"]) - before).total_seconds(), abs=0.01
    )

    for _ in range(ROUNDS):
        said = [failed_job(stack, instance) for _ in range(ALERTS_A_ROUND)]
        reached(stack, said[-1]["remediationId"], "Healed", "Recovering")
    last = f'"backup.capped", "remediationId": "{said[-1]["remediationId"]}"'
    until(lambda: last in log_of(stack), "the cap keeps the last of them from a backup", TIMEOUT)
    assert backups_of(simulator, instance) == [202]
    assert [entry for entry in simulator.journal("sync") if instance in entry["path"]] == []


def log_of(stack: Stack) -> str:
    return stack.host.service.log.read_text(encoding="utf-8", errors="replace")


def repair_event(scope: str) -> Json:
    """Resource Manager's event about a role that somebody has assigned on this scope."""
    event = failure_event(f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid4()}")
    changes = {"operationName": "Microsoft.Authorization/roleAssignments/write", "status": "Succeeded"}
    data = {**cast(Json, event["data"]), **changes}
    return {**event, "eventType": "Microsoft.Resources.ResourceWriteSuccess", "data": data}


def waiting(stack: Stack, simulator: Simulator, instance: str) -> Json:
    """A remediation of an instance that lacks a role: it waits for minutes. The role is granted then."""
    simulator.put(instance, behaviour={**FAST, "finalStatus": "Failed"})
    assert stack.host.post_event(failure_event(instance, "write")).status_code == 202
    query = f"/api/remediations?backupInstanceId={instance}"
    (listed,) = until(lambda: stack.host.call("GET", query).json()["value"], "a remediation", TIMEOUT)
    remediation = reached(stack, listed["id"], "WaitingToRetry")
    simulator.put(instance, behaviour=FAST)
    return remediation


def test_a_backup_of_its_own_that_fails_is_no_signal_though_its_identity_has_no_name_in_the_settings(
    stack: Stack, simulator: Simulator, instance: str
) -> None:
    own = min(identity_ids(simulator.token()))
    event = failure_event(instance)
    cast(Json, event["data"])["claims"] = {"appid": own}
    stack.host.post_event(event)
    until(lambda: "was this app's own doing" in log_of(stack), "that the event is ignored", TIMEOUT)
    assert stack.host.call("GET", f"/api/remediations?backupInstanceId={instance}").json()["value"] == []


def syncs_of(azure: Simulator, instance: str) -> int:
    return len([entry for entry in azure.journal("sync") if f"{instance}/" in entry["path"]])


def test_a_role_that_is_assigned_wakes_what_waits_for_it_unless_that_is_paused(
    stack: Stack, simulator: Simulator, instance: str
) -> None:
    paused = instance.replace("/flow/", "/paused/")
    free, held = (waiting(stack, simulator, each) for each in (instance, paused))
    scope = paused.partition("/backupInstances/")[0]
    until_later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    pause = {"scope": f"{scope}/*", "reason": "maintenance", "until": until_later}
    assert stack.host.call("POST", "/api/pauses/begin", pause).status_code == 200

    stack.host.post_event(repair_event(scope.partition("/providers/")[0]))
    woken = reached(stack, free["id"], "Recovering")
    assert (woken["wakes"], len(woken["attempts"]), woken["resolution"]) == (1, 2, "Repaired")
    until(lambda: f'"job.paused", "remediationId": "{held["id"]}"' in log_of(stack), "the pause holds the job", TIMEOUT)
    assert (shown(stack, held["id"])["wakes"], syncs_of(simulator, paused)) == (1, 1)
