"""The files that other tools read: well-formed, in the shape that those tools expect, and without secrets."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.bicep import PROJECT

PUBLISHED_KEYS = {
    *("dev/functions_host/settings.py", "dev/stack/services.py", "tests/unit/storage/test_storage_transport.py"),
}
"""The key of Azurite's development account: the same for everybody, published by Microsoft."""
NAMED_SETTINGS = "tests/infra/azure_types.json"
"""Says that `clientSecretSettingName` is a text."""
ENCODED_EVENT = "tests/corpus/events/cloud-event-binary-data-of-a-job.json"
"""The data of an event in base64, with the id of an instance that does not exist."""
_PIP_AUDIT_SECONDS = 60


def tracked(*patterns: str) -> list[str]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    return subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.split()


def tool(name: str, *arguments: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.parametrize("path", tracked("*.json"))
def test_json_is_json(path: str) -> None:
    assert isinstance(json.loads((PROJECT / path).read_text()), dict | list)


@pytest.mark.parametrize("path", tracked("*.yml", "*.yaml"))
def test_yaml_is_yaml(path: str) -> None:
    assert isinstance(yaml.safe_load((PROJECT / path).read_text()), dict)


@pytest.mark.parametrize(
    ("schema", "paths"),
    [("github-workflows", tracked(".github/workflows/*")), ("dependabot", [".github/dependabot.yml"])],
)
def test_github_reads_its_files(schema: str, paths: list[str]) -> None:
    assert paths
    checked = tool("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *paths)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", tracked(".github/workflows/*"))
def test_a_workflow_has_no_more_rights_than_it_says(path: str) -> None:
    workflow: dict[str, Any] = yaml.safe_load((PROJECT / path).read_text())
    assert workflow["permissions"] == {"contents": "read"}
    rights = [job.get("permissions", {}) for job in workflow["jobs"].values()]
    needed = {"contents": "write"} if path.endswith("/release.yml") else {"contents": "read", "id-token": "write"}
    assert all(right in ({}, needed) for right in rights)
    assert "secrets." not in (PROJECT / path).read_text()


def test_the_tests_run_on_every_python_that_the_app_supports() -> None:
    workflow: dict[str, Any] = yaml.safe_load((PROJECT / ".github/workflows/test.yml").read_text())
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]


def test_azd_finds_the_app_that_the_template_tags() -> None:
    (name,) = yaml.safe_load((PROJECT / "azure.yaml").read_text())["services"]
    assert f"'azd-service-name': '{name}'" in (PROJECT / "infra/modules/function-app.bicep").read_text()


def test_azd_is_new_enough_to_leave_out_what_is_not_the_app() -> None:
    # azure-dev, release notes of 1.18.0: "Add support for .webappignore and .funcignore files".
    assert yaml.safe_load((PROJECT / "azure.yaml").read_text())["requiredVersions"] == {"azd": ">= 1.18.0"}


def test_no_variable_gets_into_a_deployments_environment_but_settings() -> None:
    text = (PROJECT / ".github/workflows/deploy.yml").read_text()
    (allowed, again) = re.findall(r'select\(\.key \| test\("([^"]+)"\)\)', text)
    assert allowed == again
    taken = {"AUTOHEAL_COOLDOWN", "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "AZURE_LOCATION"}
    left = {"PATH", "LD_PRELOAD", "BASH_ENV", "AZURE_CONFIG_DIR", "GITHUB_TOKEN", "XAUTOHEAL_A", "AUTOHEAL_A\nPATH"}
    assert {name for name in taken | left if re.search(allowed, name)} == taken
    assert text.count("toJSON(vars)") == 2


def test_no_secret_is_in_the_repository() -> None:
    scanned = tool("detect-secrets", "scan", *tracked())
    found = json.loads(scanned.stdout)["results"]
    assert {
        path: [one["type"] for one in found[path]]
        for path in sorted(set(found) - PUBLISHED_KEYS - {ENCODED_EVENT, NAMED_SETTINGS})
    } == {}


def test_the_packages_of_the_app_have_no_known_vulnerability() -> None:
    try:
        audited = tool(
            *("pip-audit", "--requirement", "requirements.txt", "--no-deps", "--disable-pip", "--format", "json"),
            *("--progress-spinner", "off", "--timeout", "5"),
            timeout=_PIP_AUDIT_SECONDS,
        )
        packages = json.loads(audited.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError) as silence:
        pytest.skip(f"the vulnerability data cannot be reached from here: {type(silence).__name__}")
    known = [package for package in packages if "vulns" in package]
    if not known:
        pytest.skip("the vulnerability data cannot be reached from here: no package could be looked up")
    assert {package["name"]: package["vulns"] for package in known if package["vulns"]} == {}
