"""The Bicep templates: parts that fit together, nothing open that need not be, names that exist in the code."""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from shared.settings import Settings
from shared.sources.event_grid import RESOURCE_FAILURES
from shared.sources.repair_event import GRANTS, RESOURCE_SUCCESSES, WRITES
from tests.infra.bicep import INFRA, PROJECT, TEMPLATES, body, parsed, resource, resources, values, variable

STORAGE = "Microsoft.Storage/storageAccounts"
SITE = "Microsoft.Web/sites"
REFUSED_SITE_SETTINGS = {
    *("alwayson", "autohealenabled", "ftpsstate", "functionappscalelimit", "functionsruntimescalemonitoringenabled"),
    *("linuxfxversion", "minimumelasticinstancecount", "netframeworkversion", "powershellversion"),
    *("prewarmedinstancecount", "pythonversion", "use32bitworkerprocess", "windowsfxversion"),
}
"""In lower case. Flex Consumption answers 51021, "The following site configuration property … is invalid"
(terraform-azurerm-avm-res-web-site 283 and 345, azure-pipelines-tasks 21032, azure-cli 31414), or has another place."""
FUNCTIONS = {
    node.name for node in ast.parse((PROJECT / "function_app.py").read_text()).body if isinstance(node, ast.FunctionDef)
}
each_template = pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(INFRA)))


@each_template
def test_modules_are_files_beside_the_template_and_get_the_parameters_that_they_take(path: Path) -> None:
    for name, module in parsed(path).get("modules", {}).items():
        assert module["type"] == "local", name
        taken = parsed(path.parent / module["detail"]["path"])["parameters"]
        given = set(body(module)["params"])
        needed = {parameter for parameter, of in taken.items() if of.get("default") is None}
        assert given <= set(taken), name
        assert needed <= given, name


@each_template
def test_outputs_of_modules_are_there(path: Path) -> None:
    modules = parsed(path).get("modules", {})
    for module, output in re.findall(r"\b(\w+)!?\.outputs\.(\w+)", path.read_text()):
        assert output in parsed(path.parent / modules[module]["detail"]["path"])["outputs"], f"{module}.{output}"


@each_template
def test_outputs_of_a_module_with_a_condition_are_asked_for_as_of_one_that_may_be_absent(path: Path) -> None:
    modules = {name: "condition" in module["config"] for name, module in parsed(path).get("modules", {}).items()}
    asked = {(module, mark == "!") for module, mark in re.findall(r"\b(\w+)(!?)\.outputs\.", path.read_text())}
    assert asked <= set(modules.items()), "Bicep warns: the module may be null"


@each_template
def test_every_parameter_and_variable_is_used(path: Path) -> None:
    code = re.sub(r"//[^\n]*|^\s*@description\(.*\)$", "", path.read_text(), flags=re.MULTILINE)
    names = [*parsed(path).get("parameters", {}), *parsed(path).get("variables", {})]
    assert [name for name in names if len(re.findall(rf"\b{name}\b", code)) < 2] == []


