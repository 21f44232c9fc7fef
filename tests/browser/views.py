"""Pages for the browser tests: empty, small, large, and of one remediation that failed or runs."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from shared.api.signed_in_request import Principal, Role
from shared.dashboard.statistics import OUTCOMES
from shared.domain import arm_results, lifecycle, state_machine
from shared.domain.remediation import Remediation, Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.signal import Signal, SyncType
from shared.domain.state_machine import Moment
from shared.domain.summary import Summary, summarize
from tests.support.dashboard_parts import Page, newest_first, summary
from tests.support.remediations import NOW, OPERATION

INSTANCE = BackupInstanceId(
    "04cf684a-d41f-4550-9f70-7708a3a2283b", "rg-data-prod", "bv-weu-prod-01", "pgflex-orders-0417-2d1c44e0"
)
ERROR: Any = {
    "code": "UserErrorMissingPermissions",
    "message": "The vault's managed identity does not have the permissions that it needs on the datasource.",
    "recommendedAction": ["Grant the vault's identity the role that the workload needs.", "Then sync again."],
    "details": [{"code": "AuthorizationFailed", "message": "No read access to the server.", "target": "server"}],
    "innerError": {"code": "Denied", "additionalInfo": {"ActivityId": "d5c2"}},
}
_KINDS = {
    "pgflex": "Microsoft.DBforPostgreSQL/flexibleServers",
    "blobs": "Microsoft.Storage/storageAccounts/blobServices",
    "disk": "Microsoft.Compute/disks",
    "aks": "Microsoft.ContainerService/managedClusters",
}
_WEIGHTS = (160, 5, 4, 3, 2, 4, 3)


def empty() -> Page:
    """Without remediations."""
    return Page()


def small() -> Page:
    """With each status once."""
    opened = ((status, NOW - number * timedelta(hours=9)) for number, status in enumerate(Status))
    return Page(newest_first([summary(status, f"pgflex-{status}", opened_at) for status, opened_at in opened]))


def large(count: int = 10_000) -> Page:
    """A month of a large installation."""
    random = Random(1)
    return Page(newest_first([_any_summary(random, number) for number in range(count)]))


def failed() -> Page:
    """Of a remediation that failed after two attempts."""
    first = _submitted(_opened())
    lost = arm_results.OperationFailed("Failed", ERROR, "3c60f4a2-0a9d-4a32-8d0c-7f1f9b2f13aa")
    waiting = state_machine.on_operation_status(
        first, lost, Moment(NOW - timedelta(minutes=50), 0.0, timedelta(minutes=5))
    )
    again = _submitted(lifecycle.start_next_attempt(waiting, SyncType.FORCE_RESYNC, NOW - timedelta(minutes=45)))
    return _detail_page(state_machine.on_operation_status(again, lost, Moment(NOW - timedelta(minutes=44), 0.0, None)))


def role_missing() -> Page:
    """Of a remediation that lacks a role, with a job of Azure's and earlier remediations of the instance."""
    page = Page()
    for hours in (200, 30):
        begun = _submitted(_opened(at=NOW - timedelta(hours=hours)))
        done = lifecycle.cancel(begun, "enough", begun.opened_at + timedelta(minutes=9))
        page.keep(replace(done, due_at=None))
    error: Any = {**ERROR, "code": "UserErrorMissingRequiredPermissions"}
    job = f"{str(INSTANCE).rpartition('/backupInstances/')[0]}/backupJobs/3c60f4a2-0a9d-4a32-8d0c-7f1f9b2f13aa"
    lost = arm_results.OperationFailed("Failed", error, job)
    needing = state_machine.on_operation_status(
        _submitted(_opened()), lost, Moment(NOW - timedelta(minutes=44), 0.0, None)
    )
    server = "/subscriptions/s/resourceGroups/rg-data-prod/providers/Microsoft.Storage/storageAccounts/stordersprod0417"
    page.keep(replace(needing, datasource_id=server))
    return page


def stored_failures(count: int) -> Page:
    """With so many failed remediations, which the store has too."""
    page = Page()
    for number in range(count):
        lost = arm_results.OperationFailed("Failed", ERROR, "3c60f4a2-0a9d-4a32-8d0c-7f1f9b2f13aa")
        instance = BackupInstanceId(
            INSTANCE.subscription_id, INSTANCE.resource_group, INSTANCE.vault, f"pgflex-{number}"
        )
        begun = _submitted(_opened(instance))
        page.keep(state_machine.on_operation_status(begun, lost, Moment(NOW - timedelta(minutes=50), 0.0, None)))
    page.summaries = newest_first([summarize(each) for each in page.store.remediations()])
    return page


def running() -> Page:
    """Of a remediation whose sync operation runs."""
    return _detail_page(_submitted(_opened()))


def _any_summary(random: Random, number: int) -> Summary:
    age = timedelta(days=30 * random.random() ** 1.4)
    [status] = random.choices(OUTCOMES, _WEIGHTS)
    took = timedelta(seconds=random.lognormvariate(5.2, 1.6))
    names = (random.choice(["rg-data-prod", "rg-payments"]), random.choice(["bv-weu-prod-01", "bv-neu-dr"]))
    kind, datasource_type = random.choice([*_KINDS.items()])
    instance = BackupInstanceId(INSTANCE.subscription_id, *names, f"{kind}-orders-{number:05d}")
    code = None if status is Status.HEALED else random.choice(["UserErrorMissingPermissions", "UserErrorDiskNotFound"])
    return summary(
        status,
        opened_at=NOW - age,
        took=min(took, age),
        instance=instance,
        error_code=code,
        source=random.choice(["Event", "Alert", "Sweep"]),
        datasource_type=datasource_type,
        attempts=random.randint(1, 5),
    )


def _opened(instance: BackupInstanceId = INSTANCE, at: datetime = NOW - timedelta(hours=1)) -> Remediation:
    operation = "Microsoft.DataProtection/backupVaults/backupInstances/backup/action"
    return lifecycle.open_remediation(Signal(instance, "Event", f"{operation} failed", at), SyncType.DEFAULT, at)


def _submitted(queued: Remediation) -> Remediation:
    at = queued.attempt.queued_at + timedelta(seconds=2)
    return state_machine.on_sync_response(queued, arm_results.SyncAccepted(OPERATION, 5.0), Moment(at, 0.0, None))


def _detail_page(remediation: Remediation) -> Page:
    page = Page()
    page.keep(replace(remediation, client_request_id="7f1f9b2f-3c60-4d5c-a7a1-5b0d2d84e3f9"))
    return page


def looked_at() -> Page:
    """As those see it who may only look."""
    page = role_missing()
    page.summaries = small().summaries
    page.principal = Principal("ada.lovelace.of.operations@department.contoso.example.com", Role.READER)
    return page


VIEWS: dict[str, tuple[Callable[[], Page], dict[str, str]]] = {
    "empty": (empty, {}),
    "small": (small, {}),
    "large": (large, {}),
    "groups": (large, {"group": "Code"}),
    "refined": (large, {"group": "Vault", "type": "Microsoft.Compute/disks", "sort": "Oldest"}),
    "no match": (small, {"text": "nowhere"}),
    "failed": (failed, {"id": _opened().id}),
    "role missing": (role_missing, {"id": _opened().id}),
    "report": (failed, {"report": "2026-01"}),
    "running": (running, {"id": _opened().id, "note": "opened"}),
    "only to look at": (looked_at, {}),
    "one only to look at": (looked_at, {"id": _opened().id}),
    "not found": (small, {"id": "nothing"}),
}
"""Each with its query."""
