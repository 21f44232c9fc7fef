"""The settings in the templates are those of the app."""

import json
import re
from dataclasses import fields, replace
from typing import Any

from shared.settings import STORAGE_CONNECTION, Settings
from tests.infra.bicep import INFRA, resource

SETTINGS = {setting.metadata["variable"] for setting in fields(Settings)}
REFUSED = {"FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE", "AzureWebJobsStorage"}
"""Flex Consumption has other places for them ("Flex Consumption plan deprecations"); the last would be a key."""


def of_the_template() -> dict[str, Any]:
    """The app settings that the template sets itself, besides the operator's."""
    properties = resource("Microsoft.Web/sites/config")["properties"]
    assert properties["function"]["type"] == "union"
    own: dict[str, Any] = properties["function"]["parameters"]["arg_2"]
    return own


def of_the_operator() -> dict[str, str]:
    """The parameter `settings`: app settings that azd fills from variables of the same names."""
    parameters = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    settings: dict[str, str] = parameters["settings"]["value"]
    return settings


def test_every_setting_can_be_given_and_nothing_else() -> None:
    assert set(of_the_operator()) | (set(of_the_template()) & SETTINGS) == SETTINGS
    assert not set(of_the_operator()) & set(of_the_template())


def test_a_setting_is_given_by_the_variable_of_its_name() -> None:
    named = {name: re.fullmatch(r"\$\{(\w+)(?:=(.*))?\}", text) for name, text in of_the_operator().items()}
    assert {name: match and match[1] for name, match in named.items()} == {name: name for name in named}


def test_a_setting_that_nobody_gives_has_the_default_of_the_app() -> None:
    defaults = {name: re.sub(r"^\$\{\w+=?|\}$", "", text) for name, text in of_the_operator().items()}
    assert Settings.from_environment(defaults) == Settings()


def test_the_template_sets_what_it_alone_can_know() -> None:
    own = set(of_the_template()) & SETTINGS
    assert own == {"AZURE_CLIENT_ID", "ARM_ENDPOINT", "OUTCOME_TOPIC_ENDPOINT"}


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


def test_nothing_is_set_that_flex_consumption_refuses() -> None:
    assert not REFUSED & (set(of_the_template()) | set(of_the_operator()))
