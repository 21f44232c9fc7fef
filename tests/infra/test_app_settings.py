"""The settings in the templates are those of the app."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from shared.settings import STORAGE_CONNECTION, Settings
from tests.infra import azd
from tests.infra.bicep import PROJECT, resources

SETTINGS = {setting.metadata["variable"] for setting in fields(Settings)}
REFUSED = {"FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE", "AzureWebJobsStorage"}
"""Flex Consumption has other places for them ("Flex Consumption plan deprecations"); the last would be a key."""


def of_the_template() -> dict[str, Any]:
    """The app settings that the template sets itself, besides the operator's."""
    own: dict[str, Any] = union_of_settings()["arg_2"]
    return own


def union_of_settings() -> dict[str, Any]:
    """The operator's, the template's, and those that the platform's sign-in needs."""
    (properties,) = [
        each["properties"] for each in resources("Microsoft.Web/sites/config") if each["name"] == "appsettings"
    ]
    assert properties["function"]["type"] == "union"
    parts: dict[str, Any] = properties["function"]["parameters"]
    return parts


def of_the_operator(**environment: str) -> dict[str, str]:
    """The parameter `settings`: app settings that azd fills from its environment."""
    settings: dict[str, str] = azd.filled(environment)["settings"]
    return settings


def test_every_setting_can_be_given_and_nothing_else() -> None:
    assert set(of_the_operator()) | (set(of_the_template()) & SETTINGS) == SETTINGS
    assert not set(of_the_operator()) & set(of_the_template())


@pytest.mark.parametrize("name", sorted(of_the_operator()))
def test_a_setting_is_given_by_the_variable_of_its_name_with_a_prefix(name: str) -> None:
    given = of_the_operator(**{f"AUTOHEAL_{name}": "given"})
    assert given[name] == "given"
    assert {other for other in given if given[other] == "given"} == {name}


def test_variables_of_a_developers_shell_are_not_taken_for_settings() -> None:
    visual_studio = {"INCLUDE": r"C:\Program Files\VC\include;", "EXCLUDE": "*.obj", "RETENTION_DAYS": "1"}
    assert of_the_operator(**visual_studio) == of_the_operator()


def test_all_other_parameters_have_the_prefix_as_well() -> None:
    own_to_azd = {"AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE"}
    assert {name for name in azd.variables() if not name.startswith("AUTOHEAL_")} == own_to_azd


def test_a_setting_that_nobody_gives_has_the_default_of_the_app() -> None:
    assert Settings.from_environment(of_the_operator()) == Settings()


def test_the_sweep_is_turned_off_by_a_word_because_azd_takes_an_empty_value_for_none() -> None:
    assert of_the_operator(AUTOHEAL_SWEEP_SCHEDULE="") == of_the_operator()
    off = Settings.from_environment(of_the_operator(AUTOHEAL_SWEEP_SCHEDULE="off"))
    assert off == Settings.from_environment({"SWEEP_SCHEDULE": ""})


@pytest.mark.parametrize("value", ["off", "0 0 6 * * 1-5", "/subscriptions/*/resourceGroups/rg-[ab]?/*", "Grüße, $x"])
def test_ordinary_values_arrive_as_they_are(value: str) -> None:
    assert of_the_operator(AUTOHEAL_EXCLUDE=value)["EXCLUDE"] == value


@pytest.mark.parametrize("value", ['say "no"', "rg\\d", "two\nlines"])
def test_what_json_would_have_to_escape_stops_azd(value: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Invalid"):
        of_the_operator(AUTOHEAL_EXCLUDE=value)


def test_the_template_sets_what_it_alone_can_know() -> None:
    own = set(of_the_template()) & SETTINGS
    assert own == {"AZURE_CLIENT_ID", "ARM_ENDPOINT", "OUTCOME_TOPIC_ENDPOINT", "NOTIFY_WEBHOOK_URL", "SIGN_IN"}


def test_resource_manager_as_the_template_names_it_is_what_the_app_expects() -> None:
    # environment().resourceManager ends with a slash.
    read = Settings.from_environment({"ARM_ENDPOINT": "https://management.azure.com/"})
    assert replace(read, arm_endpoint=Settings().arm_endpoint) == Settings()
    assert read.arm_endpoint == Settings().arm_endpoint


def test_storage_is_reached_by_identity() -> None:
    own = of_the_template()
    services = {f"{STORAGE_CONNECTION}__{service}ServiceUri" for service in ("blob", "queue", "table")}
    assert services <= set(own)
    assert own[f"{STORAGE_CONNECTION}__credential"] == "managedidentity"
    assert own[f"{STORAGE_CONNECTION}__clientId"] == "identityClientId"


def test_each_message_that_the_queue_trigger_takes_has_a_thread() -> None:
    queues = json.loads((PROJECT / "host.json").read_text(encoding="utf-8"))["extensions"]["queues"]
    threads = of_the_template()["PYTHON_THREADPOOL_THREAD_COUNT"]
    sample = json.loads((PROJECT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    assert int(threads) == queues["batchSize"] + queues["newBatchThreshold"]
    assert sample["PYTHON_THREADPOOL_THREAD_COUNT"] == threads


def test_nothing_is_set_that_flex_consumption_refuses() -> None:
    assert not REFUSED & (set(of_the_template()) | set(of_the_operator()))
