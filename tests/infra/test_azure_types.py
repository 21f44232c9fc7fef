"""Every resource of the templates against the facts about Azure's types, and the check and its writer themselves."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.infra.azure_types import Declared, declared, problems, read_facts
from tests.infra.bicep import INFRA
from tests.infra.write_azure_types import facts

RESOURCES = list(declared())
FACTS = read_facts()


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.where)
def test_a_resource_is_what_its_type_takes(resource: Declared) -> None:
    assert problems(resource, FACTS) == []


def test_the_facts_are_about_the_types_that_the_templates_use() -> None:
    assert set(FACTS) == {resource.kind for resource in RESOURCES}


def test_resources_within_the_policy_are_looked_at() -> None:
    within = {resource.kind for resource in RESOURCES if "management-group.bicep: definition," in resource.where}
    assert "Microsoft.AlertsManagement/actionRules@2021-08-08" in within
    assert len(within) == 5


def changed(kind: str, *path: str | int, to: Any = None) -> list[str]:
    """The problems of the first resource of a type, with one value set or, without a value, one name removed."""
    resource = next(one for one in RESOURCES if one.kind.startswith(f"{kind}@") and one.body)
    body = json.loads(json.dumps(resource.body))
    inner = body
    for step in path[:-1]:
        inner = inner[step]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return problems(resource._replace(body=body), FACTS)


SITE = "Microsoft.Web/sites"
ACCOUNT = "Microsoft.Storage/storageAccounts"
RULE = "Microsoft.AlertsManagement/actionRules"


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (changed(SITE, "properties", "siteConfig", "minTlsVersoin", to="1.2"), "there is no such property"),
        (changed(SITE, "properties", "minTlsVersion", to="1.2"), "there is no such property"),
        (changed(SITE, "properties", "siteConfig", "minTlsVersion", to=12), "a text is needed"),
        (changed(SITE, "properties", "state", to="Running"), "Azure alone writes it"),
        (changed(SITE, "properties", "httpsOnly", to="yes"), "'yes' is no boolean"),
        (changed(SITE, "properties", "functionAppConfig", "runtime", "name", to="pyhton"), "is none of"),
        (changed(ACCOUNT, "sku"), ".sku: is missing"),
        (changed(ACCOUNT, "kind", to="StorageV9"), "'StorageV9' is none of"),
        (changed(RULE, "properties", "conditions", 0, "operator", to="Is"), "'Is' is none of"),
        (changed(RULE, "properties", "actions", 0, "actionType", to="Add"), "'Add' is none of"),
        (changed(RULE, "properties", "actions", 0, "actionGroupIds"), "actionGroupIds: is missing"),
        (changed(RULE, "properties", "scopes", to="/subscriptions/x"), "is no array"),
    ],
)
def test_what_azure_would_refuse_is_found(found: list[str], problem: str) -> None:
    (one,) = found
    assert problem in one


def test_a_version_that_there_is_not_is_found() -> None:
    resource = RESOURCES[0]._replace(kind="Microsoft.Web/sites@1999-01-01")
    assert "not in azure_types.json" in problems(resource, FACTS)[0]


# The writer, on definitions in the form of Azure/bicep-types-az.


def text(value: str) -> dict[str, Any]:
    return {"$type": "StringLiteralType", "value": value}


def of(at: int, flags: int = 0) -> dict[str, Any]:
    return {"type": {"$ref": f"#/{at}"}, "flags": flags}


DEFINITIONS: list[Mapping[str, Any]] = [
    {"$type": "StringType"},
    text("A"),
    text("B"),
    {"$type": "UnionType", "elements": [{"$ref": "#/1"}, {"$ref": "#/2"}]},
    {"$type": "UnionType", "elements": [{"$ref": "#/1"}, {"$ref": "#/0"}]},
    {"$type": "ArrayType", "itemType": {"$ref": "#/3"}},
    {
        "$type": "ObjectType",
        "name": "P",
        "properties": {"closed": of(3, 1), "open": of(4), "list": of(5), "mine": of(0, 2)},
    },
    {"$type": "ObjectType", "name": "R", "properties": {"name": of(0, 9), "properties": of(6, 1), "sku": of(6)}},
    {"$type": "ResourceType", "name": "Some.Provider/things@2025-01-01", "body": {"$ref": "#/7"}},
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "generated/some/some.provider/2025-01-01"
    folder.mkdir(parents=True)
    (folder / "types.json").write_text(json.dumps(DEFINITIONS))
    return tmp_path


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> Declared:
    body = {"name": "x", "properties": {"closed": "A", "list": ["B"]}}
    resource = Declared("here", "Some.Provider/things@2025-01-01", body, frozenset())
    monkeypatch.setattr("tests.infra.write_azure_types.declared", lambda: iter([resource]))
    return resource


def test_the_writer_takes_all_names_and_the_whole_of_what_is_used(checkout: Path, used: Declared) -> None:
    written = facts(checkout)
    assert written == {
        used.kind: {
            "required": ["name", "properties"],
            "properties": {
                "name": "string",
                "properties": {
                    "required": ["closed"],
                    "readonly": ["mine"],
                    "properties": {
                        "closed": {"enum": ["A", "B"]},
                        "list": {"items": {"enum": ["A", "B"]}},
                        "open": {"enum": ["A"]},
                    },
                },
                "sku": "object",
            },
        }
    }
    assert problems(used, written) == []


def test_the_writer_refuses_a_type_that_there_is_not(checkout: Path, used: Declared) -> None:
    (checkout / "generated/some/some.provider/2025-01-01/types.json").unlink()
    with pytest.raises(SystemExit, match="there is no such type and version"):
        facts(checkout)


def test_the_templates_are_all_read() -> None:
    templates = {resource.where.split(":")[0] for resource in RESOURCES}
    assert templates == {str(path.relative_to(INFRA)) for path in INFRA.rglob("*.bicep")}
