"""The HTTP API in OpenAPI 3.1: `GET /api/openapi.json`.

Made from the operations that stand beside the routes, and from the models that validate requests. What no model
validates, alerts and the page's forms, is described beside the code that reads it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.api.route_docs import ResponseDoc, RouteDoc
from shared.api.schemas import ErrorResource, Untitled
from shared.version import VERSION

Json = dict[str, Any]
_Mode = Literal["validation", "serialization"]
_REFERENCE = "#/components/schemas/{model}"
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "A remediation's id.",
    "schema": {"type": "string", "pattern": "^[^/]+$"},
}
_IF_NONE_MATCH = "An ETag of an earlier answer: 304 if nothing has changed since."
_DESCRIPTION = (
    "Heals failed backup instances of Azure Backup vaults. Every route wants a function key; without one the"
    " Functions host answers 401 with an empty body. Errors have Resource Manager's shape."
)


def document(operations: Sequence[RouteDoc]) -> Json:
    """The description of these operations."""
    references, schemas = _schemas(operations)
    functions = Counter(operation.name for operation in operations)
    paths: dict[str, Json] = {}
    for operation in operations:
        item = paths.setdefault(f"/{operation.path}", {"parameters": [_ID]} if "{id}" in operation.path else {})
        method = operation.method.lower()
        # An id must be unique: where one function serves several methods, its name is not enough.
        operation_id = operation.name if functions[operation.name] == 1 else f"{operation.name}_{method}"
        item[method] = {"operationId": operation_id, **_operation(operation, references)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Backup Autoheal", "version": VERSION, "description": _DESCRIPTION},
        "servers": [{"url": "/api", "description": "The function app that serves this document."}],
        "security": [{"functionsKey": []}, {"code": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "functionsKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "code": {"type": "apiKey", "in": "query", "name": "code"},
            },
        },
    }


def _schemas(operations: Iterable[RouteDoc]) -> tuple[Mapping[type[BaseModel], Json], Json]:
    """A reference to the schema of each model that has a name of its own in the document, and these schemas."""
    modes: dict[type[BaseModel], _Mode] = {ErrorResource: "serialization"}
    for operation in operations:
        if operation.body and isinstance(operation.body.schema, type):
            modes[operation.body.schema] = "validation"
        for answer in operation.answers.values():
            if isinstance(answer.schema, type):
                modes[answer.schema] = "serialization"
    made, definitions = models_json_schema(list(modes.items()), ref_template=_REFERENCE, schema_generator=Untitled)
    return {model: made[model, mode] for model, mode in modes.items()}, definitions["$defs"]


def _operation(operation: RouteDoc, references: Mapping[type[BaseModel], Json]) -> Json:
    described: Json = {
        "summary": operation.summary,
        "parameters": list(_parameters(operation)),
        "responses": {
            **{str(status): _answer(answer, references) for status, answer in operation.answers.items()},
            **{str(status): _refusal(status, when, references) for status, when in operation.refusals.items()},
            "401": {"description": "There is no function key, or a wrong one."},
        },
    }
    if operation.body:
        schema = operation.body.schema
        described["requestBody"] = {
            "required": operation.body.required,
            "content": {
                operation.body.media_type: {"schema": references[schema] if isinstance(schema, type) else schema}
            },
        }
    return described


def _parameters(operation: RouteDoc) -> Iterator[Json]:
    if operation.query:
        # No definitions: what a query can hold is plain enough to be said in place.
        for name, schema in operation.query.model_json_schema(schema_generator=Untitled)["properties"].items():
            parameter = {"name": name, "in": "query", "description": schema.pop("description", "")}
            if schema.get("type") == "array":
                parameter |= {"style": "form", "explode": False}
                schema.pop("default", None)
            elif schema.get("default", 0) is None:
                schema.pop("default")
            yield parameter | {"schema": schema}
    for name, description in operation.headers.items():
        yield _header_parameter(name, description)
    if 304 in operation.answers:
        yield _header_parameter("If-None-Match", _IF_NONE_MATCH)


def _header_parameter(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _answer(answer: ResponseDoc, references: Mapping[type[BaseModel], Json]) -> Json:
    described: Json = {"description": answer.description}
    if answer.headers:
        described["headers"] = {
            name: {"description": description, "schema": {"type": "string"}}
            for name, description in answer.headers.items()
        }
    if answer.schema is not None:
        schema = references[answer.schema] if isinstance(answer.schema, type) else answer.schema
        described["content"] = {answer.media_type: {"schema": schema}}
    return described


def _refusal(status: int, when: str, references: Mapping[type[BaseModel], Json]) -> Json:
    headers = {"Retry-After": "Seconds."} if status == 503 else {}
    return _answer(ResponseDoc(when, ErrorResource, headers), references)
