"""Writes azure_types.json: python -m tests.infra.write_azure_types CHECKOUT, one of Azure/bicep-types-az.

Its definitions (`generated/**/types.json`, form in Azure/bicep-types, "src/bicep-types/src/types.ts") are read and put
into the form that azure_types.py describes: of each type and version that the templates use, all names beside those
they use, and the whole of what they use.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.infra.azure_types import FACTS, declared

_REQUIRED, _READ_ONLY = 1, 2
_KINDS = {"StringType": "string", "IntegerType": "integer", "BooleanType": "boolean", "AnyType": "any"}


class Definitions:
    """The definitions of one provider in one version."""

    def __init__(self, path: Path) -> None:
        self._types: list[dict[str, Any]] = json.loads(path.read_text())

    def resources(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The types with their versions, and their bodies."""
        for one in self._types:
            if one["$type"] == "ResourceType":
                yield one["name"], self.at(one["body"])

    def at(self, reference: Mapping[str, str]) -> dict[str, Any]:
        return self._types[int(reference["$ref"].removeprefix("#/"))]

    def fact(self, definition: Mapping[str, Any], used: list[Any]) -> Any:
        """The fact about a value; `used` are the values of the templates in this place: what has none stays a kind."""
        match definition["$type"]:
            case "StringLiteralType":
                return {"enum": [definition["value"]]}
            case "UnionType":
                parts = [self.at(part) for part in definition["elements"]]
                texts = sorted(part["value"] for part in parts if part["$type"] == "StringLiteralType")
                return {"enum": texts} if texts else "any"
            case "ArrayType":
                items = [item for value in used if isinstance(value, list) for item in value]
                return {"items": self.fact(self.at(definition["itemType"]), items)} if items else "array"
            case "ObjectType":
                return self._object(definition, definition["properties"], used) if objects(used) else "object"
            case "DiscriminatedObjectType":
                return self._variants(definition, objects(used)) if objects(used) else "object"
        return _KINDS[definition["$type"]]

    def _object(self, definition: Mapping[str, Any], properties: Mapping[str, Any], used: list[Any]) -> dict[str, Any]:
        writable = {key: of for key, of in properties.items() if not of["flags"] & _READ_ONLY}
        fact: dict[str, Any] = {
            "required": sorted(key for key, of in writable.items() if of["flags"] & _REQUIRED),
            "readonly": sorted(set(properties) - set(writable)),
            "properties": {
                key: self.fact(self.at(of["type"]), [value[key] for value in objects(used) if key in value])
                for key, of in sorted(writable.items())
            },
        }
        if others := definition.get("additionalProperties"):
            rest = [value[key] for value in objects(used) for key in value if key not in properties]
            fact["others"] = self.fact(self.at(others), rest)
        return {key: value for key, value in fact.items() if value != []}

    def _variants(self, definition: Mapping[str, Any], used: list[Mapping[str, Any]]) -> dict[str, Any]:
        by = definition["discriminator"]
        variants: dict[str, Any] = {}
        for value, reference in sorted(definition["elements"].items()):
            mine = [one for one in used if one.get(by) == value]
            if not mine:
                variants[value] = "object"
                continue
            element = self.at(reference)
            variants[value] = self._object(element, {**definition["baseProperties"], **element["properties"]}, mine)
        return {"by": by, "variants": variants}


def objects(used: list[Any]) -> list[Mapping[str, Any]]:
    return [value for value in used if isinstance(value, Mapping)]


def written_out(value: Any) -> list[Any]:
    """Values that an expression may come to, conditions and loops at every depth laid open."""
    match value:
        case {"operator": {"type": "conditional", "operands": operands}}:
            return [*written_out(operands["true_value"]), *written_out(operands["false_value"])]
        case {"loop_type": _, "config": item}:
            return [written_out(item)]
        case {"function": {"type": _}} | {"operator": {"type": _}}:
            return []
        case list():
            return [[each for item in value for each in written_out(item)]]
        case Mapping():
            laid: dict[str, list[Any]] = {key: written_out(child) for key, child in value.items()}
            most = max((len(children) for children in laid.values()), default=1)
            return [{key: c[min(at, len(c) - 1)] for key, c in laid.items() if c} for at in range(max(most, 1))]
    return [value]


@cache
def definitions(path: Path) -> Definitions:
    return Definitions(path)


def facts(checkout: Path) -> dict[str, Any]:
    """The facts about all types and versions that the templates use.

    Raises:
        SystemExit: there is no such type or version.
    """
    uses: dict[str, list[Any]] = {}
    for resource in declared():
        uses.setdefault(resource.kind, []).extend(written_out(resource.body) if resource.body else [])
    found: dict[str, Any] = {}
    for kind, used in sorted(uses.items()):
        provider, version = kind.split("/")[0].lower(), kind.split("@")[1].lower()
        bodies = [
            definitions(path).fact(definition, used)
            for path in sorted(checkout.glob(f"generated/*/{provider}/{version}/types.json"))
            for name, definition in definitions(path).resources()
            if name == kind
        ]
        if not bodies:
            sys.exit(f"{kind}: there is no such type and version in {checkout}")
        found[kind] = bodies[0]
    return found


def main() -> None:
    text = json.dumps({"types": facts(Path(sys.argv[1]))}, indent=1, sort_keys=False)
    # Lists of texts on one line: the file is read by people too.
    short = re.compile(r'\[\s+((?:"[^"]*",?\s*)+)\]')
    FACTS.write_text(short.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