@each_template
def test_api_versions_are_stable(path: Path) -> None:
    versions = {name: of["api_version"] for name, of in parsed(path).get("resources", {}).items()}
    assert [name for name, version in versions.items() if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", version)] == []


def test_there_is_no_module_that_nobody_uses() -> None:
    used = {path.parent / of["detail"]["path"] for path in TEMPLATES for of in parsed(path).get("modules", {}).values()}
    assert {path for path in TEMPLATES if path.parent.name == "modules"} == used


def test_storage_takes_no_keys_no_anonymous_readers_and_no_old_tls() -> None:
    properties = resource(STORAGE)["properties"]
    assert properties["allowSharedKeyAccess"] is False
    assert properties["allowBlobPublicAccess"] is False
    assert properties["supportsHttpsTrafficOnly"] is True
    assert properties["minimumTlsVersion"] == "TLS1_2"


def test_the_app_takes_neither_http_nor_old_tls_nor_passwords_of_ftp_and_scm() -> None:
    properties = resource(SITE)["properties"]
    assert properties["httpsOnly"] is True
    assert properties["siteConfig"]["minTlsVersion"] == properties["siteConfig"]["scmMinTlsVersion"] == "1.2"
    policies = resources(f"{SITE}/basicPublishingCredentialsPolicies")
    assert {policy["name"]: policy["properties"]["allow"] for policy in policies} == {"ftp": False, "scm": False}


def test_the_app_has_no_site_setting_that_flex_consumption_refuses() -> None:
    given = {name.lower() for name in resource(SITE)["properties"]["siteConfig"]}
    assert given & REFUSED_SITE_SETTINGS == set()


def test_only_regions_are_offered_that_have_flex_consumption() -> None:
    decorators = parsed(INFRA / "main.bicep")["parameters"]["location"]["decorators"]
    (regions,) = [one["argument"] for one in decorators if one["type"] == "allowed"]
    assert {"westeurope", "eastus2", "swedencentral"} <= set(regions)
    assert not {"switzerlandnorth", "qatarcentral", "polandcentral"} & set(regions)
    assert regions == sorted(regions)


def test_the_name_of_an_environment_may_be_as_long_as_azd_allows() -> None:
    decorators = parsed(INFRA / "main.bicep")["parameters"]["environmentName"]["decorators"]
    assert [one["argument"] for one in decorators if one["type"] == "max_length"] == [64]


def test_the_portal_lists_the_workbook_where_the_docs_say() -> None:
    assert resource("Microsoft.Insights/workbooks")["properties"]["sourceId"] == "azure monitor"


def test_telemetry_and_topic_take_identities_only() -> None:
    assert resource("Microsoft.Insights/components")["properties"]["DisableLocalAuth"] is True
    assert resource("Microsoft.OperationalInsights/workspaces")["properties"]["features"]["disableLocalAuth"] is True
    assert resource("Microsoft.EventGrid/topics")["properties"]["disableLocalAuth"] is True


def test_the_app_runs_python_3_13_on_flex_consumption_with_an_identity_of_its_own() -> None:
    site = resource(SITE)
    assert resource("Microsoft.Web/serverfarms")["sku"] == {"tier": "FlexConsumption", "name": "FC1"}
    assert site["identity"]["type"] == "UserAssigned"
    assert site["properties"]["functionAppConfig"]["runtime"] == {"name": "python", "version": "3.13"}
    authentication = site["properties"]["functionAppConfig"]["deployment"]["storage"]["authentication"]
    assert authentication["type"] == "UserAssignedIdentity"


def test_the_topic_takes_the_cloud_events_that_the_app_sends() -> None:
    assert resource("Microsoft.EventGrid/topics")["properties"]["inputSchema"] == "CloudEventSchemaV1_0"


def test_people_get_nothing_but_to_read_dead_letters() -> None:
    assignments = [one["properties"] for one in resources("Microsoft.Authorization/roleAssignments")]
    people = [one for one in assignments if one["principalType"] != "ServicePrincipal"]
    assert [(one["principalId"], one["principalType"]) for one in people] == [
        ("readerPrincipalId", "readerPrincipalType")
    ]
    assert "blobDataReader" in str(people[0]["roleDefinitionId"])


def test_the_event_subscription_takes_the_events_that_the_app_reads_but_not_its_own() -> None:
    properties = resource("Microsoft.EventGrid/systemTopics/eventSubscriptions")["properties"]
    alone = properties["filter"]["operator"]["operands"]["false_value"]
    assert set(alone["includedEventTypes"]) == set(RESOURCE_FAILURES)
    begins, begins_not = alone["advancedFilters"]
    instances = "Microsoft.DataProtection/backupVaults/backupInstances"
    assert (begins["operatorType"], begins_not["operatorType"]) == ("StringBeginsWith", "StringNotBeginsWith")
    assert begins["key"] == begins_not["key"] == "data.operationName"
    assert begins["values"] == [f"{instances}/"]
    assert begins_not["values"] == [f"{instances}/sync/"]


def test_with_the_wake_the_event_subscription_takes_repairs_too() -> None:
    properties = resource("Microsoft.EventGrid/systemTopics/eventSubscriptions")["properties"]
    both = properties["filter"]["operator"]["operands"]["true_value"]
    alone = properties["filter"]["operator"]["operands"]["false_value"]
    assert both["includedEventTypes"] == [*RESOURCE_FAILURES, *RESOURCE_SUCCESSES]
    begins, begins_not = both["advancedFilters"]
    assert begins["values"] == [*alone["advancedFilters"][0]["values"], *GRANTS, *WRITES]
    assert begins_not == alone["advancedFilters"][1]
    assert len(begins["values"]) + len(begins_not["values"]) <= 25, "Event Grid's limit"


@pytest.mark.parametrize("file", ["subscription.bicep", "management-group.bicep"])
def test_the_wake_is_off_unless_it_is_asked_for(file: str) -> None:
    assert parsed(INFRA / file)["parameters"]["wakeEnabled"]["default"] is False


def parameters_of(file: str, module: str) -> Mapping[str, Any]:
    """The parameters that a template gives to one of its modules."""
    given: Mapping[str, Any] = body(parsed(INFRA / file)["modules"][module])["params"]
    return given


def test_undeliverable_events_go_to_a_container_that_exists() -> None:
    properties = resource("Microsoft.EventGrid/systemTopics/eventSubscriptions")["properties"]
    kept = properties["deadLetterWithResourceIdentity"]["operator"]["operands"]["false_value"]
    container = kept["deadLetterDestination"]["properties"]["blobContainerName"]
    assert parameters_of("modules/dead-letters.bicep", "made")["containerNames"] == [container]
    assert properties["retryPolicy"] == {"eventTimeToLiveInMinutes": 1440, "maxDeliveryAttempts": 30}


@pytest.mark.parametrize("function", ["on_backup_failure", "submit_sync", "receive_alert"])
def test_the_functions_that_templates_name_exist(function: str) -> None:
    named = [value for path in TEMPLATES for value in values(parsed(path)) if str(value).endswith(function)]
    assert named, f"no template names {function}"
    assert function in FUNCTIONS


def test_who_leaves_dead_letters_can_touch_neither_code_nor_state() -> None:
    name = {file: parameters_of("main.bicep", file)["name"] for file in ("storage", "deadLetters")}
    assert name["storage"] != name["deadLetters"]
    assert "writerPrincipalId" not in (INFRA / "modules/storage.bicep").read_text()
    assert "deadLetterIdentity" not in str(parameters_of("main.bicep", "storage"))


@pytest.mark.parametrize("module", ["deadLetterIdentity", "deadLetters"])
def test_dead_letters_can_be_switched_off(module: str) -> None:
    assert parsed(INFRA / "main.bicep")["modules"][module]["config"]["condition"] == "deadLettersEnabled"
    topic = resource("Microsoft.EventGrid/systemTopics")["identity"]["operator"]["operands"]
    assert (topic["condition"]["function"]["type"], topic["true_value"]) == ("empty", None)


def test_two_installations_on_one_subscription_do_not_share_a_name() -> None:
    subscription = INFRA / "subscription.bicep"
    assert "split(functionAppId" in subscription.read_text().split("var installation = ")[1].splitlines()[0]
    group = parsed(subscription)["parameters"]["resourceGroupName"]["default"]
    names = [parameters_of("subscription.bicep", module)["name"] for module in ("events", "alerts")]
    roles = resources("Microsoft.Authorization/roleDefinitions")
    assert "functionAppId" in str(group)
    assert all("${installation}" in name for name in [*names, *(role["properties"]["roleName"] for role in roles)])
    assert all("installation" in str(role["name"]) for role in roles)


def policy() -> Mapping[str, Any]:
    """The deployment of the policy, for a subscription that lacks something."""
    rule = resource("Microsoft.Authorization/policyDefinitions")["properties"]["policyRule"]
    assert rule["if"] == {"field": "type", "equals": "Microsoft.Resources/subscriptions"}
    assert rule["then"]["effect"] == "deployIfNotExists"
    details: Mapping[str, Any] = rule["then"]["details"]
    return details


def made_by_the_policy() -> list[Mapping[str, Any]]:
    """The resources of a watched subscription's group as the policy makes them."""
    _, inner = policy()["deployment"]["properties"]["template"]["resources"]
    made: list[Mapping[str, Any]] = inner["properties"]["template"]["resources"]
    return made


def test_the_policy_makes_what_connecting_makes() -> None:
    for made in made_by_the_policy():
        assert_alike(made["properties"], resource(made["type"])["properties"])
    assert [made["type"] for made in made_by_the_policy()] == [
        "Microsoft.EventGrid/systemTopics",
        "Microsoft.EventGrid/systemTopics/eventSubscriptions",
        "Microsoft.AlertsManagement/actionRules",
    ]


def assert_alike(policys: Any, modules: Any) -> None:
    """The same but for names of parameters, and for what only the subscription itself can evaluate."""
    if policys == "[subscription().id]":
        assert modules["operator"]["operands"]["operand_1"]["function"]["type"] == "subscription"
    elif policys == "alertActionGroupId":
        assert modules == "actionGroupId"
    elif isinstance(policys, Mapping):
        assert set(policys) == set(modules)
        for key in policys:
            assert_alike(policys[key], modules[key])
    elif isinstance(policys, list):
        assert len(policys) == len(modules)
        for one, other in zip(policys, modules, strict=True):
            assert_alike(one, other)
    else:
        assert policys == modules


def test_azure_policy_looks_for_what_is_made_last() -> None:
    last = made_by_the_policy()[-1]
    assert (policy()["type"], policy()["name"]) == (last["type"], last["name"])
    assert (policy()["existenceScope"], policy()["resourceGroupName"]) == ("resourceGroup", "resourceGroupName")
    assert "eventSubscriptions" in str(last["dependsOn"])
    assert policy()["deploymentScope"] == "subscription"


def test_the_policy_and_connecting_use_the_same_group_and_names() -> None:
    groups = {
        str(parsed(INFRA / file)["parameters"]["resourceGroupName"]["default"])
        for file in ("subscription.bicep", "management-group.bicep")
    }
    assert len(groups) == 1
    topic, events, rule = (made["name"] for made in made_by_the_policy())
    assert topic == parameters_of("subscription.bicep", "systemTopic")["name"]
    assert events == f"{topic}/{parameters_of('subscription.bicep', 'events')['name']}"
    assert rule == parameters_of("subscription.bicep", "alerts")["name"]


def test_a_remediation_task_looks_at_every_subscription_and_waits_for_the_rights() -> None:
    task = parsed(INFRA / "management-group.bicep")["resources"]["remediation"]["config"]
    assert task["condition"] == "remediate"
    assert body(task)["properties"]["resourceDiscoveryMode"] == "ExistingNonCompliant"
    assert body(task)["properties"]["resourceCount"] == 50000
    assert body(task)["dependsOn"] == ["connects", "access"]


def test_an_alert_of_a_backup_vault_is_known_by_its_type_alone() -> None:
    # How Azure Backup is named in `MonitorService` is documented nowhere, and a rule with a wrong name is silent.
    rule = resource("Microsoft.AlertsManagement/actionRules")["properties"]
    assert {one["field"]: one["values"] for one in rule["conditions"]} == {
        "TargetResourceType": ["microsoft.dataprotection/backupvaults"],
        "MonitorCondition": ["Fired"],
    }


def test_no_template_of_a_watched_subscription_holds_a_key() -> None:
    holders = {str(path.relative_to(INFRA)) for path in TEMPLATES if "listKeys" in path.read_text()}
    assert holders == {"action-group.bicep"}


def test_the_form_in_the_portal_gives_parameters_that_the_template_takes() -> None:
    form = json.loads((INFRA / "createUiDefinition.json").read_text())["parameters"]
    taken = parsed(INFRA / "main.bicep")["parameters"]
    asked = {element["name"] for element in form["basics"]}
    given = set(re.findall(r"basics\('(\w+)'\)", json.dumps(form["outputs"])))
    assert set(form["outputs"]) <= set(taken)
    assert {name for name, of in taken.items() if of.get("default") is None} <= set(form["outputs"])
    assert given == asked
    assert set(form["outputs"]["settings"]) <= {setting.metadata["variable"] for setting in fields(Settings)}


def test_the_action_group_has_the_name_that_main_says() -> None:
    name = parsed(INFRA / "action-group.bicep")["parameters"]["name"]["default"]
    assert variable(INFRA / "main.bicep", "alertActionGroupName") == name


def test_backup_alerts_reach_the_app_in_the_common_schema() -> None:
    groups = [group["properties"] for group in resources("Microsoft.Insights/actionGroups")]
    (receiver,) = [one for group in groups for one in group.get("azureFunctionReceivers", [])]
    assert receiver["useCommonAlertSchema"] is True
    assert receiver["functionName"] == "receive_alert"
    assert "/api/alerts?code=" in receiver["httpTriggerUrl"]
    assert all(len(group["groupShortName"]) <= 12 for group in groups), "Azure Monitor's limit"
