"""Whether a resource of the templates is what its Azure type takes: names, nesting, kinds of values, what is required.

The facts are in azure_types.json, written by write_azure_types.py. A fact about a value is one of

- a kind: `string`, `integer`, `boolean`, `array`, `object`, `any` (nothing more is written down)
- `{"enum": [...]}`: one of these texts; many may grow, by Azure's definitions, but a template means one that there is
- `{"items": fact}`: a list
- `{"required": [...], "readonly": [...], "properties": {name: fact}}`, with `"others": fact` where any name is allowed
- `{"by": name, "variants": {value: fact}}`: an object whose form depends on one of its properties
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.infra.bicep import INFRA, TEMPLATES, body, parsed

FACTS = Path(__file__).with_suffix(".json")
_BICEPS_OWN = {"parent", "scope", "dependsOn"}
_TEMPLATES_OWN = {"type", "apiVersion", "resourceGroup"}
_GIVEN_BY_BICEP = {"name", "type", "apiVersion", "id"}


class Declared(NamedTuple):
    """A resource of a template; `body` is None where it exists already."""

    where: str
    kind: str
    body: Mapping[str, Any] | None
    names: frozenset[str]
    """Forms of a text that are none in Azure: pycep shows names of parameters and variables as it shows texts."""


def declared() -> Iterator[Declared]:
    """All resources of all templates, those within the policy as well."""
    for path in TEMPLATES:
        template = parsed(path)
        names = frozenset(name for part in ("parameters", "variables", "resources") for name in template.get(part, {}))
        for name, of in template.get("resources", {}).items():
            kind = f"{of['type']}@{of['api_version']}"
            where = f"{path.relative_to(INFRA)}: {name}"
            loop = of["config"].get("loop_type", {}).get("detail", {})
            known = names | {str(loop.get(key)) for key in ("item_name", "array_name", "idx_name")}
            yield Declared(where, kind, None if of["existing"] else body(of), known)
            for inner in _within(of["config"]):
                yield Declared(f"{where}, {inner['type']}", f"{inner['type']}@{inner['apiVersion']}", inner, known)


def _within(node: object) -> Iterator[Mapping[str, Any]]:
    """The resources of a template that is a value, and of those within it."""
    if isinstance(node, Mapping):
        if {"type", "apiVersion", "name"} <= set(node):
            yield node
        for child in node.values():
            yield from _within(child)
    elif isinstance(node, list):
        for child in node:
            yield from _within(child)


def problems(resource: Declared, facts: Mapping[str, Any]) -> list[str]:
    """Properties that Azure would not take, each as a path and a reason."""
    if resource.kind not in facts:
        return [f"{resource.kind}: not in azure_types.json; write it anew, if there is such a type"]
    if resource.body is None:
        return []
    own = {key: value for key, value in resource.body.items() if key not in _BICEPS_OWN | _TEMPLATES_OWN}
    return list(_problems(own, facts[resource.kind], "", resource.names))


def _problems(value: Any, fact: Any, path: str, names: frozenset[str]) -> Iterator[str]:
    branches = _branches(value)
    if branches is not None:
        for branch in branches:
            yield from _problems(branch, fact, path, names)
    elif isinstance(fact, str):
        yield from _wrong_kind(value, fact, path, names)
    elif "enum" in fact:
        if not isinstance(value, str):
            yield f"{path}: a text is needed"
        elif not _may_be_anything(value, names) and value not in fact["enum"]:
            yield f"{path}: '{value}' is none of {', '.join(fact['enum'])}"
    elif "items" in fact:
        if not isinstance(value, list):
            yield from _wrong_kind(value, "array", path, names)
        else:
            for at, item in enumerate(value):
                yield from _problems(item, fact["items"], f"{path}[{at}]", names)
    elif not isinstance(value, Mapping):
        yield from _wrong_kind(value, "object", path, names)
    elif "by" in fact:
        variant = value.get(fact["by"])
        if variant not in fact["variants"]:
            yield f"{path}.{fact['by']}: '{variant}' is none of {', '.join(fact['variants'])}"
        else:
            yield from _problems(value, fact["variants"][variant], path, names)
    else:
        yield from _object_problems(value, fact, path, names)


def _object_problems(value: Mapping[str, Any], fact: Any, path: str, names: frozenset[str]) -> Iterator[str]:
    for key, child in value.items():
        if key in fact["properties"]:
            yield from _problems(child, fact["properties"][key], f"{path}.{key}", names)
        elif key in fact.get("readonly", ()):
            yield f"{path}.{key}: Azure alone writes it"
        elif "others" in fact:
            yield from _problems(child, fact["others"], f"{path}.{key}", names)
        else:
            yield f"{path}.{key}: there is no such property"
    given_otherwise = _GIVEN_BY_BICEP if not path else set()
    for key in fact.get("required", ()):
        if key not in value and key not in given_otherwise:
            yield f"{path}.{key}: is missing"


def _wrong_kind(value: Any, kind: str, path: str, names: frozenset[str]) -> Iterator[str]:
    kinds: Mapping[str, type | tuple[type, ...]] = {"string": str, "array": list, "object": Mapping, "boolean": bool}
    if kind == "any" or value is None or (isinstance(value, str) and _may_be_anything(value, names)):
        return
    fits = (
        isinstance(value, int) and not isinstance(value, bool) if kind == "integer" else isinstance(value, kinds[kind])
    )
    if not fits:
        yield f"{path}: {value!r} is no {kind}"


def _may_be_anything(text: str, names: frozenset[str]) -> bool:
    """Whether a text is a name or has one in it, so that its value is not known here."""
    return text in names or "${" in text or text.startswith("[")


def _branches(value: Any) -> list[Any] | None:
    """Values that an expression may come to, as far as it is written here; None if the value is no expression."""
    match value:
        case {"operator": {"type": "conditional", "operands": operands}}:
            return [operands["true_value"], operands["false_value"]]
        case {"loop_type": _, "config": item}:
            return [[item]]
        case {"function": {"type": _}} | {"operator": {"type": _}}:
            return []
    return None


def read_facts() -> Mapping[str, Any]:
    """The facts, by type and version."""
    facts: Mapping[str, Any] = json.loads(FACTS.read_text())["types"]
    return facts
