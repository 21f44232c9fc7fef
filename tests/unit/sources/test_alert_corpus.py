"""Every alert of the corpus is healed, ignored or refused as the file says."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.clock import to_iso
from shared.sources.azure_monitor import Alert, Ignored, NotAnAlert, read_alert
from shared.sources.operation_filter import OperationFilter
from tests.support.corpus import Case, cases

NOW = datetime(2026, 3, 13, 12, 0, tzinfo=UTC)
OPERATIONS = OperationFilter(own_ids=lambda: ["5a7a1b26-0000-4000-8000-000000000000"])


@pytest.mark.parametrize("case", cases("alerts"))
def test_an_alert_heals_exactly_what_it_says_failed(case: Case) -> None:
    expected = {**case.verdict}
    why = expected.pop("why", "")
    verdict, reason = read(case.input)
    assert {key: verdict.get(key) for key in expected} == expected, verdict
    assert bool(verdict.get("instances")) == bool(expected.get("instances"))
    assert why in reason


def read(body: object) -> tuple[dict[str, Any], str]:
    """The verdict as the files write it, and the reason."""
    try:
        result = read_alert(body, NOW, OPERATIONS)
    except NotAnAlert as refused:
        return {"refused": refused.target}, str(refused)
    if isinstance(result, Ignored):
        return {"ignored": result.code}, result.reason
    return verdict_of(result), result.reason


def verdict_of(alert: Alert) -> dict[str, Any]:
    verdict: dict[str, Any] = {
        "reason": alert.reason,
        "occurredAt": to_iso(alert.occurred_at),
        "backupFailed": alert.backup_failed,
    }
    if alert.instances:
        return {**verdict, "instances": [str(each).lower() for each in alert.instances]}
    disks = [each for each in alert.resources if each.rpartition("/")[0].endswith("/microsoft.compute/disks")]
    return {**verdict, "vaults": [str(each).lower() for each in alert.vaults], "disks": disks}
