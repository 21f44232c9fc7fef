"""The deployment package, made as Azure's tools make it: the project without what .funcignore names."""

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from pathspec import GitIgnoreSpec

from tests.infra.bicep import PROJECT

NOT_FROM_PYPI = {"shared", "__future__"} | set(sys.stdlib_module_names)


def packed() -> Iterator[Path]:
    """The files that are deployed (.funcignore has the syntax of .gitignore)."""
    ignored = GitIgnoreSpec.from_lines((PROJECT / ".funcignore").read_text().splitlines())
    for folder, folders, files in os.walk(PROJECT):
        here = Path(folder).relative_to(PROJECT)
        folders[:] = [name for name in folders if not ignored.match_file(f"{(here / name).as_posix()}/")]
        yield from (here / name for name in files if not ignored.match_file((here / name).as_posix()))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, unpacked where nothing else of the project is."""
    folder = tmp_path_factory.mktemp("package")
    with zipfile.ZipFile(folder / "app.zip", "w") as archive:
        for file in packed():
            archive.write(PROJECT / file, file)
    with zipfile.ZipFile(folder / "app.zip") as archive:
        archive.extractall(folder / "wwwroot")
    return folder / "wwwroot"


def test_it_holds_the_app_and_nothing_else(package: Path) -> None:
    assert {path.name for path in package.iterdir()} == {"function_app.py", "host.json", "requirements.txt", "shared"}


def test_a_release_has_the_same_package(package: Path) -> None:
    release = (PROJECT / ".github/workflows/release.yml").read_text()
    (archived,) = re.findall(r'git archive .* "\$TAG" (.*)', release)
    assert set(archived.split()) == {path.name for path in package.iterdir()}


def test_it_holds_all_of_the_app(package: Path) -> None:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "shared"]
    own = subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.split()
    assert {str(path.relative_to(package)) for path in (package / "shared").rglob("*") if path.is_file()} == set(own)


def test_it_loads_all_functions_of_the_project(package: Path) -> None:
    script = (
        "import function_app; names = [one.get_function_name() for one in function_app.app.get_functions()];"
        " print(function_app.__file__, *names)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # Two of them exist only where notices are sent, one where people sign in.
    environment |= {"NOTIFY_WEBHOOK_URL": "https://hooks.slack.com/x", "NOTIFY_FORMAT": "Slack"}
    environment |= {"DIGEST_SCHEDULE": "0 0 7 * * *", "SIGN_IN": "Entra"}
    loaded = subprocess.run(
        [sys.executable, "-B", "-c", script], cwd=package, env=environment, capture_output=True, text=True, check=True
    )
    file, *names = loaded.stdout.split()
    assert Path(file) == package / "function_app.py"
    source = ast.parse((PROJECT / "function_app.py").read_text())
    assert set(names) == {node.name for node in ast.walk(source) if isinstance(node, ast.FunctionDef)}


def test_what_it_imports_comes_with_its_requirements(package: Path) -> None:
    brought = closure(requirements())
    whose = packages_distributions()
    foreign = {name for path in package.rglob("*.py") for name in imports(path)} - NOT_FROM_PYPI
    assert {name for name in foreign if not brought & {normal(each) for each in whose[name]}} == set()


def requirements() -> list[Requirement]:
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def development() -> list[Requirement]:
    lines = (PROJECT / "requirements-dev.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_what_azure_installs_does_not_depend_on_the_python_that_builds() -> None:
    assert [str(one) for one in requirements() if one.marker] == []
    names = [one.name for one in requirements()]
    assert len(names) == len(set(names))


def test_development_has_the_versions_that_azure_installs() -> None:
    on_azures_python = {"python_version": "3.13"}
    chosen = [one for one in development() if not one.marker or one.marker.evaluate(on_azures_python)]
    versions = {one.name: str(one.specifier) for one in chosen}
    assert {one.name: str(one.specifier) for one in requirements()}.items() <= versions.items()
    assert len(versions) == len(chosen)


def closure(wanted: list[Requirement]) -> set[str]:
    """The names of these distributions and all that they need, here and now."""
    found: set[str] = set()
    while wanted:
        one = wanted.pop()
        if normal(one.name) in found or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        found.add(normal(one.name))
        wanted += [Requirement(needed) for needed in distribution(one.name).requires or []]
    return found


def normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imports(path: Path) -> set[str]:
    """The top-level packages that a file names anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_azure_functions_doctor_finds_it_well(package: Path) -> None:
    doctor = str(Path(sys.executable).with_name("azure-functions-doctor"))
    target = ["--profile", "deploy", "--hosting-plan", "flex-consumption", "--target-python", "3.13"]
    command = [doctor, "doctor", "--path", str(package), "--format", "json", *target]
    # What infra/modules/function-app.bicep sets, as far as the doctor asks for it.
    settings = {"APPLICATIONINSIGHTS_CONNECTION_STRING": "set", "AzureWebJobsStorage__blobServiceUri": "set"}
    ran = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    items = [item for part in json.loads(ran.stdout)["results"] for item in part["items"]]
    found = {item["rule_id"]: item["value"] for item in items if item["status"] not in {"pass", "skip"}}
    found.pop("check_funcignore")  # it is there, but not deployed
    assert items
    assert found == {}
