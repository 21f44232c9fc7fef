"""What an alert says: which instances failed, where to look for them, or why it is ignored."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clients.vault_cache import matching
from shared.domain.arm_results import ListedInstance
from shared.domain.resource_ids import BackupInstanceId, BackupVaultId
from shared.sources.azure_monitor import Alert, Ignored, NotAnAlert, alert_identifiers, read_alert
from shared.sources.operation_filter import OperationFilter
from tests.support.alert_bodies import (
    DISK,
    INSTANCE,
    RECOVERY_VAULT,
    VAULT,
    activity_alert,
    alert,
    backup_failure,
    log_alert,
    metric_alert,
)

NOW = datetime(2026, 3, 13, 12, 0, tzinfo=UTC)
RULES = OperationFilter()
OTHER = INSTANCE.replace("disk1", "disk2")


def read(body: object, rules: OperationFilter = RULES) -> Alert:
    answer = read_alert(body, NOW, rules)
    assert isinstance(answer, Alert), answer
    return answer


def ignored(body: object, rules: OperationFilter = RULES) -> Ignored:
    answer = read_alert(body, NOW, rules)
    assert isinstance(answer, Ignored), answer
    return answer


def named(body: object) -> list[str]:
    return [str(instance) for instance in read(body).instances]


@pytest.mark.parametrize(
    "body",
    [
        alert(alertTargetIDs=[INSTANCE]),
        alert(configurationItems=[INSTANCE]),
        alert({"sourceId": INSTANCE}),
        alert({"protectedItemId": INSTANCE}),
        alert({"linkedResourceId": f"{INSTANCE}/backupJobs/88df0be3"}),
        alert({"affectedItems": [INSTANCE, INSTANCE.upper()]}),
        alert({"affectedItems": f"{DISK}, {INSTANCE}"}),
        alert({"extendedInfo": {"items": [{"id": INSTANCE}]}}),
        alert({}, {"backupInstanceId": INSTANCE}),
        alert({"properties": {"BackupInstance": INSTANCE}}),
        metric_alert(backupInstanceUrl=INSTANCE, dataSourceURL=DISK, healthStatus="PersistentUnhealthy"),
        metric_alert(backupInstanceUrl=f"https://management.azure.com{INSTANCE}"),
        log_alert({"BackupInstanceId": INSTANCE, "JobOperation": "Backup"}),
        activity_alert("backup/action"),
    ],
    ids=[
        "target",
        "configuration item",
        "source",
        "protected item",
        "trailing segments",
        "affected items",
        "affected items as text",
        "deep",
        "custom property",
        "context property",
        "metric dimension",
        "metric dimension as url",
        "log dimension",
        "activity log",
    ],
)
def test_the_instance_is_found_wherever_it_stands(body: object) -> None:
    assert [one.lower() for one in named(body)] == [INSTANCE.lower()]


SPACED = f"{INSTANCE} (weekly)"


@pytest.mark.parametrize(
    ("text", "instances"),
    [
        (INSTANCE, [INSTANCE]),
        (f"  {INSTANCE}\n", [INSTANCE]),
        (INSTANCE.removeprefix("/"), [INSTANCE]),
        (SPACED, [SPACED]),
        (f"https://management.azure.com{SPACED}/backupJobs/1", [SPACED]),
        (f"{SPACED}, {OTHER};\n{DISK},", [SPACED, OTHER]),
        (f"{INSTANCE} {OTHER}", [INSTANCE, OTHER]),
        (f"{INSTANCE} https://management.azure.com{OTHER}", [INSTANCE, OTHER]),
        (f"{INSTANCE}, which failed", [INSTANCE]),
        (f"{INSTANCE}','{OTHER}", [INSTANCE, OTHER]),
        (f"https://management.azure.com{INSTANCE}?api-version=2025-07-01", [INSTANCE]),
        (f"https://portal.azure.com{INSTANCE}#overview", [INSTANCE]),
        (f"Backup jobs of {INSTANCE} failed", [INSTANCE]),
        (f"Backup of {INSTANCE}. Repair it.", [INSTANCE]),
        (f"Backup of {INSTANCE}: it failed", [INSTANCE]),
        (f"See https://management.azure.com{INSTANCE}/backupJobs/1.", [INSTANCE]),
        (f"AddonAzureBackupJobs | where Id in ('a', {INSTANCE})", [INSTANCE]),
        (f"AddonAzureBackupJobs | where Id in ('{INSTANCE}','{OTHER}')", [INSTANCE, OTHER]),
        (f"AddonAzureBackupJobs | where Id has {INSTANCE} | count", [INSTANCE]),
        (f"Id={INSTANCE}|count", [INSTANCE]),
        (f"'{INSTANCE}'", [INSTANCE]),
        (f'"{INSTANCE}"', [INSTANCE]),
        (f"({INSTANCE})", [INSTANCE]),
        (f"[{INSTANCE}]", [INSTANCE]),
        (f'["{INSTANCE}","{OTHER}"]', [INSTANCE, OTHER]),
        (f"<b>{INSTANCE}</b><br/>&quot;{OTHER}&quot;", [INSTANCE, OTHER]),
        (f'<a href="https://management.azure.com{INSTANCE}">the instance</a>', [INSTANCE]),
        (json.dumps({"backupInstanceId": INSTANCE}), [INSTANCE]),
        (json.dumps(json.dumps({"backupInstanceId": INSTANCE})), [INSTANCE]),
        (f"x{INSTANCE}", []),
        (f"https://portal.azure.com/#resource{INSTANCE}", []),
        (f"{DISK}{INSTANCE}", []),
    ],
)
def test_ids_inside_a_text_end_where_the_text_goes_on(text: str, instances: list[str]) -> None:
    assert named(alert(custom={"note": text})) == instances


@pytest.mark.parametrize("key", ["searchQuery", "SEARCHQUERY", "description", "linkToSearchResults", "linktofilteredX"])
def test_what_is_no_statement_about_what_failed_is_not_read(key: str) -> None:
    assert named(alert({"condition": {key: INSTANCE, "x": [{key: {"id": INSTANCE}}]}}, {key: INSTANCE})) == []


@pytest.mark.parametrize("key", ["linkedResourceId", "descriptionOfItem", "mySearchQuery", ""])
def test_a_key_that_is_only_like_an_unread_one_is_read(key: str) -> None:
    assert named(alert({key: INSTANCE})) == [INSTANCE]


def test_several_instances_are_several_signals() -> None:
    body = log_alert({"id": INSTANCE}, {"id": OTHER}, {"id": INSTANCE.lower()})
    assert [str(signal.instance) for signal in read(body).signals(read(body).instances)] == [INSTANCE, OTHER]


def test_the_signal_tells_what_the_alert_says_and_when_it_fired() -> None:
    body = alert(alertTargetIDs=[INSTANCE])
    (signal,) = read(body).signals(read(body).instances)
    assert (signal.source, signal.reason) == ("Alert", "Backup Failure: The backup of the disk failed.")
    assert signal.occurred_at == datetime(2026, 3, 13, 11, 56, 13, 939234, tzinfo=UTC)


@pytest.mark.parametrize("fired", [None, "yesterday", 5, "0001-01-01T00:00:00+23:59", ""])
def test_an_alert_that_tells_no_time_happened_now(fired: object) -> None:
    assert read(alert(alertTargetIDs=[INSTANCE], firedDateTime=fired)).occurred_at == NOW


def test_an_alert_without_an_instance_names_vault_and_resource() -> None:
    answer = read(backup_failure())
    assert (answer.instances, answer.vaults) == ((), (BackupVaultId.parse(VAULT),))
    assert DISK.lower() in answer.resources


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (alert(monitorCondition="Resolved", alertTargetIDs=[INSTANCE]), "Resolved"),
        (alert(monitorCondition="Sleeping", alertTargetIDs=[INSTANCE]), "OtherCondition"),
        ({"schemaId": "AzureMonitorMetricAlert", "data": {"context": {"resourceId": INSTANCE}}}, "OtherSchema"),
        ({"schemaId": "Microsoft.Insights/activityLogs", "data": {"context": {}}}, "OtherSchema"),
        ({"status": "Activated", "context": {"resourceId": INSTANCE}}, "OtherSchema"),
        (alert({"category": "Jobs"}, alertTargetIDs=[RECOVERY_VAULT]), "RecoveryServicesVault"),
        (
            alert(
                {"protectedItemId": f"{RECOVERY_VAULT}/backupFabrics/Azure"},
                alertTargetIDs=None,
                targetResourceType=None,
            ),
            "RecoveryServicesVault",
        ),
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
    rules = OperationFilter(own_client_id="5A7A1B26-0000-4000-8000-000000000000")
    body = activity_alert("backup/action", claims='{"appid": "5a7a1b26-0000-4000-8000-000000000000"}')
    assert "own doing" in ignored(body, rules).reason


@pytest.mark.parametrize(
    ("body", "target"),
    [
        (None, "schemaId"),
        ([], "schemaId"),
        ("alert", "schemaId"),
        ({}, "schemaId"),
        ({"schemaId": 5}, "schemaId"),
        ({"schemaId": "azureMonitorCommonAlertSchema"}, "data"),
        ({"schemaId": "AZUREMONITORCOMMONALERTSCHEMA", "data": {"essentials": []}}, "data.essentials"),
        (alert(monitorCondition=None), "data.essentials.monitorCondition"),
    ],
)
def test_what_is_no_alert_says_which_field(body: object, target: str) -> None:
    with pytest.raises(NotAnAlert) as refused:
        read_alert(body, NOW, RULES)
    assert refused.value.target == target


LISTED = [
    ListedInstance(BackupInstanceId.parse(INSTANCE), DISK),
    ListedInstance(BackupInstanceId.parse(OTHER), DISK.replace("disk1", "disk12")),
]


@pytest.mark.parametrize("resource", [DISK.lower(), f"{DISK}/providers/Microsoft.DataProtection/x/y".lower()])
def test_a_resource_leads_to_the_instance_that_protects_it(resource: str) -> None:
    assert [str(one) for one in matching(LISTED, [resource])] == [INSTANCE]


def test_a_resource_that_nothing_protects_leads_nowhere() -> None:
    assert matching(LISTED, [DISK.lower().removesuffix("1"), VAULT]) == ()


ids = st.sampled_from([INSTANCE, OTHER, VAULT, RECOVERY_VAULT, DISK, "Fired", "Jobs", "\ud800", ""])
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | ids,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
essentials = st.dictionaries(
    st.sampled_from(
        [
            "monitorCondition",
            "monitoringService",
            "alertTargetIDs",
            "configurationItems",
            "firedDateTime",
            "alertRule",
            "description",
            "targetResourceType",
        ]
    ),
    json_values,
)
contexts = st.dictionaries(
    st.sampled_from(["category", "condition", "operationName", "status", "claims", "authorization", "sourceId"]),
    json_values,
)


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
def test_an_alert_is_called_by_its_id_and_its_rule(body: object, alert_id: str | None, rule: str | None) -> None:
    assert alert_identifiers(body) == {"alertId": alert_id, "alertRule": rule}


def outcome(body: object) -> Alert | Ignored | NotAnAlert:
    try:
        return read_alert(body, NOW, RULES)
    except NotAnAlert as refused:
        return refused


@given(essentials, contexts | json_values, json_values)
def test_any_alert_is_read_ignored_or_refused_with_a_reason(changes: dict[str, Any], context: Any, custom: Any) -> None:
    answer = outcome(alert(context, custom, **changes))
    assert (str(answer) if isinstance(answer, NotAnAlert) else answer.reason).encode()


@given(json_values)
def test_any_json_is_ignored_or_refused(body: Any) -> None:
    assert isinstance(outcome(body), Ignored | NotAnAlert)


def test_an_alert_that_nests_deeply_is_read_to_its_ground() -> None:
    nested: Any = INSTANCE
    for _ in range(100_000):
        nested = [nested]
    assert named(alert({"x": nested})) == [INSTANCE]


@pytest.mark.parametrize(
    "text",
    [
        f"x{' ' * 1_000_000}x",
        "/subscriptions/" * 70_000,
        "https://" * 130_000,
        f"{DISK}{'/a' * 500_000}",
        f"{', ' * 200_000}{INSTANCE}{' ;' * 200_000}",
        "\n" * 1_000_000,
        f"{INSTANCE},{' ' * 1_000_000}x",
        " /subscriptions/" * 65_000,
        ",/subscriptions/x" * 60_000,
        f"x {DISK}{'.' * 1_000_000}x",
        f"x {DISK}{':.' * 250_000}{' https://a' * 50_000}",
        f"x https://{'a' * 1_000_000}",
    ],
    ids=[
        "blanks",
        "subscriptions",
        "origins",
        "segments",
        "separators",
        "lines",
        "gap",
        "tokens",
        "list",
        "dots",
        "dots and origins",
        "long origin",
    ],
)
def test_a_mebibyte_in_one_text_is_read_in_one_go(text: str) -> None:
    answer = read(alert({"x": text}))
    matching([ListedInstance(BackupInstanceId.parse(INSTANCE), DISK)] * 5_000, answer.resources)
    assert answer.vaults


def test_thousands_of_operations_by_one_caller_are_read_in_one_go() -> None:
    operations = [f"Microsoft.DataProtection/backupVaults/backupInstances/backup{n}" for n in range(4_000)]
    body = activity_alert("sync/action", claims=json.dumps({"x": "y" * 500_000}), operations=operations)
    assert named(body)
