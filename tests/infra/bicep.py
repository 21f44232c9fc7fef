"""The templates as data: parsed by pycep, which knows the syntax but resolves nothing; JSON files are read here."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pycep import BicepParser

PROJECT = Path(__file__).parents[2]
INFRA = PROJECT / "infra"
TEMPLATES = sorted(INFRA.rglob("*.bicep"))


@cache
def parsed(path: Path) -> Mapping[str, Any]:
    """A template: `parameters`, `variables`, `resources`, `modules`, `outputs`, each by name."""
    template: Mapping[str, Any] = BicepParser().parse(file_path=path)
    declared = ("resources", "modules", "variables")
    return {**template, **{key: _with_files(template[key], path.parent) for key in declared if key in template}}


def _with_files(node: Any, folder: Path) -> Any:
    """The same with the content of each file that `loadJsonContent` names."""
    match node:
        case {"function": {"type": "load_json_content", "parameters": {"file_path": name}}}:
            return json.loads((folder / name).read_text())
        case Mapping():
            return {key: _with_files(child, folder) for key, child in node.items()}
        case list():
            return [_with_files(child, folder) for child in node]
    return node


def resources(kind: str) -> list[Mapping[str, Any]]:
    """The bodies of all resources of a type that the templates make."""
    return [
        body(resource)
        for path in TEMPLATES
        for resource in parsed(path).get("resources", {}).values()
        if resource["type"] == kind and not resource["existing"]
    ]


def resource(kind: str) -> Mapping[str, Any]:
    """The only resource of a type."""
    (only,) = resources(kind)
    return only


def variable(path: Path, name: str) -> Any:
    """The value of a variable."""
    return parsed(path)["variables"][name]["value"]


def values(node: object) -> Iterator[Any]:
    """All values below a node, keys of objects left out."""
    if isinstance(node, Mapping):
        for child in node.values():
            yield from values(child)
    elif isinstance(node, list):
        for child in node:
            yield from values(child)
    else:
        yield node


def body(declared: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body of a resource or module, without its loop or condition."""
    config: Mapping[str, Any] = declared["config"]
    return body(config) if "loop_type" in config or "condition" in config else config
