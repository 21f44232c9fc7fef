"""Which instances an alert names, where they may be found, or why it is ignored."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clients.vault_cache import protecting
from shared.domain.arm_results import ListedInstance
from shared.domain.resource_ids import BackupInstanceId, BackupVaultId
from shared.sources.azure_monitor import Alert, Ignored, NotAnAlert, alert_identifiers, read_alert
from shared.sources.operation_filter import OperationFilter
from tests.support.alert_bodies import (
    DISK,
    INSTANCE,
    OTHER_INSTANCE,
    RECOVERY_VAULT,
    VAULT,
    activity_alert,
    alert,
    backup_failure,
    log_alert,
    metric_alert,
)
from tests.support.json_values import json_values

NOW = datetime(2026, 3, 13, 12, 0, tzinfo=UTC)
ALL_OPERATIONS = OperationFilter()
ARM = "https://management.azure.com"


def read(body: object) -> Alert:
    result = read_alert(body, NOW, ALL_OPERATIONS)
    assert isinstance(result, Alert), result
    return result


def ignored(body: object, operation_filter: OperationFilter = ALL_OPERATIONS) -> Ignored:
    result = read_alert(body, NOW, operation_filter)
    assert isinstance(result, Ignored), result
    return result


def instances_of(body: object) -> list[str]:
    return [str(instance) for instance in read(body).instances]


NAMED_IN = {
    "target": alert(alertTargetIDs=[INSTANCE]),
    "configuration item": alert(configurationItems=[INSTANCE]),
    "source": alert({"sourceId": INSTANCE}),
    "protected item": alert({"protectedItemId": INSTANCE}),
    "trailing segments": alert({"linkedResourceId": f"{INSTANCE}/backupJobs/88df0be3"}),
    "affected items": alert({"affectedItems": [INSTANCE, INSTANCE.upper()]}),
    "affected items as text": alert({"affectedItems": f"{DISK}, {INSTANCE}"}),
    "deep": alert({"extendedInfo": {"items": [{"id": INSTANCE}]}}),
    "custom property": alert({}, {"backupInstanceId": INSTANCE}),
    "context property": alert({"properties": {"BackupInstance": INSTANCE}}),
    "metric": metric_alert(backupInstanceUrl=INSTANCE, dataSourceURL=DISK, healthStatus="PersistentUnhealthy"),
    "metric with a url": metric_alert(backupInstanceUrl=f"{ARM}{INSTANCE}"),
    "log dimension": log_alert({"BackupInstanceId": INSTANCE, "JobOperation": "Backup"}),
    "activity log": activity_alert("backup/action"),
}


@pytest.mark.parametrize("body", NAMED_IN.values(), ids=NAMED_IN)
def test_the_instance_is_found_wherever_it_stands(body: object) -> None:
    assert [instance.lower() for instance in instances_of(body)] == [INSTANCE.lower()]


SPACED = f"{INSTANCE} (weekly)"


@pytest.mark.parametrize(
    ("text", "instances"),
    [
        (INSTANCE, [INSTANCE]),
        (f"  {INSTANCE}\n", [INSTANCE]),
        (INSTANCE.removeprefix("/"), [INSTANCE]),
        (SPACED, [SPACED]),
        (f"{ARM}{SPACED}/backupJobs/1", [SPACED]),
        (f"{SPACED}, {OTHER_INSTANCE};\n{DISK},", [SPACED, OTHER_INSTANCE]),
        (f"{INSTANCE} {OTHER_INSTANCE}", [INSTANCE, OTHER_INSTANCE]),
        (f"{INSTANCE} {ARM}{OTHER_INSTANCE}", [INSTANCE, OTHER_INSTANCE]),
        (f"{INSTANCE}, which failed", [INSTANCE]),
        (f"{INSTANCE}','{OTHER_INSTANCE}", [INSTANCE, OTHER_INSTANCE]),
        (f"{ARM}{INSTANCE}?api-version=2025-07-01", [INSTANCE]),
        (f"https://portal.azure.com{INSTANCE}#overview", [INSTANCE]),
        (f"Backup jobs of {INSTANCE} failed", [INSTANCE]),
        (f"Backup of {INSTANCE}. Repair it.", [INSTANCE]),
        (f"Backup of {INSTANCE}: it failed", [INSTANCE]),
        (f"See {ARM}{INSTANCE}/backupJobs/1.", [INSTANCE]),
        (f"AddonAzureBackupJobs | where Id in ('a', {INSTANCE})", [INSTANCE]),
        (f"AddonAzureBackupJobs | where Id in ('{INSTANCE}','{OTHER_INSTANCE}')", [INSTANCE, OTHER_INSTANCE]),
        (f"AddonAzureBackupJobs | where Id has {INSTANCE} | count", [INSTANCE]),
        (f"Id={INSTANCE}|count", [INSTANCE]),
        (f"'{INSTANCE}'", [INSTANCE]),
        (f'"{INSTANCE}"', [INSTANCE]),
        (f"({INSTANCE})", [INSTANCE]),
        (f"[{INSTANCE}]", [INSTANCE]),
        (f'["{INSTANCE}","{OTHER_INSTANCE}"]', [INSTANCE, OTHER_INSTANCE]),
        (f"<b>{INSTANCE}</b><br/>&quot;{OTHER_INSTANCE}&quot;", [INSTANCE, OTHER_INSTANCE]),
        (f'<a href="{ARM}{INSTANCE}">the instance</a>', [INSTANCE]),
        (json.dumps({"backupInstanceId": INSTANCE}), [INSTANCE]),
        (json.dumps(json.dumps({"backupInstanceId": INSTANCE})), [INSTANCE]),
        (f"x{INSTANCE}", []),
        (f"https://portal.azure.com/#resource{INSTANCE}", []),
        (f"{DISK}{INSTANCE}", []),
    ],
)
def test_ids_inside_a_text_end_where_the_text_goes_on(text: str, instances: list[str]) -> None:
    assert instances_of(alert(custom={"note": text})) == instances


@pytest.mark.parametrize("key", ["searchQuery", "SEARCHQUERY", "description", "linkToSearchResults", "linktofilteredX"])
def test_what_is_no_statement_about_what_failed_is_not_read(key: str) -> None:
    assert instances_of(alert({"condition": {key: INSTANCE, "x": [{key: {"id": INSTANCE}}]}}, {key: INSTANCE})) == []


@pytest.mark.parametrize("key", ["linkedResourceId", "descriptionOfItem", "mySearchQuery", ""])
def test_a_key_that_is_only_like_an_unread_one_is_read(key: str) -> None:
    assert instances_of(alert({key: INSTANCE})) == [INSTANCE]


def test_several_instances_are_several_signals() -> None:
    found = read(log_alert({"id": INSTANCE}, {"id": OTHER_INSTANCE}, {"id": INSTANCE.lower()}))
    assert [str(signal.instance) for signal in found.signals(found.instances)] == [INSTANCE, OTHER_INSTANCE]


def test_the_signal_tells_what_the_alert_says_and_when_it_fired() -> None:
    found = read(alert(alertTargetIDs=[INSTANCE]))
    (signal,) = found.signals(found.instances)
    assert (signal.source, signal.reason) == ("Alert", "Backup Failure: The backup of the disk failed.")
    assert signal.occurred_at == datetime(2026, 3, 13, 11, 56, 13, 939234, tzinfo=UTC)


@pytest.mark.parametrize("fired", [None, "yesterday", 5, "0001-01-01T00:00:00+23:59", ""])
def test_an_alert_that_tells_no_time_happened_now(fired: object) -> None:
    assert read(alert(alertTargetIDs=[INSTANCE], firedDateTime=fired)).occurred_at == NOW


def test_an_alert_without_an_instance_names_vault_and_resource() -> None:
    found = read(backup_failure())
    assert (found.instances, found.vaults) == ((), (BackupVaultId.parse(VAULT),))
    assert DISK.lower() in found.resources


RECOVERY_ITEM = {"protectedItemId": f"{RECOVERY_VAULT}/backupFabrics/Azure"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (alert(monitorCondition="Resolved", alertTargetIDs=[INSTANCE]), "Resolved"),
        (alert(monitorCondition="Sleeping", alertTargetIDs=[INSTANCE]), "OtherCondition"),
        ({"schemaId": "AzureMonitorMetricAlert", "data": {"context": {"resourceId": INSTANCE}}}, "OtherSchema"),
        ({"schemaId": "Microsoft.Insights/activityLogs", "data": {"context": {}}}, "OtherSchema"),
        ({"schemaId": "", "data": {}}, "OtherSchema"),
        ({"status": "Activated", "context": {"resourceId": INSTANCE}}, "OtherSchema"),
        (alert({"category": "Jobs"}, alertTargetIDs=[RECOVERY_VAULT]), "RecoveryServicesVault"),
        (alert(RECOVERY_ITEM, alertTargetIDs=None, targetResourceType=None), "RecoveryServicesVault"),
        (alert(alertTargetIDs=[DISK], monitoringService="Platform"), "OtherService"),
        (alert(alertTargetIDs=[DISK], monitoringService=None), "OtherService"),
        (alert(alertTargetIDs=[DISK]), "NoBackupInstance"),
        (alert({"category": "Security", "sourceId": INSTANCE}, alertRule="Delete Backup Data"), "NoBackupFailure"),
        (alert({"category": "Jobs", "sourceId": INSTANCE}, alertRule="Restore Failure"), "NoBackupFailure"),
        (metric_alert("RestoreHealthEvent", backupInstanceUrl=INSTANCE), "NoBackupFailure"),
        (activity_alert("sync/action"), "NoBackupFailure"),
        (activity_alert("validateRestore/action"), "NoBackupFailure"),
        (activity_alert("backup/action", status="Succeeded"), "NoBackupFailure"),
    ],
)
def test_what_is_no_failed_backup_of_a_backup_vault_is_ignored(body: object, code: str) -> None:
    assert ignored(body).code == code


def test_an_alert_about_this_apps_own_doing_is_ignored() -> None:
    operation_filter = OperationFilter(own_ids=lambda: ["5a7a1b26-0000-4000-8000-000000000000"])
    body = activity_alert("backup/action", claims='{"appid": "5a7a1b26-0000-4000-8000-000000000000"}')
    assert "own doing" in ignored(body, operation_filter).reason


JUNK: list[object] = [None, [], "alert", {}, {"schemaId": 5}]


@pytest.mark.parametrize(
    ("body", "target"),
    [
        *((junk, "schemaId") for junk in JUNK),
        ({"schemaId": "azureMonitorCommonAlertSchema"}, "data"),
        ({"schemaId": "AZUREMONITORCOMMONALERTSCHEMA", "data": {"essentials": []}}, "data.essentials"),
        (alert(monitorCondition=None), "data.essentials.monitorCondition"),
    ],
)
def test_what_is_no_alert_says_which_field(body: object, target: str) -> None:
    with pytest.raises(NotAnAlert) as refused:
        read_alert(body, NOW, ALL_OPERATIONS)
    assert refused.value.target == target


@pytest.mark.parametrize(
    ("body", "alert_id", "rule"),
    [
        (alert(alertId="/subscriptions/x/alerts/1", alertRule="disks"), "/subscriptions/x/alerts/1", "disks"),
        (alert(alertId="a\nb", alertRule="x" * 5_000), "a\N{REPLACEMENT CHARACTER}b", "x" * 500 + "..."),
        (alert(alertId=5, alertRule=None), None, None),
        ({"schemaId": "AzureMonitorMetricAlert", "data": {"context": {}}}, None, None),
        ({"data": "{}"}, None, None),
        ([], None, None),
    ],
)
def test_an_alert_is_identified_by_its_id_and_its_rule(body: object, alert_id: str | None, rule: str | None) -> None:
    assert alert_identifiers(body) == {"alertId": alert_id, "alertRule": rule}


ESSENTIALS = (
    "monitorCondition monitoringService alertTargetIDs configurationItems firedDateTime alertRule description "
    "targetResourceType"
)
CONTEXT = "category condition operationName status claims authorization sourceId"
ids = st.sampled_from([INSTANCE, OTHER_INSTANCE, VAULT, RECOVERY_VAULT, DISK, "Fired", "Jobs", "\ud800", ""])
values = json_values(ids)


def reason_of(body: object) -> str | None:
    """Why nothing is healed; None if it is, or may be."""
    try:
        result = read_alert(body, NOW, ALL_OPERATIONS)
    except NotAnAlert as refused:
        return str(refused)
    return result.reason if isinstance(result, Ignored) else None


@given(
    st.dictionaries(st.sampled_from(ESSENTIALS.split()), values),
    st.dictionaries(st.sampled_from(CONTEXT.split()), values) | values,
    values,
)
def test_any_alert_is_read_ignored_or_refused_with_a_reason(changes: dict[str, Any], context: Any, custom: Any) -> None:
    body = alert(context, custom, **changes)
    assert (reason_of(body) or read(body).reason).encode()


@given(values)
def test_any_json_is_ignored_or_refused(body: Any) -> None:
    assert reason_of(body) is not None


def test_an_alert_that_nests_deeply_is_read_to_its_ground() -> None:
    nested: Any = INSTANCE
    for _ in range(100_000):
        nested = [nested]
    assert instances_of(alert({"x": nested})) == [INSTANCE]


HUGE = {
    "blanks": f"x{' ' * 1_000_000}x",
    "subscriptions": "/subscriptions/" * 70_000,
    "origins": "https://" * 130_000,
    "segments": f"{DISK}{'/a' * 500_000}",
    "separators": f"{', ' * 200_000}{INSTANCE}{' ;' * 200_000}",
    "lines": "\n" * 1_000_000,
    "gap": f"{INSTANCE},{' ' * 1_000_000}x",
    "tokens": " /subscriptions/" * 65_000,
    "list": ",/subscriptions/x" * 60_000,
    "dots": f"x {DISK}{'.' * 1_000_000}x",
    "dots and origins": f"x {DISK}{':.' * 250_000}{' https://a' * 50_000}",
    "long origin": f"x https://{'a' * 1_000_000}",
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_a_mebibyte_in_one_text_is_read_in_one_go(text: str) -> None:
    found = read(alert({"x": text}))
    protecting(found.resources, [ListedInstance(BackupInstanceId.parse(INSTANCE), DISK)] * 5_000)
    assert found.vaults


def test_thousands_of_operations_by_one_caller_are_read_in_one_go() -> None:
    names = {f"x{n}": f"Microsoft.DataProtection/backupVaults/backupInstances/backup{n}" for n in range(4_000)}
    assert instances_of(activity_alert("sync/action", claims=json.dumps({"x": "y" * 500_000}), **names))
